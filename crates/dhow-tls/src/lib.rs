//! What all TLS clients here share: certificates and keys from PEM files, and [`client`], the settings made of them.
//!
//! Who is trusted and which identity is shown is decided by the caller: the registry client knows `certs.d`, the
//! engine's client `--tlscacert` and contexts.

mod checked;
mod pem;
mod roots;
mod unchecked;

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder};

pub use pem::{Error, certificates, identity, key};
pub use roots::Roots;

/// A chain of certificates and the key of its first.
pub type Identity = (
    Vec<rustls_pki_types::CertificateDer<'static>>,
    rustls_pki_types::PrivateKeyDer<'static>,
);

/// Settings of a client that trusts `roots`, or anybody where there are none, and shows `identity`.
///
/// # Errors
/// If the identity's key and certificate do not belong together.
pub fn client(
    roots: Option<Roots>,
    identity: Option<Identity>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = trusting(roots)?;
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn trusting(
    roots: Option<Roots>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ServerCertVerifier> = match roots {
        // Trusts nobody, which the handshake will say.
        Some(roots) if roots.is_empty() => return Ok(builder.with_root_certificates(roots.store())),
        Some(roots) => Arc::new(
            checked::Checked::new(roots, provider)
                .map_err(|error| rustls::Error::General(error.to_string()))?,
        ),
        None => Arc::new(unchecked::Unchecked(provider)),
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}
