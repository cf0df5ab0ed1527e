//! What can go wrong between us and a registry; the texts are containerd's, whose Docker shows.

use dhow_errdefs::{Classify, ErrorKind};
use dhow_oci::{Digest, ManifestError};

/// A failed exchange with a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The reference led nowhere; the source says why.
    #[error("failed to resolve reference {reference:?}")]
    Resolve {
        /// The reference, in full.
        reference: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The registry knows no such thing.
    #[error("{what}: not found")]
    NotFound {
        /// The reference or digest.
        what: String,
    },
    /// The registry has no such repository.
    #[error("repository {name} not found: {reason}")]
    NoRepository {
        /// Its name, with the registry's.
        name: String,
        /// What the registry said.
        reason: String,
    },
    /// The registry refused even after we showed what we have.
    #[error("pull access denied, repository does not exist or may require authorization: {reason}")]
    Denied {
        /// What the registry said.
        reason: String,
    },
    /// The registry refused a push.
    #[error("push access denied, repository does not exist or may require authorization: {reason}")]
    PushDenied {
        /// What the registry said.
        reason: String,
    },
    /// Logging in failed.
    #[error("login attempt to {url} failed with status: {status}")]
    Login {
        /// Where.
        url: String,
        /// The status line's end.
        status: String,
    },
    /// The token server gave none.
    #[error(
        "failed to authorize: failed to fetch {how} token: unexpected status from {method} request to {url}: {status}"
    )]
    Token {
        /// `anonymous` or `oauth`.
        how: &'static str,
        /// The request's method.
        method: String,
        /// The token server's address.
        url: String,
        /// The status line's end.
        status: String,
    },
    /// A request got no answer at all.
    #[error("failed to do request: {method} {url:?}: {reason}")]
    Request {
        /// The request's method, as Go capitalises it: `Head`.
        method: String,
        /// Where it went.
        url: String,
        /// Why, in Go's words.
        reason: String,
    },
    /// An index got no answer to us.
    #[error("{method} {url:?}: {reason}")]
    Unreachable {
        /// The request's method, as Go capitalises it: `Get`.
        method: String,
        /// Where it went.
        url: String,
        /// Why, in Go's words.
        reason: String,
    },
    /// An index does not answer searches.
    #[error("Unexpected status code {code}")]
    Search {
        /// The status it answers.
        code: u16,
    },
    /// An answer we have no use for.
    #[error("unexpected status from {method} request to {url}: {status}{detail}")]
    Status {
        /// The request's method.
        method: String,
        /// Where it went.
        url: String,
        /// The status line's end: `500 Internal Server Error`.
        status: String,
        /// What the registry said in the body, with a leading newline, or nothing.
        detail: String,
        /// The status as a number.
        code: u16,
    },
    /// Content is not what its digest says.
    #[error("unexpected commit digest {found}, expected {expected}: failed precondition")]
    Digest {
        /// What was asked for.
        expected: Digest,
        /// What was got.
        found: Digest,
    },
    /// Content is shorter or longer than said.
    #[error("unexpected commit size {found}, expected {expected}: failed precondition")]
    Size {
        /// What was asked for.
        expected: u64,
        /// What was got.
        found: u64,
    },
    /// A document larger than we care to read.
    #[error("{what} is larger than the {limit} bytes allowed")]
    TooLarge {
        /// What it was.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// A document that is no manifest.
    #[error("{what}")]
    Manifest {
        /// What was read.
        what: String,
        /// Why not.
        #[source]
        source: ManifestError,
    },
    /// The registry's answer breaks the protocol.
    #[error("{url}: {reason}")]
    Protocol {
        /// Where.
        url: String,
        /// How.
        reason: String,
    },
    /// A server that was asked for a part of a blob doesn't send parts.
    #[error("{url}: parts of a blob can't be had")]
    NoRanges {
        /// Where.
        url: String,
    },
    /// A transfer broke and could not be taken up again.
    #[error("failed to copy: {url}")]
    Transfer {
        /// What was transferred.
        url: String,
        /// The last reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of ours could not be read.
    #[error("read {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Settings that can't be.
    #[error("{what}: {reason}")]
    Config {
        /// The setting.
        what: String,
        /// Why not.
        reason: String,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve { source, .. } => source.kind(),
            Self::NotFound { .. } | Self::NoRepository { .. } => ErrorKind::NotFound,
            Self::Denied { .. } | Self::PushDenied { .. } => ErrorKind::System,
            Self::Login { .. } => ErrorKind::Unauthorized,
            _ => ErrorKind::System,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Resolve { source, .. } => source.hint(),
            Self::Denied { .. } | Self::PushDenied { .. } => {
                Some("log in with `dhow login`".into())
            }
            _ => None,
        }
    }
}
