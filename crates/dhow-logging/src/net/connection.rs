//! One connection to a receiver, over any of the transports drivers know.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use dhow_golang::io_text;

use super::Tls;

/// How long a connection may take to be made.
pub(super) const DIAL: Duration = Duration::from_secs(10);
/// How long a receiver may take nothing of what it is sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tcp(String, u16),
    Tls(String, u16),
    Udp(String, u16),
    Unix(PathBuf),
    Unixgram(PathBuf),
}

/// A connection.
pub(crate) struct Connection {
    wire: Wire,
}

enum Wire {
    Stream(Box<dyn Stream>),
    Udp(UdpSocket),
    Unixgram(UnixDatagram),
}

/// Bytes in order, both ways.
trait Stream: Read + Write + Send {
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(read)?;
        self.set_write_timeout(write)
    }
}

impl Stream for UnixStream {
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(read)?;
        self.set_write_timeout(write)
    }
}

impl Stream for rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()> {
        self.sock.set_timeouts(read, write)
    }
}

impl Target {
    /// Connects.
    ///
    /// # Errors
    /// Go's text: `dial tcp 127.0.0.1:9: connect: connection refused`.
    pub(crate) fn dial(&self, tls: Option<&Tls>) -> Result<Connection, String> {
        let wire = match self {
            Self::Tcp(host, port) => Wire::Stream(Box::new(dial_tcp(host, *port)?)),
            Self::Tls(host, port) => {
                let plain = dial_tcp(host, *port)?;
                let tls = tls.ok_or("tls: no configuration")?;
                Wire::Stream(Box::new(tls.over(plain, host)?))
            }
            Self::Udp(host, port) => Wire::Udp(dial_udp(host, *port)?),
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .map_err(|error| dialled("unix", &path.display().to_string(), &error))?;
                Wire::Stream(Box::new(stream))
            }
            Self::Unixgram(path) => {
                let failed = |error| dialled("unixgram", &path.display().to_string(), &error);
                let socket = UnixDatagram::unbound().map_err(failed)?;
                socket.connect(path).map_err(failed)?;
                Wire::Unixgram(socket)
            }
        };
        let connection = Connection { wire };
        connection.patience(PATIENCE).map_err(|e| io_text(&e))?;
        Ok(connection)
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Tcp(host, port) => format!("tcp://{host}:{port}"),
            Self::Tls(host, port) => format!("tls://{host}:{port}"),
            Self::Udp(host, port) => format!("udp://{host}:{port}"),
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Unixgram(path) => format!("unixgram://{}", path.display()),
        }
    }
}

impl Connection {
    /// Sends all of `bytes`; over a datagram transport as one message.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Stream(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
            Wire::Udp(socket) => all(socket.send(bytes)?, bytes),
            Wire::Unixgram(socket) => all(socket.send(bytes)?, bytes),
        }
    }

    /// Waits for at most so long for the receiver's answer.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.wire {
            Wire::Stream(stream) => stream.read(buffer),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sets how long sending and receiving may take.
    pub(crate) fn patience(&self, patience: Duration) -> io::Result<()> {
        match &self.wire {
            Wire::Stream(stream) => stream.set_timeouts(Some(patience), Some(patience)),
            Wire::Udp(socket) => socket.set_write_timeout(Some(patience)),
            Wire::Unixgram(socket) => socket.set_write_timeout(Some(patience)),
        }
    }
}

fn all(sent: usize, bytes: &[u8]) -> io::Result<()> {
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

fn dial_tcp(host: &str, port: u16) -> Result<TcpStream, String> {
    let mut failed = format!("dial tcp: lookup {host}: no such host");
    for address in resolve("tcp", host, port)? {
        match TcpStream::connect_timeout(&address, DIAL) {
            Ok(stream) => {
                // Lines are small and should not wait for each other.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failed = dialled("tcp", &address.to_string(), &error),
        }
    }
    Err(failed)
}

fn dial_udp(host: &str, port: u16) -> Result<UdpSocket, String> {
    let mut failed = format!("dial udp: lookup {host}: no such host");
    for address in resolve("udp", host, port)? {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = dialled("udp", &address.to_string(), &error),
        }
    }
    Err(failed)
}

fn resolve(network: &str, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    // Go dials the machine itself when no host is named.
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    (host, port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|_| format!("dial {network}: lookup {host}: no such host"))
}

fn dialled(network: &str, address: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        return format!("dial {network} {address}: i/o timeout");
    }
    format!("dial {network} {address}: connect: {}", io_text(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_gos_texts() {
        let refused = |target: Target| target.dial(None).map(drop).err().unwrap_or_default();
        assert_eq!(
            refused(Target::Tcp("127.0.0.1".into(), 9)),
            "dial tcp 127.0.0.1:9: connect: connection refused"
        );
        assert_eq!(
            refused(Target::Unix("/nope".into())),
            "dial unix /nope: connect: no such file or directory"
        );
        assert_eq!(
            refused(Target::Unixgram("/tmp".into())),
            "dial unixgram /tmp: connect: connection refused"
        );
    }
}
