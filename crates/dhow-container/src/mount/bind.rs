//! The short form of a mount: `source:destination[:options]`.

use super::{MountError, Wanted, clean, target};
use crate::MountPoint;
use crate::spec::{Invalid, MountKind, Propagation};

/// Reads one entry of `Binds`; a source that is no path is a volume's name.
pub(super) fn parse(text: &str, volume_driver: &str) -> Result<Wanted, MountError> {
    let fail = || MountError::from(Invalid(format!("invalid volume specification: '{text}'")));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode) = match *parts.as_slice() {
        [destination] => ("", destination, ""),
        [_, mode] if Mode::parse(mode).is_some() => return Err(fail()),
        [source, destination] => (source, destination, ""),
        [source, destination, mode] => (source, destination, mode),
        _ => return Err(fail()),
    };
    if destination.is_empty() || (parts.len() > 1 && source.is_empty()) {
        return Err(fail());
    }
    let parsed =
        Mode::parse(mode).ok_or_else(|| MountError::Mode(format!("invalid mode: {mode}")))?;
    let is_bind = source.starts_with('/');
    let kind = if is_bind {
        MountKind::Bind
    } else {
        MountKind::Volume
    };
    let describe = |error: Invalid| {
        Invalid(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"{kind}\": {error}"
        ))
    };
    let mut point = MountPoint {
        kind,
        destination: target(destination).map_err(describe)?,
        mode: mode.to_owned(),
        rw: !parsed.read_only,
        ..MountPoint::default()
    };
    if is_bind {
        if parsed.no_copy {
            return Err(MountError::Mode(format!("invalid mode: {mode}")));
        }
        point.source = clean(source);
        point.propagation = parsed
            .propagation
            .unwrap_or(Propagation::RPrivate)
            .to_string();
        point.create_source = true;
        point.options.push("rbind".into());
    } else {
        if parsed.propagation.is_some() {
            return Err(MountError::Mode(format!("invalid mode: {mode}")));
        }
        point.name = source.to_owned();
        point.driver = volume_driver.to_owned();
        point.copy = !parsed.no_copy;
        if point.mode.is_empty() {
            point.mode = "z".into();
        }
    }
    Ok(Wanted { point, spec: None })
}

/// The options after the second colon.
#[derive(Debug, Default)]
struct Mode {
    read_only: bool,
    no_copy: bool,
    propagation: Option<Propagation>,
}

impl Mode {
    /// Each kind of option may be given once; `None` when an option is unknown or given twice.
    fn parse(text: &str) -> Option<Self> {
        let mut mode = Self::default();
        if text.is_empty() {
            return Some(mode);
        }
        let (mut access, mut label, mut consistency) = (0, 0, 0);
        for option in text.split(',') {
            match option {
                "rw" => access += 1,
                "ro" => {
                    access += 1;
                    mode.read_only = true;
                }
                "z" | "Z" => label += 1,
                "consistent" | "cached" | "delegated" | "default" => consistency += 1,
                "nocopy" if !mode.no_copy => mode.no_copy = true,
                _ => {
                    if mode.propagation.is_some() {
                        return None;
                    }
                    mode.propagation = Some(option.parse().ok()?);
                }
            }
        }
        (access <= 1 && label <= 1 && consistency <= 1).then_some(mode)
    }
}
