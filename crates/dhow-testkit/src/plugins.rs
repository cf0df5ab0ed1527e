//! The official CLI plugins, buildx and compose, of Debian's packages.
//!
//! They are in Debian's unstable release only, as current as they have to be; what is installed on the machine has
//! nothing to do with it. They are static enough to run on any Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::{once, run};

/// The folder with `docker-buildx` and `docker-compose`, fetched once.
///
/// # Panics
/// When they can't be fetched.
#[must_use]
pub fn plugins() -> PathBuf {
    once("docker-plugins", |folder| {
        let archives = folder.join(".archives");
        let state = folder.join(".apt");
        for part in [archives.join("partial"), state.join("lists/partial")] {
            fs::create_dir_all(part).expect("the cache folder is writable");
        }
        let list = state.join("sources.list");
        let source = format!("deb {} sid main\n", crate::images::debian_mirror());
        fs::write(&list, source).expect("the cache folder is writable");
        let apt = |words: &[&str]| {
            let mut command = Command::new("apt-get");
            let option = |name: &str, value: &Path| format!("{name}={}", value.display());
            command
                .current_dir(&archives)
                .args(["-qq", "-o", "APT::Sandbox::User=root"])
                .args(["-o", "Dir::Etc::sourceparts=/nonexistent"])
                .args(["-o", &option("Dir::Etc::sourcelist", &list)])
                .args(["-o", &option("Dir::State::lists", &state.join("lists"))])
                .args(["-o", &option("Dir::Cache", &state)])
                .args(words);
            run(&mut command);
        };
        apt(&["update"]);
        apt(&["download", "docker-buildx", "docker-compose"]);
        for entry in fs::read_dir(&archives).expect("the cache folder is readable") {
            let archive = entry.expect("the cache folder is readable").path();
            if archive.extension().is_some_and(|e| e == "deb") {
                run(Command::new("dpkg").arg("-x").arg(archive).arg(folder));
            }
        }
        let _ = fs::remove_dir_all(archives);
        let _ = fs::remove_dir_all(state);
    })
    .join("usr/libexec/docker/cli-plugins")
}

/// Puts the plugins into a home folder, where the official command line finds them.
///
/// # Panics
/// When the folder can't be written.
pub fn install_plugins(home: &Path) {
    let folder = home.join(".docker/cli-plugins");
    fs::create_dir_all(&folder).expect("the home folder is writable");
    for name in ["docker-buildx", "docker-compose"] {
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(plugins().join(name), link)
                .expect("the home folder is writable");
        }
    }
}
