//! What every command works with: the program's name, its settings, the engine's client and the output.

use std::cell::OnceCell;
use std::io::{self, Write};

use crate::autostart;
use crate::error::{Error, Result};
use dhow_client::Client;
use dhow_client::{Config, Globals};
use dhow_terminal::harmless;

/// One run of the command line.
pub(crate) struct Session {
    /// The name the program was called by: `dhow` or `docker`.
    pub(crate) program: String,
    /// The names that led to the command: `container ls`.
    pub(crate) path: String,
    pub(crate) globals: Globals,
    pub(crate) config: Config,
    client: OnceCell<Client>,
}

impl Session {
    pub(crate) fn new(program: String, path: String, globals: Globals, config: Config) -> Self {
        Self {
            program,
            path,
            globals,
            config,
            client: OnceCell::new(),
        }
    }

    /// The engine's client; nothing is connected until the first request.
    pub(crate) fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let starter = autostart::starter(self.globals.autostart);
        let client = Client::new(&self.globals, &self.config, starter)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// `docker run`, for errors.
    pub(crate) fn full_path(&self) -> String {
        format!("{} {}", self.program, self.path)
            .trim_end()
            .to_owned()
    }

    /// Writes to standard output; a terminal shows the orders to it that images and registries may have put into what
    /// they say.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        match dhow_terminal::is_terminal(io::stdout()) {
            true => self.print_bytes(harmless(text).as_bytes()),
            false => self.print_bytes(text.as_bytes()),
        }
    }

    /// Writes to standard output, orders to a terminal included: those are ours.
    pub(crate) fn print_styled(&self, text: &str) -> Result<()> {
        self.print_bytes(text.as_bytes())
    }

    /// Writes what may be no text to standard output.
    #[allow(clippy::unused_self, reason = "commands print through their session")]
    pub(crate) fn print_bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // Whoever read our output has gone; there is nothing more to do.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Error::exit(141)),
            outcome => outcome.map_err(Error::from),
        }
    }

    pub(crate) fn println(&self, text: &str) -> Result<()> {
        self.print(&format!("{text}\n"))
    }

    /// Writes a line to standard error.
    #[allow(clippy::unused_self, reason = "commands print through their session")]
    pub(crate) fn warn(&self, text: &str) {
        // Nowhere is left to report that reports cannot be written.
        let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
    }

    /// Does `action` for every name, prints what it returns and goes on after errors; fails with all of them.
    pub(crate) async fn each<F>(&self, names: &[String], mut action: F) -> Result<()>
    where
        F: AsyncFnMut(&str) -> Result<String>,
    {
        let mut failures = Vec::new();
        for name in names {
            match action(name).await {
                Ok(text) => self.println(&text)?,
                Err(error) if error.is_no_daemon() => return Err(error),
                Err(error) => failures.push(error.to_string()),
            }
        }
        all_or(failures)
    }
}

/// Success without failures, else one error with all of them.
pub(crate) fn all_or(failures: Vec<String>) -> Result<()> {
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Error::text(failures.join("\n")))
    }
}

/// Columns of the terminal that standard output is, or 80.
pub(crate) fn columns() -> usize {
    dhow_terminal::window_size(io::stdout()).map_or(80, |(_, columns)| usize::from(columns))
}
