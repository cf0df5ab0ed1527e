//! Telling the one who started the daemon how it is: the service manager, or the command line.

use std::ffi::OsStr;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who wants to know.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    manager: Option<SocketAddr>,
    ready: Option<std::fs::File>,
}

impl Notify {
    /// The service manager of `NOTIFY_SOCKET` and the descriptor of `--ready-fd`.
    pub(crate) fn new(manager: Option<&OsStr>, ready_fd: Option<i32>) -> std::io::Result<Self> {
        let ready = match ready_fd {
            Some(fd) => Some(dhow_sys::fds::inherit(fd)?.into()),
            None => None,
        };
        Ok(Self {
            manager: manager.and_then(address),
            ready,
        })
    }

    /// The API is served.
    pub(crate) fn ready(&mut self) {
        self.tell(&format!("READY=1\nMAINPID={}\n", std::process::id()));
        if let Some(mut pipe) = self.ready.take() {
            // Who started us may be gone; then nobody waits.
            let _ = pipe.write_all(b"1");
        }
    }

    /// The settings are being read again.
    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000) + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// The settings have been read again.
    pub(crate) fn reloaded(&self) {
        self.tell("READY=1\n");
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    fn tell(&self, text: &str) {
        let Some(address) = &self.manager else {
            return;
        };
        let sent = UnixDatagram::unbound()
            .and_then(|socket| socket.send_to_addr(text.as_bytes(), address));
        if let Err(error) = sent {
            tracing::warn!(%error, "cannot notify the service manager");
        }
    }
}

fn address(path: &OsStr) -> Option<SocketAddr> {
    match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(path).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_manager_hears_of_the_life() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut notify = Notify::new(Some(path.as_os_str()), None).unwrap();
        notify.ready();
        notify.reloading();
        notify.reloaded();
        notify.stopping();
        for start in [
            "READY=1\nMAINPID=",
            "RELOADING=1\nMONOTONIC_USEC=",
            "READY=1\n",
            "STOPPING=1\n",
        ] {
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap();
            assert!(buffer[..length].starts_with(start.as_bytes()), "{start}");
        }
    }

    #[test]
    fn nobody_need_listen() {
        Notify::new(None, None).unwrap().ready();
        Notify::new(Some(OsStr::new("relative")), None)
            .unwrap()
            .ready();
    }
}
