//! Finding the program to execute, with the rules and texts of Go's `exec.LookPath`, which is what runc uses.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};

use crate::error::ExecutableError;
use crate::failure::errno_text;

/// The path of `program`, as the calling process sees it and may execute it.
pub(crate) fn find(program: &str, env: &[String]) -> Result<String, ExecutableError> {
    if program.contains('/') {
        return match check(program) {
            Ok(()) => Ok(program.to_owned()),
            Err(Refused::Missing) => Err(ExecutableError::Missing(program.to_owned())),
            Err(Refused::Denied) => Err(ExecutableError::Denied(program.to_owned())),
            Err(Refused::Directory) => Err(ExecutableError::Directory(program.to_owned())),
            Err(Refused::Other(text)) => {
                let text = format!("stat {program}: {text}");
                Err(ExecutableError::Other(program.to_owned(), text))
            }
        };
    }
    let path = env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or_default();
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = Path::new(directory)
            .join(program)
            .to_string_lossy()
            .into_owned();
        if !program.is_empty() && check(&candidate).is_ok() {
            return Ok(candidate);
        }
    }
    Err(ExecutableError::NotInPath(program.to_owned()))
}

enum Refused {
    Missing,
    Denied,
    Directory,
    Other(String),
}

fn check(path: &str) -> Result<(), Refused> {
    let found = stat(path).map_err(|error| match error {
        rustix::io::Errno::NOENT => Refused::Missing,
        other => Refused::Other(errno_text(&other.into())),
    })?;
    if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        return Err(Refused::Directory);
    }
    if found.st_mode & 0o111 == 0 {
        return Err(Refused::Denied);
    }
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).map_err(|_| Refused::Denied)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn texts_are_those_of_runc() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("plain"), "").unwrap();
        std::fs::write(path("program"), "").unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path("program"), mode).unwrap();
        let env = [format!("PATH=/nowhere:{}", folder.path().display())];
        let text = |program: &str| find(program, &env).unwrap_err().to_string();
        assert_eq!(find("program", &env).unwrap(), path("program"));
        assert_eq!(find(&path("program"), &env).unwrap(), path("program"));
        assert_eq!(
            text("foo"),
            "exec: \"foo\": executable file not found in $PATH"
        );
        assert_eq!(
            text("plain"),
            "exec: \"plain\": executable file not found in $PATH"
        );
        let expected = "exec: \"/no/bin\": stat /no/bin: no such file or directory";
        assert_eq!(text("/no/bin"), expected);
        let plain = path("plain");
        assert_eq!(
            text(&plain),
            format!("exec: \"{plain}\": permission denied")
        );
        assert_eq!(text("/tmp"), "exec: \"/tmp\": is a directory");
        let below = format!("{plain}/x");
        assert_eq!(
            text(&below),
            format!("exec: \"{below}\": stat {below}: not a directory")
        );
        assert_eq!(text(""), "exec: \"\": executable file not found in $PATH");
    }
}
