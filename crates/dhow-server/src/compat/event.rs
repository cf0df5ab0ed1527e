//! Events.

use dhow_api::event::Event;

use crate::ApiVersion;

/// How a stream of events is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Lines; the content type that clients are told is in it.
    Lines(&'static str),
    /// RFC 7464: each document between a record separator and a newline.
    Sequence,
}

/// How a client gets its events: until 1.51 as lines that are called `application/json`, since then as what it accepts.
pub(crate) fn framing(version: ApiVersion, accept: &str) -> Framing {
    if version.before(52) {
        return Framing::Lines("application/json");
    }
    let lines = "application/jsonl";
    let mut best = (0.0_f32, Framing::Lines(lines));
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let quality = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        let framing = match kind {
            "application/jsonl" => Framing::Lines(lines),
            "application/x-ndjson" => Framing::Lines("application/x-ndjson"),
            "application/json-seq" => Framing::Sequence,
            _ => continue,
        };
        if quality > best.0 {
            best = (quality, framing);
        }
    }
    best.1
}

/// Whether clients of that version know the event: images are told to be created since 1.46, prunes since 1.41.
pub(crate) fn knows(version: ApiVersion, event: &Event) -> bool {
    match (event.kind.as_str(), event.action.as_str()) {
        ("image", "create") => !version.before(46),
        (_, "prune") => !version.before(41),
        _ => true,
    }
}

/// Since 1.52 the old short fields are gone.
pub(crate) fn event(version: ApiVersion, event: &mut Event) {
    if !version.before(52) {
        event.status.clear();
        event.id.clear();
        event.from.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::TESTED;
    use super::*;

    #[test]
    fn the_framing_is_negotiated_since_1_52() {
        for minor in TESTED {
            let version = ApiVersion::new(1, minor);
            let sequence = framing(version, "application/json-seq");
            if minor < 52 {
                assert_eq!(sequence, Framing::Lines("application/json"));
            } else {
                assert_eq!(sequence, Framing::Sequence);
            }
        }
        for (accept, framed) in [
            ("", Framing::Lines("application/jsonl")),
            ("*/*", Framing::Lines("application/jsonl")),
            (
                "application/x-ndjson",
                Framing::Lines("application/x-ndjson"),
            ),
            (
                "application/json-seq;q=0.2, application/x-ndjson; q=0.9",
                Framing::Lines("application/x-ndjson"),
            ),
            (
                "application/jsonl, application/json-seq",
                Framing::Lines("application/jsonl"),
            ),
            (
                "application/json-seq;q=0",
                Framing::Lines("application/jsonl"),
            ),
        ] {
            assert_eq!(framing(ApiVersion::NEWEST, accept), framed, "{accept}");
        }
    }

    #[test]
    fn short_fields_and_new_events_depend_on_the_version() {
        for minor in TESTED {
            let version = ApiVersion::new(1, minor);
            let mut told = Event {
                status: "create".to_owned(),
                id: "x".to_owned(),
                from: "y".to_owned(),
                kind: "image".to_owned(),
                action: "create".to_owned(),
                ..Event::default()
            };
            assert_eq!(knows(version, &told), minor >= 46, "1.{minor}");
            event(version, &mut told);
            assert_eq!(told.status.is_empty(), minor >= 52, "1.{minor}");
            assert_eq!(told.from.is_empty(), minor >= 52, "1.{minor}");
            told.action = "prune".to_owned();
            assert_eq!(knows(version, &told), minor >= 41, "1.{minor}");
        }
    }
}
