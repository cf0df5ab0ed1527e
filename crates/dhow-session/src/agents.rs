//! The ssh agents that steps may talk to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::metadata;

/// The id that is meant where none is named.
const DEFAULT: &str = "default";
/// Messages on their way.
const QUEUE: usize = 16;
/// The largest of them.
const PIECE: usize = 32 * 1024;

/// The agents' sockets by their ids.
pub(crate) struct Agents(pub(crate) Arc<BTreeMap<String, PathBuf>>);

impl Agents {
    fn socket(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { DEFAULT } else { id };
        let known = self.0.get(id);
        known.ok_or_else(|| Status::not_found(format!("unset ssh forward key {id}")))
    }
}

#[tonic::async_trait]
impl Ssh for Agents {
    type ForwardAgentStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.socket(&request.get_ref().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let socket = self.socket(&metadata::first(request.metadata(), "buildkit.ssh.id"))?;
        let agent = UnixStream::connect(socket).await;
        let agent = agent.map_err(|error| {
            Status::unavailable(format!(
                "failed to connect to {}: {error}",
                socket.display()
            ))
        })?;
        let (mut read, mut write) = agent.into_split();
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                if write.write_all(&message.data).await.is_err() {
                    break;
                }
            }
        });
        let (messages, mut queue) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut piece = vec![0; PIECE];
            while let Ok(length @ 1..) = read.read(&mut piece).await {
                let data = piece[..length].to_vec();
                if messages.send(Ok(BytesMessage { data })).await.is_err() {
                    break;
                }
            }
        });
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        Ok(Response::new(outgoing.boxed()))
    }
}
