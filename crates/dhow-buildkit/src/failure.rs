//! Failed builds as gRPC says them: beside the text stands where in the Dockerfile it was, so that clients can show it.

use bollard_buildkit_proto::google::protobuf::Any;
use bollard_buildkit_proto::google::rpc;
use dhow_builder::{Error, Location};
use dhow_errdefs::{Classify, ErrorKind, chain};
use prost::Message;
use serde_json::json;
use tonic::{Code, Status};

/// An error's text, as people read it.
pub(crate) fn text_of(error: &Error) -> String {
    chain(error).to_string()
}

/// A failed build as a gRPC status.
pub(crate) fn status_of(error: &Error) -> Status {
    let message = rpc_of(error);
    Status::with_details(
        code_of(error),
        message.message.clone(),
        message.encode_to_vec().into(),
    )
}

/// A failed build as a record of the history has it.
pub(crate) fn rpc_of(error: &Error) -> rpc::Status {
    let mut details = Vec::new();
    if let Some(location) = error.location() {
        details.push(any("errdefs.Source+json", &source_of(location)));
    }
    if let Some(vertex) = error.vertex() {
        details.push(any(
            "errdefs.Vertex+json",
            &json!({ "digest": vertex.to_string() }),
        ));
    }
    if let Some(code) = error.exit_code() {
        details.push(any("gatewayapi.ExitMessage+json", &json!({ "Code": code })));
    }
    rpc::Status {
        code: i32::from(code_of(error)),
        message: text_of(error),
        details,
    }
}

fn any(kind: &str, value: &serde_json::Value) -> Any {
    Any {
        type_url: format!("github.com/moby/buildkit/{kind}"),
        value: value.to_string().into_bytes(),
    }
}

fn source_of(location: &Location) -> serde_json::Value {
    let ranges = location.lines.iter().map(|lines| {
        json!({
            "start": { "line": lines.first },
            "end": { "line": lines.last },
        })
    });
    json!({
        "info": {
            "filename": location.file,
            "data": base64(&location.source),
            "language": "Dockerfile",
        },
        "ranges": ranges.collect::<Vec<_>>(),
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn code_of(error: &Error) -> Code {
    match error.kind() {
        ErrorKind::NotImplemented => Code::Unimplemented,
        ErrorKind::Cancelled => Code::Cancelled,
        // What a step or the Dockerfile has wrong is "unknown" to BuildKit.
        _ => Code::Unknown,
    }
}
