//! The daemon's life: lock, listen, restore, serve, drain.
#![allow(
    clippy::result_large_err,
    reason = "these errors are made once, when the daemon ends"
)]

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use dhow_engine::Engine;
use dhow_engine::events::EventKind;
use dhow_server::Handles;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::activation::Inherited;
use crate::assemble::{self, Assembled};
use crate::builder;
use crate::listen::{self, Listeners};
use crate::lock::{self, DataRoot, PidFile};
use crate::logs::LogLevel;
use crate::notify::Notify;
use crate::serve::Serving;
use crate::settings::{self, Flags, Settings};

/// Threads that drive requests; what blocks has its own.
const WORKERS: usize = 2;
/// The most threads for what blocks: unpacking, copying, syncing.
const BLOCKING: usize = 64;
/// How long such a thread waits for more before it gives its memory back.
const IDLE_THREAD: Duration = Duration::from_secs(3);

/// Why the daemon ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Lock(#[from] lock::Error),
    #[error(transparent)]
    Listen(#[from] listen::Error),
    #[error(transparent)]
    Assemble(#[from] assemble::Error),
    #[error("cannot restore the containers")]
    Restore(#[source] dhow_engine::Error),
    #[error("cannot start the event loop")]
    Runtime(#[source] io::Error),
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

/// What the daemon is started with.
pub(crate) struct Start {
    pub(crate) flags: Flags,
    pub(crate) settings: Settings,
    pub(crate) inherited: Inherited,
    pub(crate) notify: Notify,
    pub(crate) log_level: LogLevel,
}

/// Runs until a signal says otherwise.
pub(crate) fn run(start: Start) -> Result<(), Error> {
    let settings = &start.settings;
    assemble::folders(settings)?;
    let _lock = DataRoot::lock(&settings.paths.data_root)?;
    let _pidfile = PidFile::write(&settings.paths.pidfile)?;
    let listeners = listen::open(&settings.listen, &settings.paths, start.inherited)?;
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(IDLE_THREAD)
        .thread_name("dhow")
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let life = Life {
        flags: start.flags,
        notify: start.notify,
        log_level: start.log_level,
        shutdown_timeout: settings.shutdown_timeout,
    };
    let result = runtime.block_on(life.live(settings, listeners));
    // Threads that block for a client's sake don't hold the end up.
    runtime.shutdown_background();
    result
}

struct Life {
    flags: Flags,
    notify: Notify,
    log_level: LogLevel,
    shutdown_timeout: Duration,
}

impl Life {
    async fn live(mut self, settings: &Settings, mut listeners: Listeners) -> Result<(), Error> {
        // Before anything is begun: a signal that comes now must not kill.
        let mut signals = Signals::new().map_err(Error::Runtime)?;
        let stop = CancellationToken::new();
        let Assembled {
            engine,
            registry,
            images,
            builds,
            buildkit,
        } = assemble::assemble(settings, &stop)?;
        engine.restore().await.map_err(Error::Restore)?;
        let rules = settings.builder.policy.clone();
        let pruning = builder::prune(builds.builder.clone(), rules, stop.clone());
        tokio::spawn(pruning);
        let handles = Handles::new(&engine, registry, builds, stop.clone());
        let serving = Serving::new(dhow_server::router(handles), buildkit, stop.clone());
        for socket in listeners.sockets.drain(..) {
            serving.listen(socket).map_err(Error::Serve)?;
        }
        tracing::info!(
            instance = settings.instance(),
            data_root = %settings.paths.data_root.display(),
            "API listen on {}",
            listeners.names.join(" ")
        );
        self.notify.ready();
        // What a daemon that was killed in the middle of a pull or a load has left.
        tokio::task::spawn_blocking(move || match images.collect_garbage() {
            Ok(0) => {}
            Ok(bytes) => tracing::info!("unfinished images removed: {bytes} bytes"),
            Err(error) => {
                tracing::warn!("remove unfinished images: {}", dhow_errdefs::chain(&error))
            }
        });
        loop {
            match signals.next().await {
                Asked::Reload => self.reload(&engine),
                Asked::Stop(name) => {
                    tracing::info!("Processing signal '{name}'");
                    break;
                }
            }
        }
        self.notify.stopping();
        stop.cancel();
        let finish = async {
            engine.drain().await;
            serving.drained(self.shutdown_timeout).await
        };
        tokio::select! {
            all = finish => {
                if !all {
                    tracing::warn!("requests are cut off: they took longer than the shutdown timeout");
                }
            }
            // Who asks twice does not want to wait.
            () = signals.stop() => tracing::warn!("asked to stop again: requests are cut off"),
        }
        tracing::info!("Daemon shutdown complete");
        Ok(())
    }

    /// Reads the settings again and takes over what can be changed while the daemon runs.
    fn reload(&self, engine: &Engine) {
        tracing::info!("Got signal to reload configuration");
        self.notify.reloading();
        match settings::load(&self.flags) {
            Ok(settings) => {
                self.log_level.set(settings.logs.level);
                let attributes = BTreeMap::from([
                    (
                        "name".to_owned(),
                        rustix::system::uname()
                            .nodename()
                            .to_string_lossy()
                            .into_owned(),
                    ),
                    ("debug".to_owned(), settings.engine.debug.to_string()),
                ]);
                engine
                    .events()
                    .tell(EventKind::Daemon, "reload", settings.instance(), attributes);
                tracing::info!("Reloaded: the log level; other settings apply from the next start");
            }
            Err(error) => {
                tracing::error!("nothing is reloaded: {}", dhow_errdefs::chain(&error));
            }
        }
        self.notify.reloaded();
    }
}

enum Asked {
    Reload,
    Stop(&'static str),
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("terminated"),
            _ = self.interrupt.recv() => Asked::Stop("interrupt"),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    async fn stop(&mut self) {
        while let Asked::Reload = self.next().await {}
    }
}

/// Allows as many descriptors as the kernel does: each attached client and followed log takes some.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
