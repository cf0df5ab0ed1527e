//! What happens, told to whoever listens: Docker's events, with the last ones kept for those who come late.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::time::Sleep;
use tokio_util::sync::ReusableBoxFuture;

use crate::filters::Filters;

/// How many events are kept for replay, as in Docker.
const KEPT: usize = 256;
/// How far a listener may fall behind before it loses events.
const BACKLOG: usize = 1024;

/// The filters that name what an event is about.
const NAMED: &[&str] = &[
    "config",
    "container",
    "daemon",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
];

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// The engine.
    Daemon,
    /// The builder.
    Builder,
}

impl EventKind {
    /// Docker's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Daemon => "daemon",
            Self::Builder => "builder",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// What happened: `create`, `die`, `exec_start: sh -c true`, …
    pub action: String,
    /// The id (of a volume, the name) of what it is about.
    pub id: String,
    /// More about it.
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub time: Timestamp,
}

impl Event {
    /// Whether the event passes the filters of `GET /events`. Keys that are unknown choose nothing, as in Docker.
    #[must_use]
    pub fn matches(&self, filters: &Filters) -> bool {
        self.is_action(filters)
            && filters.exact("type", self.kind.name())
            && filters.exact("scope", "local")
            && filters.labels("label", &self.attributes)
            && NAMED.iter().all(|key| self.is_named(filters, key))
            && self.is_about_image(filters)
    }

    /// Actions are given whole; but where one of those is given that a command follows, beginnings are enough.
    fn is_action(&self, filters: &Filters) -> bool {
        let begun = ["health_status", "exec_create", "exec_start"];
        let values = filters.get("event");
        if values.iter().any(|value| begun.contains(&value.as_str())) {
            filters.any("event", |wanted| self.action.starts_with(wanted.as_str()))
        } else {
            filters.exact("event", &self.action)
        }
    }

    /// Whether the beginning of the id or the name is given; of which kind the event is does not matter.
    fn is_named(&self, filters: &Filters, key: &str) -> bool {
        let name = self.attributes.get("name").map_or("", String::as_str);
        filters.any(key, |wanted| {
            self.id.starts_with(wanted.as_str()) || name.starts_with(wanted.as_str())
        })
    }

    fn is_about_image(&self, filters: &Filters) -> bool {
        let key = if self.kind == EventKind::Image {
            "name"
        } else {
            "image"
        };
        let name = self.attributes.get(key).map_or("", String::as_str);
        let bare = |text: &str| {
            text.rsplit_once(':')
                .map_or(text.to_owned(), |(name, _)| name.to_owned())
        };
        filters.any("image", |wanted| {
            *wanted == self.id
                || wanted == name
                || bare(&self.id) == *wanted
                || bare(name) == *wanted
        })
    }
}

/// Where events are told and heard; clones share it.
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        Self {
            shared: Arc::new(Shared {
                kept: Mutex::default(),
                sender,
            }),
        }
    }
}

impl Events {
    /// Tells an event that happens now.
    pub fn tell(
        &self,
        kind: EventKind,
        action: impl Into<String>,
        id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        // The time is taken under the lock, so that events are kept and heard in the order of their times.
        let mut kept = self
            .shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let event = Event {
            kind,
            action: action.into(),
            id: id.into(),
            attributes,
            time: Timestamp::now(),
        };
        let event = Arc::new(event);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // No listener is no failure.
        let _ = self.shared.sender.send(event);
    }

    /// Hears the kept events since `since` (none without it), and those to come until `until`.
    #[must_use]
    pub fn subscribe(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        filters: Filters,
    ) -> EventStream {
        let kept = self
            .shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let receiver = self.shared.sender.subscribe();
        let past = match since {
            Some(since) => kept
                .iter()
                .filter(|event| {
                    event.time >= since && until.is_none_or(|until| event.time <= until)
                })
                .filter(|event| event.matches(&filters))
                .cloned()
                .collect(),
            None => VecDeque::new(),
        };
        drop(kept);
        let deadline = until.map(|until| {
            let left = until.duration_since(Timestamp::now());
            let left = left.try_into().unwrap_or(std::time::Duration::ZERO);
            Box::pin(tokio::time::sleep(left))
        });
        let next = ReusableBoxFuture::new(receive(receiver));
        EventStream {
            past,
            next,
            deadline,
            filters,
        }
    }

