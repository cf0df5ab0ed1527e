//! Addresses and connections.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::context::Target;
use crate::error::{Error, Result};
use crate::tls::Tls;

/// A connection of any sort.
pub type Stream = Box<dyn Connection>;

/// What HTTP can be spoken over.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Where an engine listens.
pub(crate) enum Endpoint {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
        tls: Option<Box<Tls>>,
    },
    Ssh(Ssh),
}

/// The parts of an `ssh://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ssh {
    destination: String,
    port: Option<u16>,
    socket: String,
}

impl Endpoint {
    /// Reads an address: `unix://`, `tcp://`, `http://`, `https://`, `ssh://` or a bare `host:port`.
    pub(crate) fn parse(target: &Target) -> Result<Self> {
        let text = target.host.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let invalid = || {
            Error::text(format!(
                "Failed to initialize: unable to resolve docker endpoint: invalid bind address format: {text}"
            ))
        };
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix("/var/run/docker.sock".into())),
            "unix" => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" | "http" | "https" => {
                let secure = scheme == "https" || (scheme == "tcp" && target.tls.is_some());
                let authority = rest.split('/').next().unwrap_or_default();
                let (host, port) = match authority.rsplit_once(':') {
                    Some((host, port)) if !port.ends_with(']') => {
                        (host, port.parse().map_err(|_| invalid())?)
                    }
                    _ => (authority, if secure { 2376 } else { 2375 }),
                };
                let host = host.trim_matches(['[', ']']);
                let host = if host.is_empty() { "localhost" } else { host };
                let tls = match (&target.tls, secure) {
                    (_, false) => None,
                    (files, true) => Some(Box::new(Tls::new(files.as_ref(), host)?)),
                };
                Ok(Self::Tcp {
                    host: host.to_owned(),
                    port,
                    tls,
                })
            }
            "ssh" => Ssh::parse(rest).map(Self::Ssh).ok_or_else(invalid),
            _ => Err(invalid()),
        }
    }

    /// The `Host` header.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Unix(_) | Self::Ssh(_) => "api.moby.localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }

    /// The host as URLs in errors name it.
    pub(super) fn url_host(&self) -> String {
        match self {
            Self::Unix(path) => path.display().to_string().replace('/', "%2F"),
            Self::Tcp { .. } | Self::Ssh(_) => self.authority(),
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if matches!(self, Self::Tcp { tls: Some(_), .. }) {
            "https"
        } else {
            "http"
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp { host, port, tls } => {
                let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), *port))
                    .await
                    .map_err(|_| {
                        io::Error::other(format!("dial tcp: lookup {host}: no such host"))
                    })?
                    .collect();
                let stream = TcpStream::connect(addresses.as_slice()).await?;
                stream.set_nodelay(true)?;
                match tls {
                    None => Ok(Box::new(stream)),
                    Some(tls) => Ok(Box::new(tls.connect(stream).await?)),
                }
            }
            Self::Ssh(ssh) => ssh.connect(),
        }
    }
}

impl Ssh {
    fn parse(rest: &str) -> Option<Self> {
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (destination, port) = match authority.rsplit_once(':') {
            Some((destination, port)) if !port.ends_with(']') => {
                (destination, Some(port.parse().ok()?))
            }
            _ => (authority, None),
        };
        // What looks like an option must never reach ssh, nor the programs that it gives the host's name to.
        let host = destination.rsplit('@').next().unwrap_or_default();
        let sound = !host.is_empty() && !host.starts_with('-') && !destination.starts_with('-');
        sound.then(|| Self {
            destination: destination.to_owned(),
            port,
            socket: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Starts `ssh host dhow system dial-stdio` (or docker's, where there is no dhow).
    fn connect(&self) -> io::Result<Stream> {
        let at = match self.socket.as_str() {
            "" => String::new(),
            socket => format!(" -H 'unix://{}'", socket.replace('\'', "'\\''")),
        };
        let remote = format!(
            "if command -v dhow >/dev/null 2>&1; then exec dhow{at} system dial-stdio; else exec docker{at} system dial-stdio; fi"
        );
        let mut command = Command::new("ssh");
        command.arg("-T").args(["-o", "ConnectTimeout=30"]);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        let mut child = command
            .args(["--", &self.destination, &remote])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    io::Error::other("ssh:// addresses need the ssh program, which is not in $PATH")
                }
                _ => error,
            })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("ssh was started without its pipes"));
        };
        Ok(Box::new(SshStream {
            _child: child,
            stdin,
            stdout,
        }))
    }
}

/// The pipes of an `ssh` that ends with its stream.
struct SshStream {
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(host: &str) -> Result<Endpoint> {
        Endpoint::parse(&Target {
            host: host.to_owned(),
            tls: None,
            default: false,
        })
    }

    #[test]
    fn addresses_are_read() {
        assert!(
            matches!(parse("unix:///x/y.sock"), Ok(Endpoint::Unix(path)) if path.ends_with("y.sock"))
        );
        for (address, authority) in [
            ("tcp://10.0.0.1:99", "10.0.0.1:99"),
            ("tcp://name", "name:2375"),
            ("tcp://:77", "localhost:77"),
            ("host:5", "host:5"),
            ("tcp://[::1]:5", "[::1]:5"),
            ("tcp://[::1]", "[::1]:2375"),
        ] {
            assert_eq!(parse(address).map(|e| e.authority()).unwrap(), authority);
        }
        assert_eq!(
            parse("ftp://x").err().unwrap().to_string(),
            "Failed to initialize: unable to resolve docker endpoint: invalid bind address format: ftp://x"
        );
    }

    #[test]
    fn ssh_addresses_are_read_and_options_refused() {
        let ssh = Ssh::parse("me@host:22/run/d.sock").unwrap();
        assert_eq!((ssh.destination.as_str(), ssh.port), ("me@host", Some(22)));
        assert_eq!(ssh.socket, "/run/d.sock");
        for wrong in [
            "-oProxyCommand=x",
            "-me@host",
            "me@-oProxyCommand=x",
            "me@",
            "",
        ] {
            assert_eq!(Ssh::parse(wrong), None, "{wrong}");
        }
    }
}
