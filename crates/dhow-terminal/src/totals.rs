//! What all layers of a pull or push come to: bytes, rate, time left, and what needn't be moved.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::progress::Message;
use crate::units::human_size;

/// The rate is that of so much time.
const WINDOW: Duration = Duration::from_secs(5);
/// Before so much has passed there is no rate worth the name.
const SOONEST: Duration = Duration::from_secs(1);
/// How far apart the points are that the rate is taken from.
const STEP: Duration = Duration::from_millis(200);

/// The sums over the layers of one operation.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    layers: HashMap<String, Layer>,
    here: usize,
    /// How many bytes were done at some times of the last seconds.
    points: VecDeque<(Instant, i64)>,
    begun: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Layer {
    current: i64,
    total: i64,
}

impl Totals {
    /// Takes note of one message that came at `now`.
    pub(crate) fn note(&mut self, message: &Message, now: Instant) {
        let detail = message.detail.as_ref().filter(|detail| detail.total > 0);
        match (message.status.as_str(), detail) {
            ("Downloading" | "Pushing", Some(detail)) => {
                let layer = Layer {
                    current: detail.current.clamp(0, detail.total),
                    total: detail.total,
                };
                self.layers.insert(message.id.clone(), layer);
            }
            ("Download complete" | "Extracting" | "Pull complete" | "Pushed", _) => {
                if let Some(layer) = self.layers.get_mut(&message.id) {
                    layer.current = layer.total;
                }
            }
            ("Already exists" | "Layer already exists", _) => self.here += 1,
            _ => {}
        }
        if self.layers.is_empty() {
            return;
        }
        self.begun.get_or_insert(now);
        let last = self.points.back().map(|(time, _)| *time);
        if last.is_none_or(|last| now.duration_since(last) >= STEP) {
            self.points.push_back((now, self.done()));
        }
        while self.points.len() > 2 && now.duration_since(self.points[0].0) > WINDOW {
            self.points.pop_front();
        }
    }

    fn done(&self) -> i64 {
        self.layers.values().map(|layer| layer.current).sum()
    }

    /// `Total: 12MB/34MB, 5MB/s, 4s left, 2 layers already here`, as long as something is on its way.
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    pub(crate) fn text(&self, now: Instant) -> Option<String> {
        let (done, all) = (
            self.done(),
            self.layers.values().map(|layer| layer.total).sum(),
        );
        if done >= all || now.duration_since(self.begun?) < SOONEST {
            return None;
        }
        let (since, before) = self.points.front()?;
        let seconds = now.duration_since(*since).as_secs_f64();
        let rate = (done - before) as f64 / seconds.max(0.001);
        let mut text = format!(
            "Total: {}/{}, {}/s",
            human_size(done as f64),
            human_size(all as f64),
            human_size(rate)
        );
        if rate >= 1.0 {
            let left = Duration::from_secs_f64(((all - done) as f64 / rate).min(1e6));
            text += &format!(", {} left", time(left.as_secs()));
        }
        match self.here {
            0 => {}
            1 => text += ", 1 layer already here",
            several => text += &format!(", {several} layers already here"),
        }
        Some(text)
    }
}

fn time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Detail;

    fn message(id: &str, status: &str, current: i64, total: i64) -> Message {
        let detail = Detail {
            current,
            total,
            ..Detail::default()
        };
        Message {
            id: id.into(),
            status: status.into(),
            detail: Some(detail),
            ..Message::default()
        }
    }

    #[test]
    fn sums_rate_and_rest() {
        let (mut totals, begin) = (Totals::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        totals.note(&message("a", "Already exists", 0, 0), begin);
        totals.note(&message("b", "Downloading", 0, 60_000_000), begin);
        totals.note(&message("c", "Downloading", 0, 40_000_000), begin);
        assert_eq!(totals.text(begin), None, "there is no rate yet");
        totals.note(
            &message("b", "Downloading", 20_000_000, 60_000_000),
            after(2),
        );
        let text = totals.text(after(2));
        let expected = "Total: 20MB/100MB, 10MB/s, 8s left, 1 layer already here";
        assert_eq!(text.as_deref(), Some(expected));
        // What was long ago says nothing about the rate.
        for second in 3..20 {
            totals.note(
                &message("b", "Downloading", 30_000_000, 60_000_000),
                after(second),
            );
        }
        let text = totals.text(after(19)).unwrap_or_default();
        assert!(
            text.starts_with("Total: 30MB/100MB, 0B/s, 1 layer"),
            "{text}"
        );
        totals.note(&message("b", "Download complete", 0, 0), after(20));
        totals.note(&message("c", "Pull complete", 0, 0), after(20));
        assert_eq!(totals.text(after(20)), None, "all is done");
    }

    #[test]
    fn times_in_words() {
        assert_eq!(time(59), "59s");
        assert_eq!(time(61), "1m1s");
        assert_eq!(time(7325), "2h2m5s");
    }
}
