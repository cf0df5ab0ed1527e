//! Events.

use dhow_api::event as wire;
use dhow_engine::events::{Event, EventKind};

use super::time;

/// An event as it is streamed.
pub(crate) fn event(event: &Event) -> wire::Event {
    let short = matches!(event.kind, EventKind::Container | EventKind::Image);
    let only_if = |text: &str| {
        if short {
            text.to_owned()
        } else {
            String::new()
        }
    };
    let from = match event.kind {
        EventKind::Container => event.attributes.get("image").cloned().unwrap_or_default(),
        _ => String::new(),
    };
    wire::Event {
        status: only_if(&event.action),
        id: only_if(&event.id),
        from,
        kind: event.kind.name().to_owned(),
        action: event.action.clone(),
        actor: wire::Actor {
            id: event.id.clone(),
            attributes: event.attributes.clone(),
        },
        scope: "local".to_owned(),
        time: time::unix(event.time),
        time_nano: time::unix_nano(event.time),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_containers_and_images_have_the_short_form() {
        let mut told = Event {
            kind: EventKind::Container,
            action: "start".to_owned(),
            id: "abc".to_owned(),
            attributes: BTreeMap::from([("image".to_owned(), "busybox".to_owned())]),
            time: "2026-11-21T01:52:00.5Z".parse().unwrap(),
        };
        assert_eq!(
            serde_json::to_string(&event(&told)).unwrap(),
            r#"{"status":"start","id":"abc","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"image":"busybox"}},"scope":"local","time":1795225920,"timeNano":1795225920500000000}"#
        );
        told.kind = EventKind::Volume;
        let text = serde_json::to_string(&event(&told)).unwrap();
        assert!(text.starts_with(r#"{"Type":"volume""#), "{text}");
    }
}
