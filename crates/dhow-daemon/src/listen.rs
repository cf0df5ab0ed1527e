//! The sockets the API is served at.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode};

use crate::settings::{Host, Listen, Paths};
use crate::{activation, tls};

/// Docker's own socket, which clients use when nothing is said.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Why the API can't be served somewhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to load listeners: can't create unix socket {}", path.display())]
    Unix {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to load listeners: can't create unix socket {}: somebody serves there already", path.display())]
    Taken { path: PathBuf },
    #[error("failed to load listeners: listen tcp {address}")]
    Tcp {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "failed to load listeners: tcp://{0} would let everybody who reaches it be root on this host: give --tlsverify \
         with --tlscacert, --tlscert and --tlskey, or --tls=false if that is meant"
    )]
    Clear(String),
    #[error("failed to load listeners: group {0:?} not found")]
    Group(String),
    #[error(transparent)]
    Activation(#[from] activation::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// A socket that is bound and listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(StdUnixListener),
    Tcp(StdTcpListener),
    Tls(StdTcpListener, tls::Acceptor),
}

/// All sockets; those with a path are removed at the end.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) sockets: Vec<Listener>,
    /// Where they are, for the log.
    pub(crate) names: Vec<String>,
    paths: Vec<SocketPath>,
}

#[derive(Debug)]
struct SocketPath {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // Another daemon may have put its own socket there meanwhile.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens every socket the settings ask for, or the default ones.
pub(crate) fn open(
    listen: &Listen,
    paths: &Paths,
    mut inherited: activation::Inherited,
) -> Result<Listeners, Error> {
    let mut listeners = Listeners::default();
    let group = group(listen)?;
    if listen.hosts.is_empty() {
        listeners.unix(&paths.exec_root.join("dhow.sock"), group)?;
        if paths.is_default() {
            listeners.docker_socket(group);
        }
    }
    for host in &listen.hosts {
        match host {
            Host::Unix(path) => listeners.unix(path, group)?,
            Host::Tcp { address, port } => listeners.tcp(address, *port, listen)?,
            Host::Fd(name) => {
                for (name, fd) in inherited.take(name)? {
                    listeners.inherited(name, fd, listen)?;
                }
            }
        }
    }
    Ok(listeners)
}

impl Listeners {
    fn unix(&mut self, path: &Path, group: Option<Gid>) -> Result<(), Error> {
        let fail = |source| Error::Unix {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        clear_stale(path)?;
        // From its first moment the socket is for root alone.
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = StdUnixListener::bind(path);
        rustix::process::umask(before);
        let listener = listener.map_err(fail)?;
        let inode = fs::symlink_metadata(path).map_err(fail)?.ino();
        self.paths.push(SocketPath {
            path: path.to_owned(),
            inode,
        });
        if group.is_some() {
            rustix::fs::chown(path, None, group).map_err(|error| fail(error.into()))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        self.names.push(format!("unix://{}", path.display()));
        self.sockets.push(Listener::Unix(listener));
        Ok(())
    }

    /// Docker's socket, where nobody else has it: it is a courtesy, so that it can't fail.
    fn docker_socket(&mut self, group: Option<Gid>) {
        match self.unix(Path::new(DOCKER_SOCKET), group) {
            Ok(()) => {}
            Err(Error::Taken { .. }) => {
                tracing::info!("{DOCKER_SOCKET} is another engine's; left alone");
            }
            Err(error) => {
                tracing::warn!("{DOCKER_SOCKET}: {}", dhow_errdefs::chain(&error));
            }
        }
    }

    fn tcp(&mut self, address: &str, port: Option<u16>, listen: &Listen) -> Result<(), Error> {
        let port = port.unwrap_or(if listen.tls.enabled { 2376 } else { 2375 });
        let address = if address.is_empty() {
            "0.0.0.0"
        } else {
            address
        };
        let name = if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        };
        let fail = |source| Error::Tcp {
            address: name.clone(),
            source,
        };
        let addresses: Vec<SocketAddr> = (address, port).to_socket_addrs().map_err(fail)?.collect();
        guard(&name, addresses.iter(), listen)?;
        for address in addresses {
            let listener = StdTcpListener::bind(address).map_err(fail)?;
            self.push_tcp(listener, name.clone(), listen)?;
        }
        Ok(())
    }

    fn push_tcp(
        &mut self,
        listener: StdTcpListener,
        name: String,
        listen: &Listen,
    ) -> Result<(), Error> {
        let fail = |source| Error::Tcp {
            address: name.clone(),
            source,
        };
        listener.set_nonblocking(true).map_err(fail)?;
        self.sockets.push(if listen.tls.enabled {
            Listener::Tls(listener, tls::acceptor(&listen.tls)?)
        } else {
            Listener::Tcp(listener)
        });
        self.names.push(format!("tcp://{name}"));
        Ok(())
    }

    fn inherited(&mut self, name: String, fd: OwnedFd, listen: &Listen) -> Result<(), Error> {
        use rustix::net::AddressFamily;
        let domain = rustix::net::sockopt::socket_domain(&fd);
        if domain == Ok(AddressFamily::UNIX) {
            let listener = StdUnixListener::from(fd);
            listener
                .set_nonblocking(true)
                .map_err(|source| Error::Unix {
                    path: PathBuf::from(&name),
                    source,
                })?;
            self.names.push(format!("fd://{name}"));
            self.sockets.push(Listener::Unix(listener));
            return Ok(());
        }
        let listener = StdTcpListener::from(fd);
        let address = listener.local_addr().map_err(|source| Error::Tcp {
            address: name.clone(),
            source,
        })?;
        guard(&address.to_string(), std::iter::once(&address), listen)?;
        self.push_tcp(listener, address.to_string(), listen)
    }
}

/// Refuses a socket in the clear that others can reach, unless that was asked for expressly.
fn guard<'a>(
    name: &str,
    mut addresses: impl Iterator<Item = &'a SocketAddr>,
    listen: &Listen,
) -> Result<(), Error> {
    if listen.tls.verify {
        return Ok(());
    }
    let local = addresses.all(|address| address.ip().is_loopback());
    if !local && !listen.tls.enabled && !listen.tls.declined {
        return Err(Error::Clear(name.to_owned()));
    }
    tracing::warn!(
        "the API is served on tcp://{name} without checking clients: who reaches it is root on this host"
    );
    Ok(())
}

/// Removes a socket nobody serves any more.
fn clear_stale(path: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let fail = |source| Error::Unix {
        path: path.to_owned(),
        source,
    };
    if found.is_symlink() || !found.file_type().is_socket() {
        return Err(fail(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fail)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(Error::Taken {
            path: path.to_owned(),
        }),
    }
}

/// The group of the unix sockets; one that wasn't asked for need not exist.
fn group(listen: &Listen) -> Result<Option<Gid>, Error> {
    let name = listen.group.as_str();
    if let Ok(number) = name.parse::<u32>() {
        return Ok(Some(Gid::from_raw(number)));
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse::<u32>().ok())?
    });
    match found {
        Some(number) => Ok(Some(Gid::from_raw(number))),
        None if listen.group_given && !name.is_empty() => Err(Error::Group(name.to_owned())),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::settings::Tls;

    fn listen(hosts: Vec<Host>) -> Listen {
        let tls = Tls {
            enabled: false,
            verify: false,
            declined: false,
            ca: PathBuf::new(),
            cert: PathBuf::new(),
            key: PathBuf::new(),
        };
        Listen {
            hosts,
            group: "no-such-group".to_owned(),
            group_given: false,
            tls,
        }
    }

    fn open_in(folder: &Path, listen: &Listen) -> Result<Listeners, Error> {
        let paths = Paths {
            data_root: folder.to_owned(),
            exec_root: folder.join("run"),
            pidfile: folder.join("pid"),
        };
        open(listen, &paths, activation::Inherited::default())
    }

    #[test]
    fn a_unix_socket_is_roots_and_goes_with_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let listeners = open_in(folder.path(), &listen(vec![])).unwrap();
        let path = folder.path().join("run/dhow.sock");
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!((listeners.sockets.len(), mode), (1, 0o660));
        drop(listeners);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_served_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let other = StdUnixListener::bind(&path).unwrap();
        let wish = listen(vec![Host::Unix(path.clone())]);
        assert!(matches!(
            open_in(folder.path(), &wish),
            Err(Error::Taken { .. })
        ));
        drop(other);
        let listeners = open_in(folder.path(), &wish).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(listeners);
        fs::write(&path, "a file").unwrap();
        assert!(matches!(
            open_in(folder.path(), &wish),
            Err(Error::Unix { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }

    #[test]
    fn tcp_in_the_clear_is_for_this_host_or_expressly_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let tcp = |address: &str| {
            vec![Host::Tcp {
                address: address.to_owned(),
                port: Some(0),
            }]
        };
        assert!(open_in(folder.path(), &listen(tcp("127.0.0.1"))).is_ok());
        let mut wish = listen(tcp("0.0.0.0"));
        assert!(matches!(
            open_in(folder.path(), &wish),
            Err(Error::Clear(_))
        ));
        wish.tls.declined = true;
        assert!(open_in(folder.path(), &wish).is_ok());
    }

    #[test]
    fn a_group_that_was_asked_for_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let mut wish = listen(vec![]);
        wish.group_given = true;
        assert!(matches!(
            open_in(folder.path(), &wish),
            Err(Error::Group(_))
        ));
    }
}
