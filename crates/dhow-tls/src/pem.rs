//! Certificates and keys in PEM files.

use std::path::{Path, PathBuf};

use dhow_errdefs::{Classify, ErrorKind};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Identity;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("open {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("could not read {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        source: pem::Error,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } => dhow_errdefs::kind_of_io(source),
            Self::Pem { .. } => ErrorKind::InvalidArgument,
        }
    }
}

/// All certificates of a file, in its order.
///
/// # Errors
/// If the file cannot be read or one of its blocks is broken.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| broken(path, source))
}

/// The first private key of a file.
///
/// # Errors
/// If the file cannot be read or holds none.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| broken(path, source))
}

/// A chain of certificates and its key, from two files.
///
/// # Errors
/// If one of them cannot be used.
pub fn identity(chain: &Path, key_file: &Path) -> Result<Identity, Error> {
    Ok((certificates(chain)?, key(key_file)?))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn broken(path: &Path, source: pem::Error) -> Error {
    Error::Pem {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn files_are_read_and_broken_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key_file) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let made = rcgen::generate_simple_self_signed(["host".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key_file, made.signing_key.serialize_pem()).unwrap();
        let (chain, key) = identity(&cert, &key_file).unwrap();
        assert_eq!(chain.len(), 1);
        crate::client(None, Some((chain, key))).unwrap();
        let error = super::key(&cert).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("could not read {}", cert.display())
        );
        let error = certificates(&folder.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
