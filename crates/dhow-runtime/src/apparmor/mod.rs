//! AppArmor: whether it is there, and the profile that containers are in unless they ask for another one.
//!
//! The profile is generated and loaded into the kernel by AppArmor's own compiler, once: when the engine begins, and
//! again when it is gone, as it can't be kept where the system keeps its own. Where there is no compiler, containers
//! are in no profile unless somebody has loaded one of that name, as with Docker.

mod profile;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dhow_errdefs::{Classify, ErrorKind};

use self::profile::Includes;

/// The name of the profile that containers are in by default.
pub const DEFAULT_PROFILE: &str = "docker-default";

/// Where the compiler is looked for.
const PARSERS: [&str; 4] = [
    "sbin/apparmor_parser",
    "usr/sbin/apparmor_parser",
    "usr/local/sbin/apparmor_parser",
    "usr/bin/apparmor_parser",
];

/// AppArmor on a machine.
#[derive(Debug, Clone)]
pub struct AppArmor {
    /// The machine's root, another one in tests.
    root: PathBuf,
}

/// Why the default profile could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not tell what is loaded.
    #[error("read AppArmor's profiles")]
    Read(#[source] io::Error),
    /// The compiler could not be run.
    #[error("run {}", program.display())]
    Run {
        /// The compiler.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The compiler refused the profile, or the kernel did.
    #[error(
        "AppArmor enabled on system but the {DEFAULT_PROFILE} profile could not be loaded: running `{}` failed with output: {output}",
        program.display()
    )]
    Load {
        /// The compiler.
        program: PathBuf,
        /// What it said.
        output: String,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::System
    }
}

impl Default for AppArmor {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl AppArmor {
    /// AppArmor of a machine whose root is `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Whether the kernel has it, and it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let enabled = self.root.join("sys/module/apparmor/parameters/enabled");
        std::fs::read_to_string(enabled).is_ok_and(|text| text.trim() == "Y")
    }

