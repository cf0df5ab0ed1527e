//! Times and commands as Docker shows them.

use std::time::Duration;

use jiff::Timestamp;

use crate::container::{ContainerRecord, HealthStatus, OutlineState, Status};

/// `5 seconds`, `About an hour`, `3 weeks`: Docker's words for a time that has passed.
pub(crate) fn human(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let minutes = seconds / 60;
    // Rounded as Go's units package does.
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".into(),
        (1, ..) => "1 second".into(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".into(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".into(),
        (.., ..48) => format!("{hours} hours"),
        (.., ..336) => format!("{} days", hours / 24),
        (.., ..1440) => format!("{} weeks", hours / 24 / 7),
        (.., ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A duration as Go prints it: `1m30s`, `500ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let millis = duration.subsec_millis();
    if seconds == 0 {
        return format!("{millis}ms");
    }
    let fraction = if millis == 0 {
        String::new()
    } else {
        format!(".{millis:03}").trim_end_matches('0').to_owned()
    };
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}{fraction}s"),
        (0, _) => format!("{minutes}m{rest}{fraction}s"),
        _ => format!("{hours}h{minutes}m{rest}{fraction}s"),
    }
}

/// The status column of a list.
pub(crate) fn status(state: &OutlineState, now: Timestamp) -> String {
    let since = |time: Option<Timestamp>| {
        let passed = time.map_or(Duration::ZERO, |time| {
            now.duration_since(time).try_into().unwrap_or_default()
        });
        human(passed)
    };
    match state.status {
        Status::Created => "Created".into(),
        Status::Paused => format!("Up {} (Paused)", since(state.started_at)),
        Status::Running => {
            let health = state.health_status();
            let up = since(state.started_at);
            match health {
                HealthStatus::None => format!("Up {up}"),
                HealthStatus::Starting => format!("Up {up} (health: starting)"),
                other => format!("Up {up} ({})", other.name()),
            }
        }
        Status::Restarting => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            since(state.finished_at)
        ),
        Status::Removing => "Removal In Progress".into(),
        Status::Dead => "Dead".into(),
        Status::Exited => format!(
            "Exited ({}) {} ago",
            state.exit_code,
            since(state.finished_at)
        ),
    }
}

/// The program and its arguments, those with spaces quoted.
pub(crate) fn command(record: &ContainerRecord) -> String {
    let mut text = record.path.clone();
    for argument in &record.args {
        text.push(' ');
        if argument.contains(' ') {
            text.push('\'');
            text.push_str(argument);
            text.push('\'');
        } else {
            text.push_str(argument);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_dockers_words() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (48 * 3600, "2 days"),
            (14 * 24 * 3600, "2 weeks"),
            (90 * 24 * 3600, "3 months"),
            (3 * 365 * 24 * 3600, "3 years"),
        ];
        for (seconds, wanted) in cases {
            assert_eq!(human(Duration::from_secs(seconds)), wanted);
        }
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration(Duration::from_millis(500)), "500ms");
        assert_eq!(duration(Duration::from_secs(90)), "1m30s");
        assert_eq!(duration(Duration::from_millis(1500)), "1.5s");
    }
}
