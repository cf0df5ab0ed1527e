//! Docker's clients of other languages: interpreters and packages, fetched once and kept in the cache.

use crate::packages::{self, once, run};
use crate::{cli, images};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An interpreter with the packages that a folder of scripts asks for.
#[derive(Debug, Clone)]
pub struct Interpreter {
    tool: packages::Tool,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Interpreter {
    /// A command that runs the interpreter for at most five minutes, in an environment of nothing else than `PATH`.
    #[must_use]
    pub fn command(&self) -> Command {
        let tool = self.tool.command();
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "300"])
            .arg(self.tool.path());
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in tool.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.envs(self.environment.iter().cloned());
        command
    }
}

/// Python with the packages of `scripts/requirements.txt`; `scripts` is the folder of its modules as well.
///
/// # Panics
/// When the packages can't be fetched.
#[must_use]
pub fn python(scripts: &Path) -> Interpreter {
    let tool = packages::tool("python3", "python3");
    let home = home_of(&tool);
    let requirements = scripts.join("requirements.txt");
    let installed = once(&versioned("python", &requirements), |folder| {
        let mut pip = pip(&tool, home.as_deref());
        pip.args(["install", "--quiet", "--no-deps", "--only-binary=:all:"]);
        pip.args(["--root-user-action=ignore", "--target"])
            .arg(folder);
        run(pip.arg("--requirement").arg(&requirements));
    });
    // Both folders in one variable, and nothing written beside the scripts.
    let path = PathBuf::from(format!("{}:{}", installed.display(), scripts.display()));
    let mut environment = vec![
        ("PYTHONPATH", path),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
    ];
    environment.extend(home.map(|home| ("PYTHONHOME", home)));
    Interpreter { tool, environment }
}

/// Where an unpacked Python has its library: it would look for it where Debian installs it.
fn home_of(tool: &packages::Tool) -> Option<PathBuf> {
    let usr = tool.path().parent().and_then(Path::parent)?;
    tool.path()
        .starts_with(packages::cache())
        .then(|| usr.to_owned())
}

/// The pip of that Python, or Debian's.
fn pip(tool: &packages::Tool, home: Option<&Path>) -> Command {
    let python = || {
        let mut command = tool.command();
        command.envs(home.map(|home| ("PYTHONHOME", home)));
        command.args(["-m", "pip"]);
        command
    };
    if python()
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return python();
    }
    let mut command = python();
    let root = packages::unpacked("python3-pip");
    command.env("PYTHONPATH", root.join("usr/lib/python3/dist-packages"));
    command
}

/// Node with the packages of `scripts/package-lock.json`, whose folder is in `NODE_FOLDER`.
///
/// # Panics
/// When the packages can't be fetched.
#[must_use]
pub fn node(scripts: &Path) -> Interpreter {
    let tool = packages::tool("node", "nodejs");
    let lock = scripts.join("package-lock.json");
    let installed = once(&versioned("node", &lock), |folder| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(scripts.join(name), folder.join(name)).expect("the cache folder is writable");
        }
        let npm = packages::tool("npm", "npm");
        let mut command = npm.command();
        // Debian's npm looks for its parts where Debian installs them.
        if let Some(share) = npm.path().parent().and_then(Path::parent) {
            command.env("NODE_PATH", share.join("share/nodejs"));
        }
        command.args(["ci", "--silent", "--ignore-scripts", "--prefix"]);
        run(command.arg(folder));
    });
    Interpreter {
        tool,
        environment: vec![("NODE_FOLDER", installed)],
    }
}

/// The folder of the scripts of the language `name` in this source tree.
#[must_use]
pub fn scripts(name: &str) -> PathBuf {
    cli::tree().join("crates/dhow-e2e/clients").join(name)
}

/// A name in the cache that changes with what `file` says.
fn versioned(name: &str, file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let digest = images::digest(&bytes);
    format!("clients-{name}-{}", &digest["sha256:".len()..][..12])
}
