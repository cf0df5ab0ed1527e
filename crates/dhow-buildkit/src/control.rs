//! The control service: builds, their progress, the cache, the history.

mod cache;
mod solve;

use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::v1 as control;
use control::control_server;
use dhow_errdefs::chain;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{broadcast, mpsc};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::board::{self, Board};
use crate::service::Shared;

/// Messages on their way to a client.
const QUEUE: usize = 16;
/// The bytes of a session's connection that are under way, where it is carried in messages.
const PIPE: usize = 256 * 1024;

/// The service.
pub(crate) struct Control(pub(crate) Arc<Shared>);

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// Runs what blocks elsewhere.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(error.to_string()))?
}

/// A stream's answer, with the time by which clients correct those of the messages.
fn streaming<T>(stream: Stream<T>) -> Response<Stream<T>> {
    let mut response = Response::new(stream);
    let now = Timestamp::now().to_string();
    if let Ok(now) = MetadataValue::try_from(now) {
        response
            .metadata_mut()
            .insert("buildkit-current-timestamp", now);
    }
    response
}

#[tonic::async_trait]
impl control_server::Control for Control {
    type PruneStream = Stream<control::UsageRecord>;
    type StatusStream = Stream<control::StatusResponse>;
    type SessionStream = Stream<control::BytesMessage>;
    type ListenBuildHistoryStream = Stream<control::BuildHistoryEvent>;

    async fn disk_usage(
        &self,
        request: Request<control::DiskUsageRequest>,
    ) -> Answer<control::DiskUsageResponse> {
        let shared = self.0.clone();
        let request = request.into_inner();
        let record = blocking(move || cache::usage(&shared, &request)).await?;
        Ok(Response::new(control::DiskUsageResponse { record }))
    }

    async fn prune(&self, request: Request<control::PruneRequest>) -> Answer<Self::PruneStream> {
        let shared = self.0.clone();
        let request = request.into_inner();
        let removed = blocking(move || cache::prune(&shared, &request)).await?;
        let records = futures::stream::iter(removed.into_iter().map(Ok));
        Ok(Response::new(records.boxed()))
    }

    async fn solve(
        &self,
        request: Request<control::SolveRequest>,
    ) -> Answer<control::SolveResponse> {
        let response = solve::solve(&self.0, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn status(&self, request: Request<control::StatusRequest>) -> Answer<Self::StatusStream> {
        let id = request.into_inner().r#ref;
        // One that has ended is in the history; nobody need wait for it.
        if self.0.builds.get(&id).is_none() {
            let (history, name) = (self.0.history.clone(), id.clone());
            if let Some(told) = blocking(move || Ok(history.told(&name))).await? {
                let messages = board::messages(&told).into_iter().map(Ok);
                return Ok(streaming(futures::stream::iter(messages).boxed()));
            }
        }
        let build = self.0.builds.find(&id).await;
        let build = build.ok_or_else(|| Status::not_found(format!("no such job {id}")))?;
        Ok(streaming(follow(build.board.clone())))
    }

    async fn session(
        &self,
        request: Request<Streaming<control::BytesMessage>>,
    ) -> Answer<Self::SessionStream> {
        let headers = request.metadata().clone().into_headers();
        let mut incoming = request.into_inner();
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (mut read, mut write) = tokio::io::split(theirs);
        let sessions = self.0.sessions.clone();
        tokio::spawn(async move { sessions.serve(ours, &headers).await });
        tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                if write.write_all(&message.data).await.is_err() {
                    break;
                }
            }
            // The other half is closed with this one.
            let _ = write.shutdown().await;
        });
        let (messages, mut queue) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut piece = vec![0; 32 * 1024];
            while let Ok(length @ 1..) = read.read(&mut piece).await {
                let data = piece[..length].to_vec();
                if messages
                    .send(Ok(control::BytesMessage { data }))
                    .await
                    .is_err()
                {
                    break;
                }
            }
        });
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        Ok(Response::new(outgoing.boxed()))
    }

    async fn list_workers(
        &self,
        request: Request<control::ListWorkersRequest>,
    ) -> Answer<control::ListWorkersResponse> {
        let worker = self.0.worker();
        let filters = request.into_inner().filter;
        let fits = filters.is_empty() || filters.iter().any(|f| *f == format!("id=={}", worker.id));
        Ok(Response::new(control::ListWorkersResponse {
            record: Some(worker).filter(|_| fits).into_iter().collect(),
        }))
    }

    async fn info(&self, _: Request<control::InfoRequest>) -> Answer<control::InfoResponse> {
        Ok(Response::new(control::InfoResponse {
            buildkit_version: Some(crate::worker::version(&self.0)),
        }))
    }

    async fn listen_build_history(
        &self,
        request: Request<control::BuildHistoryRequest>,
    ) -> Answer<Self::ListenBuildHistoryStream> {
        let request = request.into_inner();
        // First, so that nothing is missed in between.
        let events = self.0.history.listen();
        let past = past(&self.0, &request).await?;
        let past = futures::stream::iter(past.into_iter().map(Ok));
        if request.early_exit {
            return Ok(streaming(past.boxed()));
        }
        let news = news(events, request.r#ref, request.active_only);
        Ok(streaming(past.chain(news).boxed()))
    }

    async fn update_build_history(
        &self,
        request: Request<control::UpdateBuildHistoryRequest>,
    ) -> Answer<control::UpdateBuildHistoryResponse> {
        let request = request.into_inner();
        let history = self.0.history.clone();
        blocking(move || {
            let id = &request.r#ref;
            let known = match request {
                _ if request.delete => history.delete(id),
                // Records are written at the end of a build: there is nothing to be finished.
                _ if request.finalize => return Ok(()),
                _ => history.pin(id, request.pinned),
            };
            match known.map_err(|error| Status::unknown(chain(&error).to_string()))? {
                true => Ok(()),
                false => Err(Status::not_found(format!("no record found for {id}"))),
            }
        })
        .await?;
        Ok(Response::new(control::UpdateBuildHistoryResponse {}))
    }
}

