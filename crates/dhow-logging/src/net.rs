//! Connections to receivers: what drivers send over. Everything here blocks, within limits.

mod connection;
mod tls;
mod url;

pub(crate) use connection::{Connection, Target};
pub(crate) use tls::{Tls, TlsFiles};
pub(crate) use url::{Url, host_port};
