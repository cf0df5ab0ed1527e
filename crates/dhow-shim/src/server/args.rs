//! The arguments of `dhow shim`.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::error::MainError;

/// Where the shim is told of its container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A file.
    Config(PathBuf),
    /// An inherited socket, on which the first client is.
    Control(i32),
}

/// The arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Args {
    source: Source,
    /// How many descriptors to hold, from 4 on.
    held: i32,
}

impl Args {
    pub(super) fn parse(args: &[OsString]) -> Result<Self, MainError> {
        let (mut source, mut held) = (None, 0);
        let mut args = args.iter();
        while let Some(option) = args.next() {
            let value = args.next().ok_or(MainError::Usage)?;
            let number = || {
                value
                    .to_str()
                    .and_then(|text| text.parse().ok())
                    .ok_or(MainError::Usage)
            };
            match option.to_str() {
                Some("--config") => source = Some(Source::Config(value.into())),
                Some("--control") => source = Some(Source::Control(number()?)),
                Some("--held") => held = number()?,
                // Only for those who read the list of processes.
                Some("--container") => {}
                _ => return Err(MainError::Usage),
            }
        }
        Ok(Self {
            source: source.ok_or(MainError::Usage)?,
            held,
        })
    }

    /// The file to be read, if there is one.
    pub(super) fn config(&self) -> Option<&Path> {
        match &self.source {
            Source::Config(path) => Some(path),
            Source::Control(_) => None,
        }
    }

    /// Takes over the descriptors to be held.
    pub(super) fn take_held(&self) -> Result<Vec<OwnedFd>, MainError> {
        let first = 4;
        (first..first + self.held)
            .map(|fd| dhow_sys::fds::inherit(fd).map_err(MainError::Inherit))
            .collect()
    }

    /// Takes over the socket of the first client.
    pub(super) fn take_control(&self) -> Result<UnixStream, MainError> {
        match self.source {
            Source::Control(fd) => Ok(dhow_sys::fds::inherit(fd)
                .map_err(MainError::Inherit)?
                .into()),
            Source::Config(_) => Err(MainError::Usage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Option<Args> {
        Args::parse(&args.iter().map(OsString::from).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn one_source_is_needed() {
        let control = Args {
            source: Source::Control(3),
            held: 2,
        };
        assert_eq!(
            parse(&["--control", "3", "--held", "2", "--container", "/x"]),
            Some(control)
        );
        assert_eq!(
            parse(&["--config", "/c"]),
            Some(Args {
                source: Source::Config("/c".into()),
                held: 0
            })
        );
        for wrong in [
            &[][..],
            &["--held", "1"],
            &["--config"],
            &["--control", "x"],
            &["extra"],
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
