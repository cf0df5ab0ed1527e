//! Images made from Debian's packages, as root file system archives and OCI layouts.

use crate::packages::{self, once, run};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that the busybox fixture has links for.
const APPLETS: &str = "sh ls cat echo env sleep true false id hostname mount umount ps kill touch mkdir rm ln chmod \
    chown stat wc head tail grep sed awk cut tr sort uniq seq dd od tar gzip gunzip nc wget ping ip ifconfig route \
    httpd date uname df du find xargs test [ printf yes tee mknod stty tty whoami su nproc top free vi readlink \
    realpath md5sum sha256sum usleep timeout trap dmesg sysctl nslookup expr mkfifo cp mv pwd basename dirname";

/// A folder with a busybox root file system: a few applets, `/etc/passwd`, `/etc/group`, `/tmp`, `/root`.
#[must_use]
pub fn busybox_rootfs() -> PathBuf {
    once("busybox-rootfs", |folder| {
        let package = packages::unpacked("busybox-static");
        for name in [
            "bin", "etc", "tmp", "root", "var", "usr/bin", "proc", "sys", "dev", "home",
        ] {
            fs::create_dir_all(folder.join(name)).expect("the cache folder is writable");
        }
        let busybox = ["bin/busybox", "usr/bin/busybox"]
            .map(|p| package.join(p))
            .into_iter()
            .find(|p| p.is_file());
        fs::copy(
            busybox.expect("busybox-static has busybox"),
            folder.join("bin/busybox"),
        )
        .expect("copying busybox");
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", folder.join("bin").join(applet)).expect("linking an applet");
        }
        fs::set_permissions(folder.join("tmp"), fs::Permissions::from_mode(0o1777))
            .expect("chmod of tmp");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("chmod of the root");
        let passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nweb:x:1000:1000::/home:/bin/sh\n";
        fs::write(folder.join("etc/passwd"), passwd).expect("writing passwd");
        fs::write(
            folder.join("etc/group"),
            "root:x:0:\ndaemon:x:1:\nweb:x:1000:\nextra:x:2000:web\n",
        )
        .expect("writing group");
    })
}

/// The busybox root file system as an uncompressed tar archive.
#[must_use]
pub fn busybox_tar() -> PathBuf {
    once("busybox-tar", |folder| {
        tar_of(&busybox_rootfs(), &folder.join("rootfs.tar"))
    })
    .join("rootfs.tar")
}

/// A minimal Debian root file system made by `debootstrap --variant=minbase`, as an uncompressed tar archive.
#[must_use]
pub fn debian_tar() -> PathBuf {
    once("debian-tar", |folder| {
        let package = packages::unpacked("debootstrap");
        let target = folder.join("rootfs");
        let mut command = Command::new(package.join("usr/sbin/debootstrap"));
        command.env("DEBOOTSTRAP_DIR", package.join("usr/share/debootstrap"));
        command
            .args(["--variant=minbase", &debian_suite()])
            .arg(&target)
            .arg(debian_mirror());
        run(&mut command);
        let _ = fs::remove_dir_all(target.join("var/cache/apt/archives"));
        fs::create_dir_all(target.join("var/cache/apt/archives/partial"))
            .expect("the cache folder is writable");
        tar_of(&target, &folder.join("rootfs.tar"));
        fs::remove_dir_all(&target).expect("removing the unpacked root");
    })
    .join("rootfs.tar")
}

fn debian_suite() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    suite.unwrap_or("bookworm").to_owned()
}

/// The mirror that this machine's own apt uses, so that a machine with a mirror of its own keeps to it.
pub(crate) fn debian_mirror() -> String {
    let sources = fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let listed = sources
        .lines()
        .find_map(|line| line.strip_prefix("URIs:"))
        .map(|uri| uri.trim().to_owned());
    listed
        .or_else(mirror_of_sources_list)
        .unwrap_or_else(|| "http://deb.debian.org/debian".into())
}

