//! A context that comes from a stream, such as the standard input: the engine pulls it.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use bollard_buildkit_proto::moby::upload::v1::BytesMessage;
use bollard_buildkit_proto::moby::upload::v1::upload_server::Upload;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::metadata;

/// Messages on their way.
const QUEUE: usize = 16;
/// The largest of them, as BuildKit has it.
const PIECE: usize = 1 << 20;

/// Something that is read once.
pub type Input = Box<dyn Read + Send>;

/// The upload, until it is asked for, and its id.
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) input: Mutex<Option<Input>>,
}

#[tonic::async_trait]
impl Upload for Waiting {
    type PullStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn pull(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let path = metadata::first(request.metadata(), "urlpath");
        let mut input = match path.trim_start_matches('/') == self.id {
            true => self
                .input
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
            false => None,
        }
        .ok_or_else(|| Status::not_found(format!("no http response from session for {path}")))?;
        let (messages, mut queue) = mpsc::channel(QUEUE);
        tokio::task::spawn_blocking(move || {
            loop {
                let mut data = Vec::with_capacity(PIECE);
                let read = input.by_ref().take(PIECE as u64).read_to_end(&mut data);
                let message = match read {
                    Ok(0) => return,
                    Ok(_) => Ok(BytesMessage { data }),
                    Err(error) => Err(Status::unknown(error.to_string())),
                };
                let failed = message.is_err();
                if messages.blocking_send(message).is_err() || failed {
                    return;
                }
            }
        });
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        Ok(Response::new(outgoing.boxed()))
    }
}