    /// The profile of containers that ask for none, loaded where it was not; none where there is no AppArmor, or nothing
    /// to load it with.
    ///
    /// # Errors
    /// It can't be loaded.
    pub fn default_profile(&self) -> Result<Option<&'static str>, Error> {
        if !self.is_on() || !self.profiles().exists() {
            return Ok(None);
        }
        if self.is_loaded(DEFAULT_PROFILE)? {
            return Ok(Some(DEFAULT_PROFILE));
        }
        match self.parser() {
            Some(parser) => self.load(&parser).map(|()| Some(DEFAULT_PROFILE)),
            None => Ok(None),
        }
    }

    /// Whether containers that ask for none are in the default profile, without loading it.
    #[must_use]
    pub fn has_default(&self) -> bool {
        let can_load = || self.parser().is_some();
        self.is_on()
            && self.profiles().exists()
            && (can_load() || self.is_loaded(DEFAULT_PROFILE).unwrap_or(false))
    }

    fn profiles(&self) -> PathBuf {
        self.root.join("sys/kernel/security/apparmor/profiles")
    }

    /// Whether the kernel has a profile of that name: its list has a `NAME (MODE)` a line.
    fn is_loaded(&self, name: &str) -> Result<bool, Error> {
        let list = std::fs::read_to_string(self.profiles()).map_err(Error::Read)?;
        let mut names = list
            .lines()
            .filter_map(|line| Some(line.rsplit_once(" (")?.0));
        Ok(names.any(|known| known == name))
    }

    fn parser(&self) -> Option<PathBuf> {
        let mut places = PARSERS.iter().map(|place| self.root.join(place));
        places.find(|place| place.exists())
    }

    /// Has the profile compiled and loaded; nothing of it is kept on disk.
    fn load(&self, parser: &Path) -> Result<(), Error> {
        let failed = |source| Error::Run {
            program: parser.into(),
            source,
        };
        let folder = self.root.join("etc/apparmor.d");
        let includes = Includes {
            tunables: folder.join("tunables/global").exists(),
            base: folder.join("abstractions/base").exists(),
        };
        // Replace what is there, write no cache, read the profile from standard input.
        let mut process = Command::new(parser)
            .args(["--replace", "--skip-cache"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = process.stdin.take() {
            let text = profile::text(DEFAULT_PROFILE, includes);
            // One that does not read says why by its end.
            let _ = input.write_all(text.as_bytes());
        }
        let output = process.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(Error::Load {
            program: parser.into(),
            output: String::from_utf8_lossy(&said).trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A machine of files: AppArmor is on, and these profiles are loaded.
    fn machine(profiles: &str) -> (tempfile::TempDir, AppArmor) {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("sys/module/apparmor/parameters/enabled", "Y\n");
        put("sys/kernel/security/apparmor/profiles", profiles);
        let apparmor = AppArmor::below(root.path());
        (root, apparmor)
    }

    /// A compiler that notes what it is given and does as `end` says.
    fn install(root: &Path, end: &str) {
        let path = root.join("usr/sbin/apparmor_parser");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let root = root.display();
        let script = format!("#!/bin/sh\necho \"$@\" >>{root}/args\ncat >{root}/text\n{end}\n");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn without_apparmor_there_is_no_profile() {
        let root = tempfile::tempdir().unwrap();
        let none = AppArmor::below(root.path());
        assert!(!none.is_on());
        assert_eq!(none.default_profile().unwrap(), None);
        let (root, off) = machine("");
        fs::write(
            root.path().join("sys/module/apparmor/parameters/enabled"),
            "N\n",
        )
        .unwrap();
        install(root.path(), "exit 0");
        assert_eq!(off.default_profile().unwrap(), None);
        assert!(!root.path().join("args").exists());
    }

    #[test]
    fn it_is_loaded_when_it_is_not_there() {
        let (root, apparmor) = machine("other (enforce)\ndocker-default2 (complain)\n");
        assert!(apparmor.is_on());
        // Nothing to load it with: containers are in none.
        assert_eq!(apparmor.default_profile().unwrap(), None);
        assert!(!apparmor.has_default());
        install(root.path(), "exit 0");
        assert!(apparmor.has_default());
        assert_eq!(apparmor.default_profile().unwrap(), Some(DEFAULT_PROFILE));
        let text = fs::read_to_string(root.path().join("text")).unwrap();
        assert!(text.contains("profile docker-default "), "{text}");
        let args = || fs::read_to_string(root.path().join("args")).unwrap();
        assert_eq!(args(), "--replace --skip-cache\n");
        // Once it is there, nothing is run.
        let (root, apparmor) = machine("docker-default (enforce)\n");
        install(root.path(), "exit 1");
        assert_eq!(apparmor.default_profile().unwrap(), Some(DEFAULT_PROFILE));
        assert!(!root.path().join("args").exists());
    }

    #[test]
    fn a_refusal_is_told_as_docker_does() {
        let (root, apparmor) = machine("");
        install(root.path(), "echo bad rule >&2; exit 1");
        let error = apparmor.default_profile().unwrap_err().to_string();
        assert!(
            error.starts_with(
                "AppArmor enabled on system but the docker-default profile could not be loaded: running `"
            ) && error.ends_with("failed with output: bad rule"),
            "{error}"
        );
    }

    /// AppArmor's own compiler, from Debian's package, without a kernel.
    #[test]
    fn the_compiler_takes_the_profile() {
        let parser = dhow_testkit::packages::tool("apparmor_parser", "apparmor");
        let root = parser.path().parent().and_then(Path::parent).unwrap();
        let base = root.join("etc/apparmor.d");
        let is_there = base.join("tunables/global").exists();
        for includes in [false, is_there] {
            let text = profile::text(
                DEFAULT_PROFILE,
                Includes {
                    tunables: includes,
                    base: includes,
                },
            );
            let mut command = parser.command();
            command.args(["--skip-kernel-load", "--skip-cache", "--base"]);
            command.arg(&base).stdin(Stdio::piped());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut process = command.spawn().unwrap();
            let input = process.stdin.take().unwrap();
            { input }.write_all(text.as_bytes()).unwrap();
            let output = process.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}\n{text}");
        }
    }
}
