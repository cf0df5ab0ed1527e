//! The JSON messages that pull, push, load and import stream.

use serde_json::Value;

use crate::wire::is_default;

wire! {"camelCase";
    /// One message of a progress stream.
    pub struct JsonMessage {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub stream: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub status: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub progress_detail: Option<ProgressDetail>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub progress: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub id: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub error: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error_detail: Option<ErrorDetail>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub aux: Option<Value>,
    }

    /// How far one item of the stream has come; empty (`{}`) when that is unknown.
    pub struct ProgressDetail {
        #[serde(skip_serializing_if = "is_default")]
        pub current: u64,
        #[serde(skip_serializing_if = "is_default")]
        pub total: u64,
    }

    /// The error that ends a stream.
    pub struct ErrorDetail {
        #[serde(skip_serializing_if = "is_default")]
        pub code: i64,
        pub message: String,
    }
}
