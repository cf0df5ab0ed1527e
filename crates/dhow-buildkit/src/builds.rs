//! Builds while they go on.
//!
//! A build is known from its `Solve` to a little after its end, so that who asks for its status late still gets it. A
//! *bridge* belongs to a build whose front end runs on the client's side: what that asks for is *prepared*, and carried
//! out once it is returned as the result, together with the exports that the build was begun with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tonic::Status;

use crate::board::Board;
use crate::order::Order;
use crate::session::Session;

/// How long a build is known after its end, and waited for before its beginning.
const PATIENCE: Duration = Duration::from_secs(5);
/// What one client may have prepared.
const PREPARED: usize = 1024;

/// The builds that go on; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Builds {
    shared: Arc<Shared>,
}

struct Shared {
    builds: Mutex<HashMap<String, Arc<Build>>>,
    arrivals: watch::Sender<()>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            builds: Mutex::default(),
            arrivals: watch::Sender::new(()),
        }
    }
}

/// One build.
pub(crate) struct Build {
    pub(crate) board: Arc<Board>,
    pub(crate) client: Arc<Session>,
    bridge: Mutex<Bridge>,
}

struct Bridge {
    prepared: HashMap<String, Order>,
    returned: Option<oneshot::Sender<Returned>>,
    /// Until somebody waits: a quick front end may be done before that.
    receiver: Option<oneshot::Receiver<Returned>>,
}

impl Default for Bridge {
    fn default() -> Self {
        let (sender, receiver) = oneshot::channel();
        Self {
            prepared: HashMap::new(),
            returned: Some(sender),
            receiver: Some(receiver),
        }
    }
}

/// What the client's front end gave: what is to be built, nothing, or why it failed.
pub(crate) type Returned = Result<Option<Order>, Status>;

impl Builds {
    fn builds(&self) -> MutexGuard<'_, HashMap<String, Arc<Build>>> {
        self.shared
            .builds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a build; it is over when what is given is dropped.
    pub(crate) fn begin(&self, id: &str, client: Arc<Session>) -> Result<Running, Status> {
        let build = Arc::new(Build {
            board: Arc::new(Board::default()),
            client,
            bridge: Mutex::default(),
        });
        let mut builds = self.builds();
        if id.is_empty() || id.len() > 256 || builds.contains_key(id) {
            return Err(Status::already_exists(format!("job ID {id} exists")));
        }
        builds.insert(id.to_owned(), build.clone());
        drop(builds);
        self.shared.arrivals.send_replace(());
        Ok(Running {
            builds: self.clone(),
            id: id.to_owned(),
            build,
        })
    }

    /// The build with that id, which may begin a moment later.
    pub(crate) async fn find(&self, id: &str) -> Option<Arc<Build>> {
        let mut arrivals = self.shared.arrivals.subscribe();
        let wait = async {
            loop {
                if let Some(build) = self.builds().get(id) {
                    return Some(build.clone());
                }
                arrivals.changed().await.ok()?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok()?
    }

    /// The build with that id, if it goes on now or has just ended.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Build>> {
        self.builds().get(id).cloned()
    }
}

/// A build that goes on.
pub(crate) struct Running {
    builds: Builds,
    id: String,
    pub(crate) build: Arc<Build>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.build.board.end();
        let (builds, id) = (self.builds.clone(), std::mem::take(&mut self.id));
        let forget = async move {
            tokio::time::sleep(PATIENCE).await;
            builds.builds().remove(&id);
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(forget);
        }
    }
}

impl Build {
    fn bridge(&self) -> MutexGuard<'_, Bridge> {
        self.bridge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the bridge; what is returned over it comes by the receiver.
    pub(crate) fn open_bridge(&self) -> oneshot::Receiver<Returned> {
        let mut bridge = self.bridge();
        if let Some(receiver) = bridge.receiver.take() {
            return receiver;
        }
        let (sender, receiver) = oneshot::channel();
        bridge.returned = Some(sender);
        receiver
    }

    /// Keeps what the client's front end asked for, by an id that it can return.
    pub(crate) fn prepare(&self, id: String, order: Order) -> Result<(), Status> {
        let mut bridge = self.bridge();
        if bridge.prepared.len() >= PREPARED {
            return Err(Status::resource_exhausted("too many results in one build"));
        }
        bridge.prepared.insert(id, order);
        Ok(())
    }

    /// What was prepared under an id.
    pub(crate) fn prepared(&self, id: &str) -> Option<Order> {
        self.bridge().prepared.get(id).cloned()
    }

    /// Takes the front end's result.
    pub(crate) fn give_back(&self, returned: Returned) -> Result<(), Status> {
        let sender = self.bridge().returned.take();
        let sender =
            sender.ok_or_else(|| Status::failed_precondition("nothing waits for a result"))?;
        // Who waited may have gone: then the call that asked for it has ended as well.
        let _ = sender.send(returned);
        Ok(())
    }
}
