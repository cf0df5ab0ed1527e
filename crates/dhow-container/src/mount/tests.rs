#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::spec::VolumeOptions;

fn short(text: &str) -> Result<MountPoint, MountError> {
    let host = HostConfig {
        binds: vec![text.to_owned()],
        ..HostConfig::default()
    };
    Ok(wanted(&host, Vec::new())?.remove(0).point)
}

fn text(error: &MountError) -> &str {
    match error {
        MountError::Invalid(Invalid(text)) | MountError::Mode(text) => text,
    }
}

#[test]
fn a_path_is_a_bind_and_a_word_a_volume() {
    let point = short("/srv/../srv/data:/data/:ro").unwrap();
    assert_eq!(point.kind, MountKind::Bind);
    assert_eq!(
        (point.source.as_str(), point.destination.as_str()),
        ("/srv/data", "/data")
    );
    assert!(!point.rw && point.create_source);
    assert_eq!(point.propagation, "rprivate");

    let point = short("data:/data").unwrap();
    assert_eq!(point.kind, MountKind::Volume);
    assert_eq!((point.name.as_str(), point.mode.as_str()), ("data", "z"));
    assert!(point.rw && point.copy && point.propagation.is_empty());

    let point = short("/data").unwrap();
    assert!(point.kind == MountKind::Volume && point.name.is_empty());
    assert_eq!(short("/a:/b:ro,rslave").unwrap().propagation, "rslave");
}

#[test]
fn wrong_binds_get_dockers_text() {
    let cases = [
        ("relative/path:/x:zzz", "invalid mode: zzz"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("v:/b:rshared", "invalid mode: rshared"),
        ("/foo:rw", "invalid volume specification: '/foo:rw'"),
        (":/x", "invalid volume specification: ':/x'"),
        ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"),
        (
            "/a:b",
            "invalid volume specification: '/a:b': invalid mount config for type \"bind\": \
             invalid mount path: 'b' mount path must be absolute",
        ),
        (
            "v:/",
            "invalid volume specification: 'v:/': invalid mount config for type \"volume\": \
             invalid specification: destination can't be '/'",
        ),
    ];
    for (bind, wanted) in cases {
        assert_eq!(text(&short(bind).unwrap_err()), wanted, "{bind}");
    }
}

#[test]
fn the_long_form_is_checked() {
    let check = |spec: MountSpec| {
        let host = HostConfig {
            mounts: vec![spec],
            ..HostConfig::default()
        };
        wanted(&host, Vec::new()).map(|mut list| list.remove(0).point)
    };
    let bind = MountSpec {
        kind: MountKind::Bind,
        target: "/x".into(),
        ..MountSpec::default()
    };
    let error = check(bind.clone()).unwrap_err();
    assert_eq!(
        text(&error),
        "invalid mount config for type \"bind\": field Source must not be empty"
    );
    let error = check(MountSpec {
        source: "/a".into(),
        volume: Some(VolumeOptions::default()),
        ..bind.clone()
    })
    .unwrap_err();
    assert_eq!(
        text(&error),
        "invalid mount config for type \"bind\": field VolumeOptions must not be specified"
    );
    let point = check(MountSpec {
        source: "/a".into(),
        read_only: true,
        ..bind
    })
    .unwrap();
    assert!(!point.rw && !point.create_source);
    let escape = VolumeOptions {
        subpath: "../x".into(),
        ..VolumeOptions::default()
    };
    let volume = MountSpec {
        source: "v".into(),
        target: "/x".into(),
        volume: Some(escape),
        ..MountSpec::default()
    };
    assert!(check(volume).is_err());
}

#[test]
fn one_path_has_one_mount() {
    let host = HostConfig {
        binds: vec!["/a:/x".into(), "/b:/x/".into()],
        ..HostConfig::default()
    };
    assert_eq!(
        text(&wanted(&host, Vec::new()).unwrap_err()),
        "Duplicate mount point: /x"
    );
    let inherited = MountPoint {
        destination: "/x".into(),
        ..MountPoint::default()
    };
    let host = HostConfig {
        binds: vec!["/a:/x".into()],
        ..HostConfig::default()
    };
    let list = wanted(&host, vec![inherited]).unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].point.source, "/a");
}
