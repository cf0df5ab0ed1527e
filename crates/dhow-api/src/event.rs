//! What happened in the engine, as `GET /events` streams it.

use crate::Map;

wire! {"camelCase";
    /// One event; the first three fields are the old short form, for containers and images.
    pub struct Event {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub status: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub id: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub from: String,
        #[serde(rename = "Type")]
        pub kind: String,
        #[serde(rename = "Action")]
        pub action: String,
        #[serde(rename = "Actor")]
        pub actor: Actor,
        pub scope: String,
        /// Seconds since the epoch.
        pub time: i64,
        /// Nanoseconds since the epoch.
        pub time_nano: i64,
    }
}

wire! {"PascalCase";
    /// The thing something happened to.
    pub struct Actor {
        #[serde(rename = "ID")]
        pub id: String,
        pub attributes: Map<String>,
    }
}
