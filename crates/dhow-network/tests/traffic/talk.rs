//! Clients and servers: real sockets that tell each other whom they see.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use super::world::Netns;

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for what must not come.
const BRIEF: Duration = Duration::from_millis(400);

/// A TCP server for `clients` connections; each is told its own address as the server sees it.
pub fn tcp_server(netns: &Netns, port: u16, clients: usize) -> JoinHandle<()> {
    let listener = netns.run(move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    std::thread::spawn(move || {
        for _ in 0..clients {
            let (mut stream, peer) = listener.accept().unwrap();
            let _ = write!(stream, "{}", peer.ip());
        }
    })
}

/// Connects and returns the address under which the server sees this side.
pub fn tcp(netns: &Netns, to: impl Into<IpAddr>, port: u16) -> io::Result<IpAddr> {
    let to = SocketAddr::new(to.into(), port);
    netns.run(move || see(to, PATIENCE))
}

/// As [`tcp`], where being refused may only mean to be too early.
pub fn tcp_soon(netns: &Netns, to: impl Into<IpAddr>, port: u16) -> io::Result<IpAddr> {
    let to = SocketAddr::new(to.into(), port);
    netns.run(move || {
        let begin = std::time::Instant::now();
        loop {
            match see(to, PATIENCE) {
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionRefused
                        && begin.elapsed() < PATIENCE =>
                {
                    std::thread::yield_now();
                }
                outcome => return outcome,
            }
        }
    })
}

/// Whether a connection can't be made.
pub fn tcp_is_blocked(netns: &Netns, to: impl Into<IpAddr>, port: u16) -> bool {
    let to = SocketAddr::new(to.into(), port);
    netns.run(move || see(to, BRIEF)).is_err()
}

fn see(to: SocketAddr, patience: Duration) -> io::Result<IpAddr> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    text.parse().map_err(io::Error::other)
}

/// A UDP server that answers `datagrams` datagrams with the sender's address as it sees it.
pub fn udp_server(netns: &Netns, port: u16, datagrams: usize) -> JoinHandle<()> {
    let socket = netns.run(move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        for _ in 0..datagrams {
            let (_, peer) = socket.recv_from(&mut buffer).unwrap();
            socket
                .send_to(peer.ip().to_string().as_bytes(), peer)
                .unwrap();
        }
    })
}

/// Sends a datagram and returns the address under which the server sees this side.
pub fn udp(netns: &Netns, to: impl Into<IpAddr>, port: u16) -> io::Result<IpAddr> {
    let to = SocketAddr::new(to.into(), port);
    netns.run(move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        ask(&socket, to)
    })
}

/// Asks over a given socket.
pub fn ask(socket: &UdpSocket, to: SocketAddr) -> io::Result<IpAddr> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(b"who am I?")?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    String::from_utf8_lossy(&buffer[..length])
        .parse()
        .map_err(io::Error::other)
}

/// A UDP server that sends `datagrams` datagrams back.
pub fn udp_echo(netns: &Netns, port: u16, datagrams: usize) -> JoinHandle<()> {
    let socket = netns.run(move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        for _ in 0..datagrams {
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..length], peer).unwrap();
        }
    })
}

/// Sends a datagram of 8000 bytes and waits for it to come back.
pub fn udp_large(netns: &Netns, to: impl Into<IpAddr>, port: u16) -> io::Result<()> {
    let to = SocketAddr::new(to.into(), port);
    netns.run(move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        let sent = [7; 8000];
        socket.send(&sent)?;
        let mut buffer = vec![0; 65536];
        let length = socket.recv(&mut buffer)?;
        assert_eq!(buffer[..length], sent);
        Ok(())
    })
}
