//! Sessions: connections on which the client serves and the engine calls.

mod agent;
mod client;
mod export;
mod files;
mod metadata;
mod store;

pub(crate) use files::Folder;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dhow_filesync::Folders;
use http::{HeaderMap, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::transport::{self, Channel};

/// How long a build waits for its session: the two come on connections of their own.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sessions at once.
const MOST: usize = 4096;
/// Methods that a session may name.
const METHODS: usize = 256;

/// All sessions; clones are the same.
#[derive(Clone)]
pub(crate) struct Sessions {
    shared: Arc<Shared>,
}

struct Shared {
    folders: Folders,
    open: Mutex<HashMap<String, Arc<Session>>>,
    /// Changes when a session comes.
    arrivals: watch::Sender<u64>,
}

/// One session.
pub(crate) struct Session {
    shared_key: String,
    methods: HashSet<String>,
    channel: Channel,
    folders: Folders,
    /// Cancelled when the client has gone.
    pub(crate) gone: CancellationToken,
}

impl Sessions {
    pub(crate) fn new(folders: Folders) -> Self {
        Self {
            shared: Arc::new(Shared {
                folders,
                open: Mutex::default(),
                arrivals: watch::Sender::new(0),
            }),
        }
    }

    /// Takes part in a session, to its end.
    pub(crate) async fn serve<C>(&self, connection: C, headers: &HeaderMap)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let text = |name: &str| {
            let value = headers.get(format!("x-docker-expose-session-{name}"));
            let value = value.and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let id = text("uuid");
        if id.is_empty() || id.len() > 256 {
            tracing::debug!("a session without an id");
            return;
        }
        let methods = headers.get_all("x-docker-expose-session-grpc-method");
        let methods = methods.iter().take(METHODS).filter_map(|m| m.to_str().ok());
        let methods = methods.map(str::to_ascii_lowercase).collect();
        let (channel, life) = match transport::dial(connection).await {
            Ok(dialled) => dialled,
            Err(error) => {
                tracing::debug!(%error, "a session can't begin");
                return;
            }
        };
        let session = Arc::new(Session {
            shared_key: text("sharedkey"),
            methods,
            channel,
            folders: self.shared.folders.clone(),
            gone: CancellationToken::new(),
        });
        let _ends = session.gone.clone().drop_guard();
        {
            let mut open = self.open();
            if open.len() >= MOST || open.contains_key(&id) {
                tracing::debug!(id, "there is such a session already, or there are too many");
                return;
            }
            open.insert(id.clone(), session);
        }
        let _leaves = Leaves(self, &id);
        self.shared.arrivals.send_modify(|count| *count += 1);
        life.await;
    }

    /// The session with that id, which may come a moment later.
    pub(crate) async fn find(&self, id: &str) -> Option<Arc<Session>> {
        let mut arrivals = self.shared.arrivals.subscribe();
        let wait = async {
            loop {
                if let Some(session) = self.open().get(id) {
                    return Some(session.clone());
                }
                arrivals.changed().await.ok()?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok()?
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a session out when its connection ends, however that happens.
struct Leaves<'a>(&'a Sessions, &'a str);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.open().remove(self.1);
    }
}

impl Session {
    /// Whether the client serves a method: `/moby.filesync.v1.FileSync/DiffCopy`.
    fn serves(&self, method: &str) -> bool {
        self.methods.contains(&method.to_ascii_lowercase())
    }
}

/// The server's name in calls; nobody looks at it.
fn origin() -> Uri {
    Uri::from_static("http://localhost")
}
