//! Sockets the service manager opened for us (`LISTEN_FDS`), for `-H fd://`.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

/// The first descriptor that is handed over.
const FIRST: i32 = 3;

/// Why there is no such socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no sockets found via socket activation: make sure the service was started by systemd")]
    None,
    #[error("failed to find a matching file descriptor for {0:?}: no such socket was handed over")]
    NoSuch(String),
    #[error("cannot take over descriptor {fd}")]
    Descriptor {
        fd: i32,
        #[source]
        source: std::io::Error,
    },
}

/// The sockets that were handed over, by name.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Vec<(String, OwnedFd)>);

impl Inherited {
    /// Takes over what the environment says was handed over. Call it once, and early.
    pub(crate) fn from_env(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let number = |name| get(name).and_then(|text| text.to_str()?.parse::<u32>().ok());
        if number("LISTEN_PID") != Some(std::process::id()) {
            return Ok(Self::default());
        }
        let count = i32::try_from(number("LISTEN_FDS").unwrap_or(0)).unwrap_or(0);
        let names = get("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.to_string_lossy().into_owned();
        let mut names = names.split(':');
        let mut sockets = Vec::new();
        for index in 0..count {
            let fd = FIRST + index;
            let socket =
                dhow_sys::fds::inherit(fd).map_err(|source| Error::Descriptor { fd, source })?;
            let name = match names.next() {
                None | Some("" | "unknown") => fd.to_string(),
                Some(name) => name.to_owned(),
            };
            sockets.push((name, socket));
        }
        Ok(Self(sockets))
    }

    /// The sockets of that name (or number); all of them without one.
    pub(crate) fn take(&mut self, name: &str) -> Result<Vec<(String, OwnedFd)>, Error> {
        if self.0.is_empty() {
            return Err(Error::None);
        }
        let (taken, rest) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<Vec<_>, _>(|(have, _)| name.is_empty() || have == name);
        self.0 = rest;
        if taken.is_empty() {
            return Err(Error::NoSuch(name.to_owned()));
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_meant_for_another_process_is_left_alone() {
        let env = |name: &str| match name {
            "LISTEN_PID" => Some(OsString::from("1")),
            "LISTEN_FDS" => Some(OsString::from("2")),
            _ => None,
        };
        let mut inherited = Inherited::from_env(env).unwrap();
        assert!(matches!(inherited.take(""), Err(Error::None)));
    }

    #[test]
    fn sockets_are_taken_by_name() {
        let fd = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let mut inherited = Inherited(vec![("api".to_owned(), fd()), ("4".to_owned(), fd())]);
        assert!(matches!(inherited.take("nosuch"), Err(Error::NoSuch(_))));
        assert_eq!(inherited.take("4").unwrap().len(), 1);
        assert_eq!(inherited.take("").unwrap()[0].0, "api");
    }
}
