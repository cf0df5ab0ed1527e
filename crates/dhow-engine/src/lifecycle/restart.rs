//! Whether and when a container is started again. Pure.

use std::time::Duration;

use dhow_container::spec::{RestartName, RestartPolicy};

/// The first wait; it doubles with each quick end.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// A run that lasted so long begins anew with the first wait.
const LASTING: Duration = Duration::from_secs(10);

/// A run that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) exit_code: i32,
    /// Its health check had said that it is unhealthy.
    pub(crate) unhealthy: bool,
    pub(crate) manually_stopped: bool,
    /// How often the policy has started the container so far.
    pub(crate) restarts: u32,
    pub(crate) lasted: Duration,
    /// How many restarts in a row were quick ones.
    pub(crate) quick_restarts: u32,
}

/// How long to wait before the next start, and how many quick restarts there are then; nothing for no restart.
pub(crate) fn decide(policy: &RestartPolicy, run: &Run) -> Option<(Duration, u32)> {
    if run.manually_stopped || !wants(policy, run) {
        return None;
    }
    if run.lasted >= LASTING {
        return Some((FIRST, 1));
    }
    let doublings = run.quick_restarts.min(16);
    let delay = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    Some((delay, run.quick_restarts.saturating_add(1)))
}

fn wants(policy: &RestartPolicy, run: &Run) -> bool {
    match policy.name {
        RestartName::No => false,
        RestartName::Always | RestartName::UnlessStopped => true,
        RestartName::OnFailure => run.exit_code != 0 && tries_left(policy, run.restarts),
        RestartName::OnUnhealthy => {
            (run.exit_code != 0 || run.unhealthy) && tries_left(policy, run.restarts)
        }
    }
}

fn tries_left(policy: &RestartPolicy, restarts: u32) -> bool {
    policy.maximum_retry_count == 0 || restarts < policy.maximum_retry_count
}

/// Whether a running container that has turned unhealthy is to be stopped, to be started again; `restarts` is how often
/// the policy has done so. When there is no try left, it runs on as it is.
pub(crate) fn when_unhealthy(policy: &RestartPolicy, restarts: u32) -> bool {
    policy.name == RestartName::OnUnhealthy && tries_left(policy, restarts)
}

/// Whether a container that does not run is to be started when the engine starts.
pub(crate) fn at_start(
    policy: &RestartPolicy,
    started_before: bool,
    manually_stopped: bool,
) -> bool {
    match policy.name {
        RestartName::Always => started_before,
        RestartName::UnlessStopped => started_before && !manually_stopped,
        RestartName::No | RestartName::OnFailure | RestartName::OnUnhealthy => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: RestartName, maximum_retry_count: u32) -> RestartPolicy {
        RestartPolicy {
            name,
            maximum_retry_count,
        }
    }

    fn run(exit_code: i32) -> Run {
        Run {
            exit_code,
            unhealthy: false,
            manually_stopped: false,
            restarts: 0,
            lasted: Duration::from_millis(5),
            quick_restarts: 0,
        }
    }

    #[test]
    fn policies_decide_by_exit_code_count_and_user() {
        use RestartName::{Always, No, OnFailure, UnlessStopped};
        let starts = |name, max, run: &Run| decide(&policy(name, max), run).is_some();
        assert!(!starts(No, 0, &run(1)));
        assert!(starts(Always, 0, &run(0)) && starts(UnlessStopped, 0, &run(0)));
        assert!(!starts(OnFailure, 0, &run(0)) && starts(OnFailure, 0, &run(1)));
        assert!(starts(
            OnFailure,
            2,
            &Run {
                restarts: 1,
                ..run(1)
            }
        ));
        assert!(!starts(
            OnFailure,
            2,
            &Run {
                restarts: 2,
                ..run(1)
            }
        ));
        assert!(!starts(
            Always,
            0,
            &Run {
                manually_stopped: true,
                ..run(1)
            }
        ));
    }

    #[test]
    fn the_unhealthy_are_started_again_as_long_as_tries_are_left() {
        use RestartName::{Always, OnFailure, OnUnhealthy};
        let starts = |max, run: &Run| decide(&policy(OnUnhealthy, max), run).is_some();
        let unhealthy = Run {
            unhealthy: true,
            ..run(0)
        };
        assert!(starts(0, &unhealthy) && starts(0, &run(1)) && !starts(0, &run(0)));
        let twice = Run {
            restarts: 2,
            ..unhealthy
        };
        assert!(starts(3, &twice) && !starts(2, &twice));
        assert!(decide(&policy(OnFailure, 0), &unhealthy).is_none());
        assert!(!when_unhealthy(&policy(Always, 0), 0));
        assert!(when_unhealthy(&policy(OnUnhealthy, 1), 0));
        assert!(!when_unhealthy(&policy(OnUnhealthy, 1), 1));
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_lasting_run() {
        let always = policy(RestartName::Always, 0);
        let delay = |quick_restarts| {
            decide(
                &always,
                &Run {
                    quick_restarts,
                    ..run(1)
                },
            )
            .map(|(delay, _)| delay.as_millis())
        };
        assert_eq!(delay(0), Some(100));
        assert_eq!(delay(1), Some(200));
        assert_eq!(delay(9), Some(51_200));
        assert_eq!(delay(10), Some(60_000));
        assert_eq!(delay(u32::MAX), Some(60_000));
        let lasting = Run {
            quick_restarts: 9,
            lasted: Duration::from_secs(11),
            ..run(1)
        };
        assert_eq!(decide(&always, &lasting), Some((FIRST, 1)));
    }

    #[test]
    fn the_engines_start_starts_what_was_not_stopped() {
        use RestartName::{Always, OnFailure, UnlessStopped};
        let at = |name, stopped| at_start(&policy(name, 0), true, stopped);
        assert!(at(Always, true) && at(UnlessStopped, false));
        assert!(!at(UnlessStopped, true) && !at(OnFailure, false));
        assert!(!at_start(&policy(Always, 0), false, false));
    }
}
