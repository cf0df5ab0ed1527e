//! Where the API is served: `-H`.

use std::path::PathBuf;

/// A place to serve the API at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port; which one depends on TLS when it isn't said.
    Tcp {
        /// A name or an address; `0.0.0.0` when empty.
        address: String,
        /// The port.
        port: Option<u16>,
    },
    /// A socket the service manager opened: all of them when empty, else by name or number.
    Fd(String),
}

impl Host {
    /// Reads what `-H` was given.
    pub(super) fn parse(text: &str, default_socket: &std::path::Path) -> Result<Self, String> {
        let text = text.trim();
        let bad = |why: &str| format!("unable to parse host {text:?}: {why}");
        let (protocol, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match protocol {
            "unix" if rest.is_empty() => Ok(Self::Unix(default_socket.to_owned())),
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(bad("the socket's path must be absolute")),
            "fd" => Ok(Self::Fd(match rest {
                "*" => String::new(),
                name => name.to_owned(),
            })),
            "tcp" => {
                if rest.contains('/') {
                    return Err(bad("a path has no meaning for tcp"));
                }
                let (address, port) = match rest.rsplit_once(':') {
                    Some((address, port)) if !port.ends_with(']') => (address, port),
                    _ => (rest, ""),
                };
                let port = match port {
                    "" => None,
                    port => Some(port.parse().map_err(|_| bad("invalid port"))?),
                };
                let address = address.trim_start_matches('[').trim_end_matches(']');
                Ok(Self::Tcp {
                    address: address.to_owned(),
                    port,
                })
            }
            _ => Err(bad("the protocol must be unix, tcp or fd")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Host, String> {
        Host::parse(text, Path::new("/run/dhow/dhow.sock"))
    }

    #[test]
    fn hosts_are_read_as_dockerd_reads_them() {
        let tcp = |address: &str, port| Host::Tcp {
            address: address.to_owned(),
            port,
        };
        for (text, host) in [
            ("unix://", Host::Unix("/run/dhow/dhow.sock".into())),
            ("unix:///a/b.sock", Host::Unix("/a/b.sock".into())),
            ("fd://", Host::Fd(String::new())),
            ("fd://api", Host::Fd("api".to_owned())),
            ("tcp://127.0.0.1:2375", tcp("127.0.0.1", Some(2375))),
            ("tcp://:2376", tcp("", Some(2376))),
            ("tcp://host", tcp("host", None)),
            ("tcp://[::1]:99", tcp("::1", Some(99))),
            ("tcp://[::1]", tcp("::1", None)),
            ("0.0.0.0:1", tcp("0.0.0.0", Some(1))),
        ] {
            assert_eq!(parse(text), Ok(host), "{text}");
        }
        for text in [
            "unix://relative",
            "ftp://x",
            "tcp://x:port",
            "tcp://x/y",
            "npipe:////./x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
