//! What the command line needs of a terminal: raw mode, window size, tables, progress lines and Go templates.
//!
//! Nothing here talks to the engine. [`template`] evaluates the `--format` templates Docker's users know,
//! [`Table`] lays cells out as Go's `tabwriter` does, [`Progress`] renders a stream of progress messages,
//! [`units`] writes and reads human sizes and durations, [`harmless`] shows what strangers say.

mod cells;
mod harmless;
mod progress;
mod raw;
pub mod template;
mod totals;
pub mod units;

pub use cells::{Table, align};
pub use harmless::harmless;
pub use progress::{Message, Progress};
pub use raw::{RawMode, is_terminal, restore_all, window_size, without_echo};
