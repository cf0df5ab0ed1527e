//! A build of `POST /build`, from its files to its last line.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use dhow_builder::progress::Listener;
use dhow_builder::request::{BuildRequest, ContextSource, DockerfileSource};
use dhow_builder::{Client, Error};
use dhow_dockerfile::{Dockerfile, Instruction};
use dhow_errdefs::ErrorKind;
use futures::stream;
use tokio::io::AsyncRead;
use tokio_util::task::AbortOnDropHandle;

use super::telling::{End, Telling};
use super::{Builds, Context, Manner, Order, TarClient, Transcript, order};
use crate::error::{ApiError, Result};

/// Arguments that need no `ARG`.
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// A build that can begin.
pub(crate) struct Build {
    builds: Builds,
    order: Order,
    request: BuildRequest,
    telling: Arc<Telling>,
    context: Option<Arc<Context>>,
    /// Arguments that nothing in the Dockerfile asks for.
    unused: Vec<String>,
}

impl Build {
    /// Takes the files and reads the Dockerfile; what is wrong with those is answered with a status.
    pub(crate) async fn prepare(
        builds: Builds,
        order: Order,
        body: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<Self> {
        let id = dhow_engine::new_id();
        let session = match &order.session {
            Some(session) if order.traces => {
                let gone = || {
                    ApiError::new(
                        ErrorKind::System,
                        format!("no active session for {session}"),
                    )
                };
                Some(builds.sessions.client(session).await.ok_or_else(gone)?)
            }
            _ => None,
        };
        let (context, source) = match order.remote.as_deref() {
            None => {
                let unpacked = Context::unpack(&builds.contexts, &id, body, &order.dockerfile);
                (
                    Some(Arc::new(unpacked.await?)),
                    ContextSource::Local("context".into()),
                )
            }
            Some("client-session") => (None, ContextSource::Local("context".into())),
            Some(remote) if order::is_git(remote) => (None, ContextSource::Git(remote.to_owned())),
            Some(remote) => (None, ContextSource::Http(remote.to_owned())),
        };
        let dockerfile = match (&context, &source) {
            (Some(context), _) => DockerfileSource::Local {
                context: "dockerfile".into(),
                path: context.name.clone(),
            },
            (None, ContextSource::Local(_)) => DockerfileSource::Local {
                context: "dockerfile".into(),
                path: order.dockerfile.clone(),
            },
            (None, _) => DockerfileSource::Context(order.dockerfile.clone()),
        };
        let read = context.as_ref().map(|context| read(context, &order));
        let read = read.transpose()?;
        let unused = read
            .as_ref()
            .map_or_else(Vec::new, |read| unused(&read.0, &order));
        let transcript = read.map(|(dockerfile, target)| {
            let manner = Manner {
                removes: order.removes,
                labels: order.options.labels.clone(),
            };
            Transcript::new(&dockerfile, target, manner)
        });
        let telling = Arc::new(Telling::new(&builds, &order, transcript));
        let client = TarClient {
            context: context.clone(),
            credentials: order.credentials.clone(),
            session,
        };
        let request = BuildRequest {
            id: order.id.clone().unwrap_or(id),
            client: Arc::new(client) as Arc<dyn Client>,
            listener: telling.clone() as Arc<dyn Listener>,
            dockerfile,
            context: source,
            named_contexts: Default::default(),
            options: order.options.clone(),
            exports: order.exports.clone(),
            cache_from: order.cache_from.clone(),
            cache_to: Vec::new(),
        };
        Ok(Self {
            builds,
            order,
            request,
            telling,
            context,
            unused,
        })
    }

    /// Carries the build out as its client reads what goes on; a client that goes away ends it.
    pub(crate) async fn carry_out(self) -> Result<Body> {
        let telling = self.telling.clone();
        let work = AbortOnDropHandle::new(tokio::spawn(self.work()));
        let first = telling.next().await;
        if let Some(error) = telling.early() {
            return Err(error);
        }
        let lines = stream::unfold(
            (first, telling, work),
            |(ready, telling, work)| async move {
                let line = match ready {
                    Some(line) => line,
                    None => telling.next().await?,
                };
                Some((Ok::<_, Infallible>(line), (None, telling, work)))
            },
        );
        Ok(Body::from_stream(lines))
    }

    async fn work(self) {
        let telling = self.telling.clone();
        // Whatever happens here, the client learns that it is over.
        let _end = End(telling.clone());
        let running = self.builds.running.enter(self.order.id.as_deref());
        let result = tokio::select! {
            result = self.builds.builder.build(self.request) => result,
            () = running.cancelled.cancelled() => Err(Error::Cancelled),
        };
        if let Some(context) = self.context {
            context.remove().await;
        }
        match result {
            Ok(outcome) => {
                self.builds.images.built(&outcome.names);
                telling.succeed(&self.order, &outcome, &self.unused);
            }
            Err(error) => telling.fail(&error),
        }
    }
}

/// The Dockerfile, and the stage that is built.
fn read(context: &Context, order: &Order) -> Result<(Dockerfile, usize)> {
    if context.dockerfile.is_empty() {
        return Err(ApiError::invalid(format!(
            "the Dockerfile ({}) cannot be empty",
            order.dockerfile
        )));
    }
    let dockerfile = dhow_dockerfile::parse(&context.dockerfile);
    let dockerfile = dockerfile.map_err(|error| ApiError::invalid(error.to_string()))?;
    let last = dockerfile.stages.len().saturating_sub(1);
    let Some(target) = &order.options.target else {
        return Ok((dockerfile, last));
    };
    let wanted = target.to_lowercase();
    let mut stages = dockerfile.stages.iter();
    let named = stages.position(|stage| stage.name.as_ref() == Some(&wanted));
    let number = || wanted.parse().ok().filter(|number| *number <= last);
    let none = || ApiError::invalid(format!("target stage {target:?} could not be found"));
    let target = named.or_else(number).ok_or_else(none)?;
    Ok((dockerfile, target))
}

/// The arguments that nothing in the Dockerfile asks for, sorted.
fn unused(dockerfile: &Dockerfile, order: &Order) -> Vec<String> {
    let steps = dockerfile.stages.iter().flat_map(|stage| &stage.steps);
    let asked: BTreeSet<&str> = dockerfile
        .arguments
        .iter()
        .chain(steps)
        .flat_map(|step| match &step.instruction {
            Instruction::Arg(arguments) => arguments.as_slice(),
            _ => &[],
        })
        .map(|argument| argument.name.as_str())
        .collect();
    let names = order.options.arguments.keys();
    let known = |name: &str| {
        asked.contains(name) || PREDEFINED.contains(&name) || name.starts_with("BUILDKIT_")
    };
    names.filter(|name| !known(name)).cloned().collect()
}
