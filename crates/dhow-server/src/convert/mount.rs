//! Mounts in their long form, and mount points as they are shown.

use dhow_api::container as wire;
use dhow_engine::container::MountPoint;
use dhow_engine::spec::{
    BindOptions, ImageOptions, MountKind, MountSpec, TmpfsOptions, VolumeDriver, VolumeOptions,
};

use super::{map, null_list, null_map};
use crate::error::{ApiError, Result};

/// A mount asked for.
pub(crate) fn mount(wire: wire::Mount) -> Result<MountSpec> {
    let kind: MountKind = wire.kind.parse()?;
    let refuse = |what: &str| {
        Err(ApiError::invalid(format!(
            "invalid mount config for type {:?}: {what}",
            wire.kind
        )))
    };
    if wire.cluster_options.is_some() {
        return refuse("cluster volumes are not supported");
    }
    for (name, given, fits) in [
        (
            "BindOptions",
            wire.bind_options.is_some(),
            kind == MountKind::Bind,
        ),
        (
            "VolumeOptions",
            wire.volume_options.is_some(),
            kind == MountKind::Volume,
        ),
        (
            "TmpfsOptions",
            wire.tmpfs_options.is_some(),
            kind == MountKind::Tmpfs,
        ),
        (
            "ImageOptions",
            wire.image_options.is_some(),
            kind == MountKind::Image,
        ),
    ] {
        if given && !fits {
            return refuse(&format!("field {name} must not be specified"));
        }
    }
    Ok(MountSpec {
        kind,
        source: wire.source,
        target: wire.target,
        read_only: wire.read_only,
        consistency: wire.consistency,
        bind: wire.bind_options.map(bind).transpose()?,
        volume: wire.volume_options.map(volume),
        tmpfs: wire.tmpfs_options.map(tmpfs).transpose()?,
        image: wire.image_options.map(|options| ImageOptions {
            subpath: options.subpath,
        }),
    })
}

fn bind(wire: wire::BindOptions) -> Result<BindOptions> {
    let propagation = match wire.propagation.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error| {
            ApiError::invalid(format!("invalid mount config for type \"bind\": {error}"))
        })?),
    };
    Ok(BindOptions {
        propagation,
        non_recursive: wire.non_recursive,
        create_mountpoint: wire.create_mountpoint,
        read_only_non_recursive: wire.read_only_non_recursive,
        read_only_force_recursive: wire.read_only_force_recursive,
    })
}

fn volume(wire: wire::VolumeOptions) -> VolumeOptions {
    let driver = wire.driver_config.map(|driver| VolumeDriver {
        name: driver.name,
        options: map(driver.options),
    });
    VolumeOptions {
        no_copy: wire.no_copy,
        labels: map(wire.labels),
        driver,
        subpath: wire.subpath,
    }
}

fn tmpfs(wire: wire::TmpfsOptions) -> Result<TmpfsOptions> {
    let size = u64::try_from(wire.size_bytes).map_err(|_| {
        ApiError::invalid("invalid mount config for type \"tmpfs\": size must not be negative")
    })?;
    Ok(TmpfsOptions {
        size,
        mode: wire.mode,
        options: wire.options.unwrap_or_default(),
    })
}

/// A mount asked for, as it is shown.
pub(crate) fn mount_view(mount: &MountSpec) -> wire::Mount {
    wire::Mount {
        kind: mount.kind.to_string(),
        source: mount.source.clone(),
        target: mount.target.clone(),
        read_only: mount.read_only,
        consistency: mount.consistency.clone(),
        bind_options: mount.bind.as_ref().map(|bind| wire::BindOptions {
            propagation: bind
                .propagation
                .map_or_else(String::new, |kind| kind.to_string()),
            non_recursive: bind.non_recursive,
            create_mountpoint: bind.create_mountpoint,
            read_only_non_recursive: bind.read_only_non_recursive,
            read_only_force_recursive: bind.read_only_force_recursive,
        }),
        volume_options: mount.volume.as_ref().map(|volume| wire::VolumeOptions {
            no_copy: volume.no_copy,
            labels: null_map(&volume.labels),
            subpath: volume.subpath.clone(),
            driver_config: volume.driver.as_ref().map(|driver| wire::Driver {
                name: driver.name.clone(),
                options: null_map(&driver.options),
            }),
        }),
        image_options: mount.image.as_ref().map(|image| wire::ImageOptions {
            subpath: image.subpath.clone(),
        }),
        tmpfs_options: mount.tmpfs.as_ref().map(|tmpfs| wire::TmpfsOptions {
            size_bytes: i64::try_from(tmpfs.size).unwrap_or(i64::MAX),
            mode: tmpfs.mode,
            options: null_list(&tmpfs.options),
        }),
        cluster_options: None,
    }
}

/// A mount that a container has.
pub(crate) fn mount_point(mount: &MountPoint) -> wire::MountPoint {
    wire::MountPoint {
        kind: mount.kind.to_string(),
        name: mount.name.clone(),
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        driver: mount.driver.clone(),
        mode: mount.mode.clone(),
        rw: mount.rw,
        propagation: mount.propagation.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Result<MountSpec> {
        mount(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn mounts_survive_the_way_there_and_back() {
        for wire in [
            json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true,
                   "BindOptions": {"Propagation": "rslave", "NonRecursive": true, "CreateMountpoint": true}}),
            json!({"Type": "volume", "Source": "v", "Target": "/b", "Consistency": "cached",
                   "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b"}, "Subpath": "s",
                                     "DriverConfig": {"Name": "local", "Options": {"o": "x"}}}}),
            json!({"Type": "image", "Source": "i", "Target": "/b", "ImageOptions": {"Subpath": "s"}}),
            json!({"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": 1, "Options": [["exec"]]}}),
        ] {
            let spec = parse(wire.clone()).unwrap();
            assert_eq!(serde_json::to_value(mount_view(&spec)).unwrap(), wire);
        }
    }

    #[test]
    fn impossible_mounts_are_refused_in_dockers_words() {
        for (wire, text) in [
            (
                json!({"Type": "floppy", "Target": "/b"}),
                "invalid mount config for type \"floppy\": mount type unknown",
            ),
            (
                json!({"Type": "bind", "Target": "/b", "TmpfsOptions": {}}),
                "invalid mount config for type \"bind\": field TmpfsOptions must not be specified",
            ),
            (
                json!({"Type": "bind", "Target": "/b", "BindOptions": {"Propagation": "up"}}),
                "invalid mount config for type \"bind\": invalid propagation mode: up",
            ),
        ] {
            assert_eq!(parse(wire).unwrap_err().message, text);
        }
    }
}
