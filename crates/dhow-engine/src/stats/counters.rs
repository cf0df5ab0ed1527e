//! The kernel's counters outside control groups: processors and network interfaces.

use std::collections::BTreeMap;

use super::{Processors, Traffic};

/// The kernel counts processor time in hundredths of a second.
const TICK: u64 = 10_000_000;

/// The machine's processors now.
pub(super) fn processors() -> Processors {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    parse_processors(&text)
}

/// Understands `/proc/stat`: the time is the sum of user, nice, system, idle, iowait, irq and softirq, as Docker has it.
fn parse_processors(text: &str) -> Processors {
    let mut found = Processors::default();
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let mut words = line.split_whitespace();
        if words.next() == Some("cpu") {
            let ticks: u64 = words
                .take(7)
                .filter_map(|word| word.parse::<u64>().ok())
                .sum();
            found.time = ticks.saturating_mul(TICK);
        } else {
            found.online += 1;
        }
    }
    found
}

/// The interfaces that the engine gave to the network namespace of process `pid`.
pub(super) fn interfaces(pid: u32) -> BTreeMap<String, Traffic> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    parse_interfaces(&text)
}

/// Understands `/proc/PID/net/dev`. What the kernel or the container itself made (`lo`, `tunl0`, ...) is not counted.
fn parse_interfaces(text: &str) -> BTreeMap<String, Traffic> {
    text.lines()
        .filter_map(|line| {
            let (name, figures) = line.split_once(':')?;
            let name = name.trim().strip_prefix("eth").map(|_| name.trim())?;
            let figures: Vec<u64> = figures
                .split_whitespace()
                .map_while(|word| word.parse().ok())
                .collect();
            let [
                rx_bytes,
                rx_packets,
                rx_errors,
                rx_dropped,
                _,
                _,
                _,
                _,
                tx_bytes,
                tx_packets,
                tx_errors,
                tx_dropped,
                ..,
            ] = figures[..]
            else {
                return None;
            };
            let traffic = Traffic {
                rx_bytes,
                rx_packets,
                rx_errors,
                rx_dropped,
                tx_bytes,
                tx_packets,
                tx_errors,
                tx_dropped,
            };
            Some((name.to_owned(), traffic))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_summed_as_docker_does() {
        let text = "cpu  10 1 20 300 4 5 6 70 80 90\ncpu0 5 0 10 150 2 2 3 35 40 45\ncpu1 5 1 10 150 2 3 3 35 40 45\nintr 1\n";
        let expected = Processors {
            time: 346 * TICK,
            online: 2,
        };
        assert_eq!(parse_processors(text), expected);
        assert_eq!(parse_processors(""), Processors::default());
    }

    #[test]
    fn only_the_containers_own_interfaces_count() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       9       9    0    0    0     0          0         0        9       9    0    0    0     0       0          0
 tunl0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:     736       8    1    2    0     0          0         0      126       3    4    5    0     0       0          0
  eth1: 1 2
";
        let all = parse_interfaces(text);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["eth0"]);
        let expected = Traffic {
            rx_bytes: 736,
            rx_packets: 8,
            rx_errors: 1,
            rx_dropped: 2,
            tx_bytes: 126,
            tx_packets: 3,
            tx_errors: 4,
            tx_dropped: 5,
        };
        assert_eq!(all["eth0"], expected);
    }
}