    /// How many listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.shared.sender.receiver_count()
    }
}

type Received = (
    Result<Arc<Event>, broadcast::error::RecvError>,
    broadcast::Receiver<Arc<Event>>,
);

async fn receive(mut receiver: broadcast::Receiver<Arc<Event>>) -> Received {
    let result = receiver.recv().await;
    (result, receiver)
}

/// Events as they come; ends at its `until`, or with the engine.
pub struct EventStream {
    past: VecDeque<Arc<Event>>,
    next: ReusableBoxFuture<'static, Received>,
    deadline: Option<Pin<Box<Sleep>>>,
    filters: Filters,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("past", &self.past)
            .finish_non_exhaustive()
    }
}

impl Stream for EventStream {
    type Item = Arc<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.past.pop_front() {
            return Poll::Ready(Some(event));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready((result, receiver)) = self.next.poll(cx) else {
                return Poll::Pending;
            };
            self.next.set(receive(receiver));
            match result {
                Ok(event) if event.matches(&self.filters) => return Poll::Ready(Some(event)),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Poll::Ready(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use futures::StreamExt;

    use super::*;

    fn attributes(name: &str) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("name".to_owned(), name.to_owned()),
            ("image".to_owned(), "busybox:latest".to_owned()),
        ])
    }

    fn filters(key: &str, value: &str) -> Filters {
        Filters::new(BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]))
    }

    #[tokio::test]
    async fn past_and_coming_events_are_heard_once_and_in_order() {
        let events = Events::default();
        events.tell(EventKind::Container, "create", "c1", attributes("a"));
        let since = Some(Timestamp::UNIX_EPOCH);
        let mut stream = events.subscribe(since, None, Filters::default());
        events.tell(EventKind::Container, "start", "c1", attributes("a"));
        assert_eq!(stream.next().await.unwrap().action, "create");
        assert_eq!(stream.next().await.unwrap().action, "start");
    }

    #[tokio::test]
    async fn the_past_is_bounded_and_a_past_until_ends_the_stream() {
        let events = Events::default();
        for number in 0..300 {
            events.tell(
                EventKind::Volume,
                "create",
                format!("v{number}"),
                BTreeMap::new(),
            );
        }
        let now = Some(Timestamp::now());
        let stream = events.subscribe(Some(Timestamp::UNIX_EPOCH), now, Filters::default());
        let heard: Vec<_> = stream.collect().await;
        assert_eq!(heard.len(), KEPT);
        assert_eq!(heard[0].id, "v44");
    }

    #[test]
    fn filters_choose_by_what_an_event_is_about() {
        let event = Event {
            kind: EventKind::Container,
            action: "exec_start: sh".into(),
            id: "0123456789abcdef".into(),
            attributes: attributes("web"),
            time: Timestamp::UNIX_EPOCH,
        };
        for (key, value) in [
            ("container", "web"),
            ("container", "0123456789ab"),
            ("event", "exec_start"),
            ("type", "container"),
            ("image", "busybox:latest"),
            ("image", "busybox"),
            ("label", "name=web"),
            ("network", "web"),
            ("container", "we"),
            ("nosuch", "x"),
        ] {
            assert!(event.matches(&filters(key, value)), "{key}={value}");
        }
        for (key, value) in [
            ("container", "db"),
            ("event", "die"),
            ("event", "exec"),
            ("container", "/web"),
            ("type", "image"),
            ("volume", "x"),
            ("label", "no"),
        ] {
            assert!(!event.matches(&filters(key, value)), "{key}={value}");
        }
    }
}
