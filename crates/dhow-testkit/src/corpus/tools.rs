//! Images made by real tools; no two runs make the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Blob, Image};
use crate::images::{busybox_layout, busybox_rootfs, debian_layout};
use crate::packages::{run, tool};

/// Makes them all; names and images.
#[must_use]
pub fn made_by_tools() -> Vec<(String, Image)> {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let mut images = vec![
        ("busybox".to_owned(), of_layout(&busybox_layout())),
        ("debootstrap".to_owned(), of_layout(&debian_layout())),
        ("umoci".to_owned(), umoci(folder.path())),
        ("buildah".to_owned(), buildah(folder.path())),
    ];
    for (name, arguments) in [
        ("skopeo-docker", &["--format", "v2s2"][..]),
        ("skopeo-zstd", &["--dest-compress-format", "zstd"]),
        ("skopeo-plain", &["--dest-decompress"]),
    ] {
        images.push((name.to_owned(), skopeo(folder.path(), name, arguments)));
    }
    images
}

/// The image of a layout with one.
fn of_layout(layout: &Path) -> Image {
    let read = |path: &Path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let index: Value = parse(&read(&layout.join("index.json")));
    let top = &index["manifests"][0];
    let digest = |descriptor: &Value| descriptor["digest"].as_str().unwrap_or_default().to_owned();
    let blob = |descriptor: &Value| {
        let path = layout
            .join("blobs")
            .join(digest(descriptor).replace(':', "/"));
        Blob {
            media_type: descriptor["mediaType"].as_str().unwrap_or_default().into(),
            bytes: read(&path),
        }
    };
    let manifest = blob(top);
    let parsed = parse(&manifest.bytes);
    let mut blobs = BTreeMap::from([(digest(top), manifest)]);
    let layers = parsed["layers"].as_array().into_iter().flatten();
    for descriptor in layers.chain([&parsed["config"]]) {
        blobs.insert(digest(descriptor), blob(descriptor));
    }
    Image {
        top: digest(top),
        blobs,
    }
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("a layout's documents are JSON")
}

/// Unpacked, changed and packed again: what umoci makes of removed, replaced and linked files.
fn umoci(folder: &Path) -> Image {
    let layout = folder.join("umoci");
    let bundle = folder.join("bundle");
    let umoci = tool("umoci", "umoci");
    let image = format!("{}:box", layout.display());
    run(Command::new("cp")
        .arg("-a")
        .arg(busybox_layout())
        .arg(&layout));
    rename(&layout, "box");
    let steps = |change: &dyn Fn(&Path)| {
        run(umoci
            .command()
            .args(["unpack", "--image", &image])
            .arg(&bundle));
        change(&bundle.join("rootfs"));
        run(umoci
            .command()
            .args(["repack", "--image", &image])
            .arg(&bundle));
        fs::remove_dir_all(&bundle).expect("removing the bundle");
    };
    steps(&|root| {
        fs::remove_file(root.join("etc/group")).expect("it is there");
        fs::remove_dir_all(root.join("home")).expect("it is there");
        fs::create_dir_all(root.join("opt/deep/er")).expect("the root is writable");
        fs::write(root.join("opt/deep/er/file"), "x").expect("the root is writable");
        fs::hard_link(root.join("opt/deep/er/file"), root.join("opt/twin")).expect("linking");
        fs::set_permissions(root.join("opt"), PermissionsExt::from_mode(0o1770)).expect("chmod");
        chown(root.join("opt/deep"), Some(1000), Some(70_000)).expect("chown");
        capable(&root.join("bin/busybox"));
    });
    steps(&|root| {
        fs::remove_dir_all(root.join("opt/deep/er")).expect("it is there");
        fs::remove_file(root.join("opt/twin")).expect("it is there");
        fs::remove_file(root.join("bin/vi")).expect("it is there");
        fs::create_dir(root.join("bin/vi")).expect("the root is writable");
        symlink("/nowhere", root.join("home")).expect("the root is writable");
    });
    let mut image = of_layout(&layout);
    drop_unused(&mut image);
    image
}

