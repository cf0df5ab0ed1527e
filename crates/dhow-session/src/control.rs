//! Asking for builds, and for what the engine keeps of them.

use bollard_buildkit_proto::google::rpc;
use bollard_buildkit_proto::moby::buildkit::v1 as messages;
use bollard_buildkit_proto::pb;
use dhow_client::{Client, Request};
use dhow_errdefs::{Classify, ErrorKind};
use http::Uri;
use messages::control_client::ControlClient;
use prost::Message;
use tonic::{Code, Status};

use crate::Error;
use crate::transport::{self, Channel, MESSAGE};

/// What of a file an error is about.
const SOURCE: &str = "errdefs.Source";

/// The engine's builder.
#[derive(Debug, Clone)]
pub struct Control(ControlClient<Channel>);

/// Why a build failed, as the engine says.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// In words.
    pub text: String,
    /// Where in the Dockerfile, if it is there.
    pub lines: Option<SourceLines>,
    code: i32,
}

/// Lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLines {
    /// The file's name.
    pub file: String,
    /// All of it.
    pub text: String,
    /// The lines, counted from 1, first and last.
    pub ranges: Vec<(u32, u32)>,
}

impl Failure {
    /// Whether the build was given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.code == i32::from(Code::Cancelled)
    }

    /// The connection ended before the build did.
    #[must_use]
    pub fn ended() -> Self {
        Self {
            text: "the connection to the engine has ended".into(),
            lines: None,
            code: Code::Unavailable.into(),
        }
    }

    /// Whether the engine knows no such thing.
    #[must_use]
    pub fn is_unimplemented(&self) -> bool {
        self.code == i32::from(Code::Unimplemented)
    }
}

impl Classify for Failure {
    fn kind(&self) -> ErrorKind {
        match Code::from(self.code) {
            Code::Unimplemented => ErrorKind::NotImplemented,
            Code::Cancelled => ErrorKind::Cancelled,
            Code::Unavailable => ErrorKind::Unavailable,
            Code::NotFound => ErrorKind::NotFound,
            Code::InvalidArgument => ErrorKind::InvalidArgument,
            _ => ErrorKind::System,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = rpc::Status::decode(status.details()).unwrap_or_default();
        let source = details
            .details
            .iter()
            .find(|detail| detail.type_url.contains(SOURCE));
        Self {
            text: match status.message() {
                "" => format!("{:?}", status.code()),
                text => text.to_owned(),
            },
            lines: source.and_then(|source| lines(&source.type_url, &source.value)),
            code: status.code().into(),
        }
    }
}

/// A source as errors carry it: BuildKit's message, in JSON or as such.
fn lines(kind: &str, value: &[u8]) -> Option<SourceLines> {
    let source = match kind.ends_with("+json") {
        true => return from_json(value),
        false => pb::SourceInfo::decode(value).ok()?,
    };
    Some(SourceLines {
        file: source.filename,
        text: String::from_utf8_lossy(&source.data).into_owned(),
        ranges: Vec::new(),
    })
}

fn from_json(value: &[u8]) -> Option<SourceLines> {
    use base64::Engine;
    let value: serde_json::Value = serde_json::from_slice(value).ok()?;
    let data = value["info"]["data"].as_str().unwrap_or_default();
    let data = base64::engine::general_purpose::STANDARD
        .decode(data)
        .ok()?;
    let line = |at: &serde_json::Value| u32::try_from(at["line"].as_u64()?).ok();
    let range = |range: &serde_json::Value| Some((line(&range["start"])?, line(&range["end"])?));
    let ranges = value["ranges"].as_array().into_iter().flatten();
    Some(SourceLines {
        file: value["info"]["filename"].as_str()?.to_owned(),
        text: String::from_utf8_lossy(&data).into_owned(),
        ranges: ranges.filter_map(range).collect(),
    })
}

impl Control {
    /// Connects to the builder of an engine.
    ///
    /// # Errors
    /// The engine can't be reached, or has none.
    pub async fn open(client: &Client) -> Result<Self, Error> {
        let connection = client.upgrade(Request::post("/grpc"), "h2c").await?;
        let channel = transport::dial(connection.stream).await?;
        let origin = Uri::from_static("http://localhost");
        let client = ControlClient::with_origin(channel, origin);
        Ok(Self(client.max_decoding_message_size(MESSAGE)))
    }

    /// Has something built; answers when it is. Whoever drops the future gives the build up.
    ///
    /// # Errors
    /// The build fails.
    pub async fn solve(
        &self,
        request: messages::SolveRequest,
    ) -> Result<messages::SolveResponse, Failure> {
        let answer = self.0.clone().solve(request).await?;
        Ok(answer.into_inner())
    }

    /// Follows a build: `tell` gets what happens until the build has ended.
    ///
    /// # Errors
    /// There is no such build, or the connection ends.
    pub async fn follow(
        &self,
        id: &str,
        mut tell: impl FnMut(messages::StatusResponse),
    ) -> Result<(), Failure> {
        let request = messages::StatusRequest { r#ref: id.into() };
        let mut stream = self.0.clone().status(request).await?.into_inner();
        while let Some(status) = stream.message().await? {
            tell(status);
        }
        Ok(())
    }

    /// What the cache holds.
    ///
    /// # Errors
    /// A filter is none, or the engine fails.
    pub async fn usage(&self, filters: Vec<String>) -> Result<Vec<messages::UsageRecord>, Failure> {
        let request = messages::DiskUsageRequest {
            filter: filters,
            ..messages::DiskUsageRequest::default()
        };
        let answer = self.0.clone().disk_usage(request).await?;
        Ok(answer.into_inner().record)
    }

    /// Removes from the cache; `tell` gets what was removed.
    ///
    /// # Errors
    /// A filter is none, or the engine fails.
    pub async fn prune(
        &self,
        request: messages::PruneRequest,
        mut tell: impl FnMut(messages::UsageRecord),
    ) -> Result<(), Failure> {
        let mut stream = self.0.clone().prune(request).await?.into_inner();
        while let Some(record) = stream.message().await? {
            tell(record);
        }
        Ok(())
    }

    /// Who builds there, and with which version of BuildKit's protocol.
    ///
    /// # Errors
    /// The engine fails.
    pub async fn workers(&self) -> Result<Vec<messages::types::WorkerRecord>, Failure> {
        let request = messages::ListWorkersRequest::default();
        let answer = self.0.clone().list_workers(request).await?;
        Ok(answer.into_inner().record)
    }
}