/// What a build tells, from its beginning to its end.
fn follow(board: Arc<Board>) -> Stream<control::StatusResponse> {
    let told = board.subscribe();
    let state = (board, told, 0_usize, false);
    let stream = futures::stream::unfold(state, |(board, mut told, seen, over)| async move {
        if over {
            return None;
        }
        loop {
            told.mark_unchanged();
            let (status, after, over) = board.after(seen);
            if after > seen {
                return Some((Ok(status), (board, told, after, over)));
            }
            if over || told.changed().await.is_err() {
                return None;
            }
        }
    });
    stream.boxed()
}

/// The builds that go on and the history's records, as far as they are asked for.
async fn past(
    shared: &Arc<Shared>,
    request: &control::BuildHistoryRequest,
) -> Result<Vec<control::BuildHistoryEvent>, Status> {
    use control::BuildHistoryEventType::{Complete, Started};
    let mut records: Vec<_> = shared
        .history
        .going_on()
        .into_iter()
        .map(|r| (Started, r))
        .collect();
    if !request.active_only {
        let history = shared.history.clone();
        let past = blocking(move || {
            let listed = history.list();
            listed.map_err(|error| Status::unknown(chain(&error).to_string()))
        });
        records.extend(past.await?.into_iter().map(|record| (Complete, record)));
    }
    let mut events = Vec::new();
    for (kind, record) in records {
        let named = request.r#ref.is_empty() || record.r#ref == request.r#ref;
        if named && cache::fits_record(&record, &request.filter)? {
            events.push(control::BuildHistoryEvent {
                r#type: kind.into(),
                record: Some(record),
            });
        }
    }
    if let Ok(limit @ 1..) = usize::try_from(request.limit) {
        events.truncate(limit);
    }
    Ok(events)
}

/// What happens to the history from now on, as far as it was asked for.
fn news(
    events: broadcast::Receiver<control::BuildHistoryEvent>,
    only: String,
    active: bool,
) -> Stream<control::BuildHistoryEvent> {
    let deleted = i32::from(control::BuildHistoryEventType::Deleted);
    let stream = futures::stream::unfold(events, move |mut events| {
        let only = only.clone();
        async move {
            loop {
                let event = match events.recv().await {
                    Ok(event) => event,
                    // Who is that slow sees the rest.
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return None,
                };
                let about = event.record.as_ref();
                let asked = about.is_some_and(|r| only.is_empty() || r.r#ref == only);
                if asked && !(active && event.r#type == deleted) {
                    return Some((Ok(event), events));
                }
            }
        }
    });
    stream.boxed()
}
