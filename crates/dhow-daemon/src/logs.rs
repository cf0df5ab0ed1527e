//! The daemon's own log, on stderr.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::settings::Logs;

/// Changes how much is logged, while the daemon runs.
#[derive(Debug, Clone)]
pub(crate) struct LogLevel(reload::Handle<LevelFilter, Registry>);

impl LogLevel {
    /// Logs what is at least as important as `level` from now on.
    pub(crate) fn set(&self, level: Level) {
        // It fails only when there is no subscriber any more, and then nobody logs.
        let _ = self.0.reload(LevelFilter::from_level(level));
    }
}

/// Starts logging.
pub(crate) fn start(settings: Logs) -> LogLevel {
    let (filter, handle) = reload::Layer::new(LevelFilter::from_level(settings.level));
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer: Box<dyn Layer<_> + Send + Sync> = if settings.json {
        Box::new(layer.json().flatten_event(true))
    } else {
        let colours = !settings.raw && std::io::stderr().is_terminal();
        Box::new(layer.with_ansi(colours))
    };
    // A test that runs the daemon twice has a subscriber already; that one stays.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init();
    LogLevel(handle)
}
