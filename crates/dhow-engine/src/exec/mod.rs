//! Execs: further processes in a running container.

mod handle;
mod set;

pub use handle::Execs;
pub(crate) use set::ExecSet;

/// What an exec is to run, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateExec {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// The user; the container's when empty.
    pub user: String,
    /// All capabilities.
    pub privileged: bool,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Rows and columns of the terminal.
    pub console_size: Option<(u16, u16)>,
    /// The client sends input.
    pub attach_stdin: bool,
    /// The client wants the output.
    pub attach_stdout: bool,
    /// The client wants the error output.
    pub attach_stderr: bool,
    /// Environment besides the container's.
    pub env: Vec<String>,
    /// Where it starts; the container's own folder when empty.
    pub working_dir: String,
    /// The keys that end an attachment; the default ones when missing.
    pub detach_keys: Option<String>,
}

/// How an exec is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartExec {
    /// Nobody listens.
    pub detach: bool,
    /// What the client believes about the terminal; must fit the exec.
    pub tty: bool,
    /// Rows and columns of the terminal.
    pub console_size: Option<(u16, u16)>,
}

/// An exec, inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecDetails {
    /// Its id.
    pub id: String,
    /// Its container's id.
    pub container_id: String,
    /// What it was made of; the user is the one that applies.
    pub request: CreateExec,
    /// Whether it runs.
    pub running: bool,
    /// Its exit code, once it ended or failed to start.
    pub exit_code: Option<i32>,
    /// The host's process id; 0 before the start, kept afterwards.
    pub pid: u32,
    /// Whether it can be forgotten.
    pub can_remove: bool,
}
