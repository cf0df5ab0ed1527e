//! TLS settings for one host: the system's roots, those of `certs.d`, client certificates.

use std::fs;
use std::path::{Path, PathBuf};

use dhow_tls::{Identity, Roots};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use crate::Error;
use crate::hosts::TlsFiles;

/// The settings for `host`, which may have files of its `own`; `insecure` hosts are encrypted to but not checked.
pub(crate) fn client_config(
    host: &str,
    insecure: bool,
    certs_dirs: &[PathBuf],
    own: &TlsFiles,
) -> Result<ClientConfig, Error> {
    let folders: Vec<PathBuf> = certs_dirs.iter().map(|dir| dir.join(host)).collect();
    let mut own_roots = Vec::new();
    let mut identity = None;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        read_folder(folder, &mut own_roots, &mut identity)?;
    }
    for path in &own.roots {
        own_roots.extend(dhow_tls::certificates(path).map_err(unusable)?);
    }
    if let Some((certificate, key)) = own.identities.first() {
        identity = Some(dhow_tls::identity(certificate, key).map_err(unusable)?);
    }
    // A host that has a CA of its own in certs.d is checked even if it is on the insecure list.
    let roots = if own.skip_verify || insecure && own_roots.is_empty() {
        None
    } else {
        let mut roots = Roots::system();
        for certificate in own_roots {
            roots
                .add(certificate)
                .map_err(|e| config_error(host, &e.to_string()))?;
        }
        Some(roots)
    };
    dhow_tls::client(roots, identity).map_err(|e| config_error(host, &e.to_string()))
}

fn config_error(host: &str, reason: &str) -> Error {
    Error::Config {
        what: format!("TLS settings of {host}"),
        reason: reason.to_owned(),
    }
}

fn read_folder(
    folder: &Path,
    roots: &mut Vec<CertificateDer<'static>>,
    identity: &mut Option<Identity>,
) -> Result<(), Error> {
    let failed = |path: &Path, source| Error::File {
        path: path.display().to_string(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| failed(folder, e))? {
        paths.push(entry.map_err(|e| failed(folder, e))?.path());
    }
    paths.sort();
    for path in paths {
        match path.extension().and_then(|e| e.to_str()) {
            Some("crt") => roots.extend(dhow_tls::certificates(&path).map_err(unusable)?),
            Some("cert") => {
                let key = path.with_extension("key");
                *identity = Some(dhow_tls::identity(&path, &key).map_err(unusable)?);
            }
            Some("key") if !path.with_extension("cert").exists() => {
                return Err(Error::Config {
                    what: format!(
                        "missing client certificate {}",
                        path.with_extension("cert").display()
                    ),
                    reason: format!("for key {}", path.display()),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn unusable(error: dhow_tls::Error) -> Error {
    match error {
        dhow_tls::Error::Read { path, source } => Error::File {
            path: path.display().to_string(),
            source,
        },
        dhow_tls::Error::Pem { path, source } => Error::Config {
            what: path.display().to_string(),
            reason: source.to_string(),
        },
    }
}