/// Gives the one image of a layout another name.
fn rename(layout: &Path, name: &str) {
    let path = layout.join("index.json");
    let mut index = parse(&fs::read(&path).expect("a layout has an index"));
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = name.into();
    fs::write(path, index.to_string()).expect("the layout is writable");
}

/// An image has what its manifest names, whatever else was in the layout.
fn drop_unused(image: &mut Image) {
    let manifest = parse(&image.blobs[&image.top].bytes).to_string();
    let top = image.top.clone();
    image
        .blobs
        .retain(|digest, _| *digest == top || manifest.contains(digest));
}

fn capable(program: &Path) {
    run(tool("setcap", "libcap2-bin")
        .command()
        .arg("cap_net_raw,cap_net_bind_service=ep")
        .arg(program));
}

/// Built from nothing, with what buildah's own archiver writes.
fn buildah(folder: &Path) -> Image {
    let buildah = tool("buildah", "buildah");
    let layout = folder.join("buildah");
    let policy = folder.join("policy.json");
    fs::write(
        &policy,
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    )
    .expect("writable");
    let step = |arguments: &[&str]| {
        let mut command = buildah.command();
        command
            .arg("--root")
            .arg(folder.join("storage"))
            .arg("--runroot")
            .arg(folder.join("run"))
            .args(["--storage-driver", "vfs"])
            .args(arguments)
            .env("TMPDIR", folder);
        let output = command.output().expect("buildah runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let container = step(&["from", "scratch"]);
    let root = busybox_rootfs().display().to_string();
    step(&["copy", &container, &root, "/"]);
    let mounted = step(&["mount", &container]);
    let mounted = Path::new(&mounted);
    run(Command::new("mkfifo").arg(mounted.join("fifo")));
    run(Command::new("mknod")
        .arg(mounted.join("node"))
        .args(["c", "1", "7"]));
    capable(&mounted.join("bin/busybox"));
    let file = File::create(mounted.join("hole")).expect("the mount is writable");
    file.set_len(5_000_000).expect("a file can have a hole");
    step(&["umount", &container]);
    let to = format!("oci:{}:box", layout.display());
    step(&[
        "commit",
        "--signature-policy",
        &policy.display().to_string(),
        &container,
        &to,
    ]);
    step(&["rm", &container]);
    of_layout(&layout)
}

/// The image of umoci, as skopeo writes it in other forms.
fn skopeo(folder: &Path, name: &str, arguments: &[&str]) -> Image {
    let to = folder.join(name);
    let mut command = tool("skopeo", "skopeo").command();
    command
        .args(["--insecure-policy", "copy", "--quiet"])
        .args(arguments)
        .arg(format!("oci:{}:box", folder.join("umoci").display()))
        .arg(format!("dir:{}", to.display()));
    run(&mut command);
    of_folder(&to)
}

/// The image of a folder as skopeo's `dir:` makes it.
fn of_folder(folder: &Path) -> Image {
    let bytes = fs::read(folder.join("manifest.json")).expect("the folder has a manifest");
    let manifest = parse(&bytes);
    let media_type = manifest["mediaType"].as_str().unwrap_or_default();
    let media_type = match media_type {
        "" => "application/vnd.oci.image.manifest.v1+json",
        told => told,
    };
    let mut image = Image::default();
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for descriptor in layers.chain([&manifest["config"]]) {
        let hex = descriptor["digest"].as_str().unwrap_or_default();
        let blob = fs::read(folder.join(hex.trim_start_matches("sha256:"))).expect("it is there");
        image.put(descriptor["mediaType"].as_str().unwrap_or_default(), blob);
    }
    let top = image.put(media_type, bytes);
    top["digest"]
        .as_str()
        .unwrap_or_default()
        .clone_into(&mut image.top);
    image
}
