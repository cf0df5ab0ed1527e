//! The client's ssh agents.

use bollard_buildkit_proto::moby::sshforward::v1::ssh_client::SshClient;
use bollard_buildkit_proto::moby::sshforward::v1::{BytesMessage, CheckAgentRequest};
use dhow_builder::client::ClientError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::Request;

use super::{Session, metadata, origin};

/// Messages on their way to the client.
const QUEUE: usize = 16;
/// The largest of them.
const PIECE: usize = 32 * 1024;

impl Session {
    /// Whether the client forwards that agent.
    pub(super) async fn has_agent(&self, id: &str) -> bool {
        if !self.serves("/moby.sshforward.v1.SSH/CheckAgent") {
            return false;
        }
        let mut client = SshClient::with_origin(self.channel.clone(), origin());
        let request = CheckAgentRequest { id: id.to_owned() };
        client.check_agent(request).await.is_ok()
    }

    /// Forwards a connection to that agent until either side ends it.
    pub(super) async fn agent(&self, id: &str, connection: UnixStream) -> Result<(), ClientError> {
        let (mut read, mut write) = connection.into_split();
        let (pieces, mut queue) = mpsc::channel(QUEUE);
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        let mut request = Request::new(outgoing);
        metadata::add(request.metadata_mut(), "buildkit.ssh.id", [id]);
        let mut client = SshClient::with_origin(self.channel.clone(), origin());
        let failed = |status: tonic::Status| ClientError(status.message().to_owned());
        let to_client = async move {
            let mut piece = vec![0; PIECE];
            while let Ok(length @ 1..) = read.read(&mut piece).await {
                let data = piece[..length].to_vec();
                if pieces.send(BytesMessage { data }).await.is_err() {
                    break;
                }
            }
        };
        let from_client = async move {
            let mut incoming = client.forward_agent(request).await.map_err(failed)?;
            while let Some(message) = incoming.get_mut().message().await.map_err(failed)? {
                if write.write_all(&message.data).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let ((), done) = tokio::join!(to_client, from_client);
        done
    }
}
