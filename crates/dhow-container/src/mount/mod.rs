//! What is mounted into a container: from the request and the image to the list in the record. Pure.

mod bind;
pub mod propagation;

use crate::MountPoint;
use crate::spec::{HostConfig, Invalid, MountKind, MountSpec, Propagation};

/// A mount that was asked for, with what only its creation needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The mount as it goes into the record; of a volume, without source and driver yet.
    pub point: MountPoint,
    /// The mount in the long form, for the labels and the driver of a volume to be made.
    pub spec: Option<MountSpec>,
}

/// A mount that can't be; `Mode` is what Docker answers with an internal error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountError {
    /// It says something that can't be.
    Invalid(Invalid),
    /// Its mode is malformed.
    Mode(String),
}

impl From<Invalid> for MountError {
    fn from(error: Invalid) -> Self {
        Self::Invalid(error)
    }
}

/// The mounts of a request, those taken over from other containers first; memory and the image's volumes excluded.
pub fn wanted(host: &HostConfig, inherited: Vec<MountPoint>) -> Result<Vec<Wanted>, MountError> {
    let mut list: Vec<Wanted> = inherited
        .into_iter()
        .map(|point| Wanted { point, spec: None })
        .collect();
    let mut asked: Vec<Wanted> = Vec::new();
    for text in &host.binds {
        asked.push(bind::parse(text, &host.volume_driver)?);
    }
    for spec in &host.mounts {
        asked.push(long(spec)?);
    }
    for (index, mount) in asked.iter().enumerate() {
        let target = &mount.point.destination;
        let twice = asked
            .iter()
            .take(index)
            .any(|other| other.point.destination == *target);
        if twice || host.tmpfs.contains_key(target) {
            return Err(Invalid(format!("Duplicate mount point: {target}")).into());
        }
    }
    list.retain(|old| {
        asked
            .iter()
            .all(|new| new.point.destination != old.point.destination)
    });
    list.append(&mut asked);
    Ok(list)
}

/// A mount in the long form, checked.
fn long(spec: &MountSpec) -> Result<Wanted, MountError> {
    let point = long_point(spec).map_err(|error| {
        Invalid(format!(
            "invalid mount config for type \"{}\": {error}",
            spec.kind
        ))
    })?;
    Ok(Wanted {
        point,
        spec: Some(spec.clone()),
    })
}

fn long_point(spec: &MountSpec) -> Result<MountPoint, Invalid> {
    let point = MountPoint {
        kind: spec.kind,
        destination: target(&spec.target)?,
        rw: !spec.read_only,
        long_form: true,
        ..MountPoint::default()
    };
    let foreign = [
        (
            spec.kind != MountKind::Bind && spec.bind.is_some(),
            "BindOptions",
        ),
        (
            spec.kind != MountKind::Volume && spec.volume.is_some(),
            "VolumeOptions",
        ),
        (
            spec.kind != MountKind::Tmpfs && spec.tmpfs.is_some(),
            "TmpfsOptions",
        ),
        (
            spec.kind != MountKind::Image && spec.image.is_some(),
            "ImageOptions",
        ),
    ];
    if let Some((_, name)) = foreign.iter().find(|(is_set, _)| *is_set) {
        return Err(Invalid(format!("field {name} must not be specified")));
    }
    match spec.kind {
        MountKind::Bind => long_bind(spec, point),
        MountKind::Volume => long_volume(spec, point),
        MountKind::Tmpfs if spec.source.is_empty() && unknown_option(spec).is_some() => {
            let option = unknown_option(spec).unwrap_or_default();
            Err(Invalid(format!("invalid option: {option}")))
        }
        MountKind::Tmpfs if spec.source.is_empty() => Ok(MountPoint {
            options: crate::oci::mounts::tmpfs_options(spec),
            ..point
        }),
        MountKind::Tmpfs => Err(Invalid::new("field Source must not be specified")),
        MountKind::Image => long_image(spec, point),
        MountKind::NamedPipe | MountKind::Cluster => Err(Invalid::new("mount type unknown")),
    }
}

fn long_bind(spec: &MountSpec, point: MountPoint) -> Result<MountPoint, Invalid> {
    if spec.source.is_empty() {
        return Err(Invalid::new("field Source must not be empty"));
    }
    if !spec.source.starts_with('/') {
        return Err(Invalid(format!(
            "invalid mount path: '{}' mount path must be absolute",
            spec.source
        )));
    }
    let options = spec.bind.clone().unwrap_or_default();
    let depth = if options.non_recursive {
        "bind"
    } else {
        "rbind"
    };
    let mut kept = vec![depth.to_owned()];
    if options.read_only_non_recursive && options.read_only_force_recursive {
        return Err(Invalid::new(
            "mount options conflict: !ReadOnlyNonRecursive && ReadOnlyForceRecursive",
        ));
    }
    if spec.read_only && options.read_only_non_recursive {
        kept.push("ro".into());
    }
    Ok(MountPoint {
        source: clean(&spec.source),
        propagation: options
            .propagation
            .unwrap_or(Propagation::RPrivate)
            .to_string(),
        create_source: options.create_mountpoint,
        options: kept,
        ..point
    })
}

/// Of memory, only whether programs can be run from it may be said beside size and mode.
fn unknown_option(spec: &MountSpec) -> Option<&str> {
    let options = spec.tmpfs.iter().flat_map(|tmpfs| &tmpfs.options);
    let mut names = options.map(|pair| pair.first().map_or("", String::as_str));
    names.find(|name| !matches!(*name, "exec" | "noexec"))
}

fn long_image(spec: &MountSpec, point: MountPoint) -> Result<MountPoint, Invalid> {
    if spec.source.is_empty() {
        return Err(Invalid::new("field Source must not be empty"));
    }
    let options = spec.image.clone().unwrap_or_default();
    Ok(MountPoint {
        name: spec.source.clone(),
        subpath: subpath(&options.subpath)?,
        propagation: Propagation::RPrivate.to_string(),
        rw: false,
        ..point
    })
}

fn long_volume(spec: &MountSpec, point: MountPoint) -> Result<MountPoint, Invalid> {
    let options = spec.volume.clone().unwrap_or_default();
    if spec.source.is_empty() && !options.subpath.is_empty() {
        return Err(Invalid::new(
            "must not set Subpath when using anonymous volumes",
        ));
    }
    Ok(MountPoint {
        name: spec.source.clone(),
        copy: !options.no_copy && options.subpath.is_empty(),
        subpath: subpath(&options.subpath)?,
        mode: "z".into(),
        driver: options.driver.map(|driver| driver.name).unwrap_or_default(),
        ..point
    })
}

/// Checks a mount's path within the container and makes it canonical.
fn target(text: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        return Err(Invalid::new("field Target must not be empty"));
    }
    if !text.starts_with('/') {
        return Err(Invalid(format!(
            "invalid mount path: '{text}' mount path must be absolute"
        )));
    }
    let target = clean(text);
    if target == "/" {
        return Err(Invalid::new(
            "invalid specification: destination can't be '/'",
        ));
    }
    Ok(target)
}

/// Checks a folder within a volume: below it, without `..`.
fn subpath(text: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(Invalid::new(
            "subpath must be a relative path within the volume",
        ));
    }
    Ok(clean(&format!("/{text}")).split_off(1))
}

/// Go's `filepath.Clean` for absolute paths.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
