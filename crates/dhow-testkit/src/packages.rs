//! Debian's packages, fetched by `apt-get` and unpacked into a cache, without installing anything on the machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder where fixtures are kept between runs: `$DHOW_TEST_CACHE`, or `dhow-tests` in the user's cache folder.
#[must_use]
pub fn cache() -> PathBuf {
    let folder = std::env::var_os("DHOW_TEST_CACHE").map_or_else(default_cache, PathBuf::from);
    fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("creating {}: {e}", folder.display()));
    folder
}

fn default_cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| OsString::from("/root")))
            .join(".cache")
    };
    base.unwrap_or_else(home).join("dhow-tests")
}

/// Makes `name` in the cache by calling `make` with a temporary folder, once for all processes.
///
/// The folder appears under its name only when `make` has returned, so that a broken run leaves nothing half-made.
pub fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = cache();
    let made = cache.join(name);
    if made.exists() {
        return made;
    }
    let lock =
        File::create(cache.join(format!("{name}.lock"))).expect("the cache folder is writable");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .expect("flock works on the cache folder");
    if !made.exists() {
        let temporary = tempfile::Builder::new()
            .prefix(&format!("{name}."))
            .tempdir_in(&cache);
        let temporary = temporary.expect("the cache folder is writable");
        make(temporary.path());
        fs::rename(temporary.keep(), &made)
            .unwrap_or_else(|e| panic!("placing {}: {e}", made.display()));
    }
    made
}

/// A program of a Debian package, ready to run, with the libraries that the machine lacks.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    root: Option<PathBuf>,
}

impl Tool {
    /// A command for the tool.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(root) = &self.root {
            let folders = [
                "usr/lib/x86_64-linux-gnu",
                "usr/lib/aarch64-linux-gnu",
                "usr/lib",
            ];
            let paths = folders.map(|folder| root.join(folder).display().to_string());
            command.env("LD_LIBRARY_PATH", paths.join(":"));
        }
        command
    }

    /// Where the program is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.program
    }
}

/// The program `name`: the machine's own if it has one, else the one of Debian's package `package`.
#[must_use]
pub fn tool(name: &str, package: &str) -> Tool {
    if let Some(program) = on_path(name) {
        return Tool {
            program,
            root: None,
        };
    }
    let root = unpacked(package);
    let found = ["usr/bin", "usr/sbin", "bin", "sbin"]
        .iter()
        .map(|d| root.join(d).join(name))
        .find(|p| p.is_file());
    let program =
        found.unwrap_or_else(|| panic!("Debian's package {package} has no program {name}"));
    Tool {
        program,
        root: Some(root),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|p| std::env::split_paths(&p).collect())
        .unwrap_or_default();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The folder into which `package`, and what it needs that the machine lacks, is unpacked.
#[must_use]
pub fn unpacked(package: &str) -> PathBuf {
    once(&format!("package-{package}"), |folder| {
        let archives = folder.join(".archives");
        fs::create_dir_all(archives.join("partial")).expect("the cache folder is writable");
        if !download(package, &archives) {
            apt(&["update"], None);
            assert!(
                download(package, &archives),
                "apt-get can't download {package}: see its messages above"
            );
        }
        for archive in debs(&archives) {
            run(Command::new("dpkg").arg("-x").arg(archive).arg(folder));
        }
        let _ = fs::remove_dir_all(archives);
    })
}

fn download(package: &str, archives: &Path) -> bool {
    let what = [
        "install",
        "-y",
        "--no-install-recommends",
        "--reinstall",
        "--download-only",
        package,
    ];
    apt(&what, Some(archives)) && !debs(archives).is_empty()
}

fn apt(arguments: &[&str], archives: Option<&Path>) -> bool {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args([
        "-qq",
        "-o",
        "DPkg::Lock::Timeout=120",
        "-o",
        "APT::Sandbox::User=root",
    ]);
    if let Some(archives) = archives {
        command
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", archives.display()));
    }
    command.args(arguments).stdout(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn debs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter(|path| path.extension().is_some_and(|e| e == "deb"))
        .collect()
}

/// Runs `command` and panics unless it succeeds.
pub fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("running {command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