fn mirror_of_sources_list() -> Option<String> {
    let list = fs::read_to_string("/etc/apt/sources.list").ok()?;
    let line = list
        .lines()
        .find(|line| line.starts_with("deb ") && line.contains("debian"))?;
    line.split_whitespace()
        .find(|word| word.starts_with("http"))
        .map(str::to_owned)
}

fn tar_of(folder: &Path, archive: &Path) {
    let mut builder =
        tar::Builder::new(File::create(archive).expect("the cache folder is writable"));
    builder.follow_symlinks(false);
    builder
        .append_dir_all(".", folder)
        .expect("archiving the root file system");
    builder.finish().expect("finishing the archive");
}

/// An OCI image layout in the making: layers are added in order, then [`Layout::finish`] writes the manifest.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    layers: Vec<Value>,
    diff_ids: Vec<String>,
    config: Value,
}

impl Layout {
    /// Starts a layout in `folder`, which is created.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("blobs/sha256")).expect("the layout's folder is writable");
        fs::write(
            folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("writing oci-layout");
        Self {
            folder: folder.to_owned(),
            layers: Vec::new(),
            diff_ids: Vec::new(),
            config: json!({"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}),
        }
    }

    /// Replaces the image's `config` object.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Adds an uncompressed layer archive, gzip-compressed.
    #[must_use]
    pub fn layer(mut self, tar: &[u8]) -> Self {
        self.diff_ids.push(digest(tar));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(tar).expect("compressing to memory works");
        let blob = gzip.finish().expect("compressing to memory works");
        let descriptor = self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &blob);
        self.layers.push(descriptor);
        self
    }

    /// Adds an uncompressed layer archive, zstd-compressed.
    #[must_use]
    pub fn zstd_layer(mut self, tar: &[u8]) -> Self {
        self.diff_ids.push(digest(tar));
        let blob = zstd::encode_all(tar, 3).expect("compressing to memory works");
        let descriptor = self.blob("application/vnd.oci.image.layer.v1.tar+zstd", &blob);
        self.layers.push(descriptor);
        self
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let hex = digest.trim_start_matches("sha256:");
        fs::write(self.folder.join("blobs/sha256").join(hex), bytes)
            .expect("the layout's folder is writable");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Writes config, manifest and index, the image under the reference name `name`.
    pub fn finish(self, name: &str) {
        let config = json!({
            "architecture": architecture(), "os": "linux", "config": self.config, "created": "2026-01-02T03:04:05Z",
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            "history": self.diff_ids.iter().map(|_| json!({"created": "2026-01-02T03:04:05Z", "created_by": "testkit"})).collect::<Vec<_>>(),
        });
        let config = self.blob(
            "application/vnd.oci.image.config.v1+json",
            config.to_string().as_bytes(),
        );
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": self.layers,
        });
        let mut manifest = self.blob(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        );
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(self.folder.join("index.json"), index.to_string())
            .expect("the layout's folder is writable");
    }
}

/// `sha256:` and the hex digest of `bytes`.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold(String::from("sha256:"), |text, byte| {
        format!("{text}{byte:02x}")
    })
}

/// This machine's architecture in Go's words.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An OCI layout of the busybox image under the name `busybox`.
#[must_use]
pub fn busybox_layout() -> PathBuf {
    once("busybox-layout", |folder| {
        let tar = fs::read(busybox_tar()).expect("the fixture was just made");
        Layout::new(folder).layer(&tar).finish("busybox");
    })
}

/// An OCI layout of the Debian image under the name `debian`.
#[must_use]
pub fn debian_layout() -> PathBuf {
    once("debian-layout", |folder| {
        let tar = fs::read(debian_tar()).expect("the fixture was just made");
        let config = json!({"Cmd": ["bash"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]});
        Layout::new(folder)
            .config(config)
            .layer(&tar)
            .finish("debian");
    })
}
