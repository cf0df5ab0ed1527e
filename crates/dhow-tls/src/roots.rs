//! Whom to trust.

use std::collections::HashSet;
use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// Certificates that are trusted: what they have signed, and servers that show one of them itself.
#[derive(Debug, Clone)]
pub struct Roots {
    store: RootCertStore,
    /// The certificates' checksums.
    known: HashSet<[u8; 32]>,
}

impl Default for Roots {
    /// Nobody.
    fn default() -> Self {
        Self {
            store: RootCertStore::empty(),
            known: HashSet::new(),
        }
    }
}

impl Roots {
    /// The machine's, or Mozilla's where it has none; read once.
    pub fn system() -> Self {
        static SYSTEM: OnceLock<Roots> = OnceLock::new();
        SYSTEM.get_or_init(Self::of_system).clone()
    }

    fn of_system() -> Self {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a system certificate can't be read");
        }
        let mut roots = Self::default();
        roots.add_usable(native.certs);
        if roots.store.is_empty() {
            let mozillas = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
            roots.store.extend(mozillas);
        }
        roots
    }

    /// Trusts one more.
    ///
    /// # Errors
    /// It is not what it should be.
    pub fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), rustls::Error> {
        let checksum = checksum(&certificate);
        self.store.add(certificate)?;
        self.known.insert(checksum);
        Ok(())
    }

    /// Trusts those of a bundle, which may hold certificates of kinds that are of no use here.
    pub fn add_usable(&mut self, certificates: impl IntoIterator<Item = CertificateDer<'static>>) {
        for certificate in certificates {
            // What is of no use is not trusted, which is all there is to it.
            let _ = self.add(certificate);
        }
    }

    /// Whether it is one of the certificates, to the byte.
    pub(crate) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        self.known.contains(&checksum(certificate))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    pub(crate) fn store(&self) -> RootCertStore {
        self.store.clone()
    }
}

fn checksum(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}
