//! What is built: a folder, a repository, an archive somewhere, or what comes on the standard input.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use dhow_golang::io_text;
use dhow_options::flags::Parsed;
use dhow_session::{Input, random_id};

/// The bytes by which an archive is told from a Dockerfile.
const HEAD: usize = 512;
/// The largest Dockerfile.
const DOCKERFILE: u64 = 16 << 20;

/// What is built, as the engine is told of it.
#[derive(Default)]
pub(super) struct Source {
    /// Folders that the engine may read, by their names.
    pub(super) folders: BTreeMap<String, PathBuf>,
    /// The front end's attributes.
    pub(super) attributes: BTreeMap<String, String>,
    /// What the engine pulls, and its id.
    pub(super) upload: Option<(String, Input)>,
    /// What tells this folder from others.
    pub(super) path: PathBuf,
    temporary: Vec<Temporary>,
}

/// A folder that is removed with all that is in it.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("dhow-build-{}", random_id()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| format!("mkdir {}: {}", path.display(), io_text(&error)))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is in the folder of what may be removed anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a text is an address rather than a path, as Docker has it.
fn is_remote(text: &str) -> bool {
    let schemes = [
        "http://",
        "https://",
        "git://",
        "ssh://",
        "git@",
        "github.com/",
    ];
    schemes.iter().any(|scheme| text.starts_with(scheme))
}

/// Finds out what the argument and the flags name.
pub(super) fn read(flags: &Parsed) -> Result<Source, String> {
    let (place, file) = (flags.argument(0), flags.text("file"));
    let mut source = Source::default();
    if place == "-" {
        source.standard_input(file)?;
    } else if is_remote(place) {
        source.remote(place, file)?;
    } else {
        source.folder(place, file)?;
    }
    for named in flags.list("build-context") {
        source.named(&named)?;
    }
    Ok(source)
}

impl Source {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.attributes.insert(name.to_owned(), value.into());
    }

    fn folder(&mut self, place: &str, file: &str) -> Result<(), String> {
        let path = PathBuf::from(place);
        if !path.is_dir() {
            return Err(format!(
                "unable to prepare context: path {place:?} not found"
            ));
        }
        self.path = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        self.folders.insert("context".into(), path.clone());
        match file {
            "-" => self.dockerfile_of(std::io::stdin().lock()),
            "" => self.dockerfile(path, "Dockerfile"),
            file => self.dockerfile_at(Path::new(file)),
        }
    }

    fn remote(&mut self, place: &str, file: &str) -> Result<(), String> {
        self.set("context", place);
        match file {
            "-" => {
                self.set("dockerfilekey", "dockerfile");
                self.dockerfile_of(std::io::stdin().lock())
            }
            file if Path::new(file).is_absolute() => {
                self.set("dockerfilekey", "dockerfile");
                self.dockerfile_at(Path::new(file))
            }
            file => {
                self.set(
                    "filename",
                    if file.is_empty() { "Dockerfile" } else { file },
                );
                Ok(())
            }
        }
    }

    /// An archive with all that is built, or a Dockerfile alone.
    fn standard_input(&mut self, file: &str) -> Result<(), String> {
        if file == "-" {
            return Err(
                "invalid argument: can't use stdin for both build context and dockerfile".into(),
            );
        }
        let mut head = Vec::new();
        let read = std::io::stdin()
            .lock()
            .take(HEAD as u64)
            .read_to_end(&mut head);
        read.map_err(|error| {
            format!(
                "failed to peek context header from STDIN: {}",
                io_text(&error)
            )
        })?;
        let input = std::io::Cursor::new(head.clone()).chain(std::io::stdin());
        if is_archive(&head) {
            let id = random_id();
            self.set("context", format!("http://buildkit-session/{id}"));
            self.set(
                "filename",
                if file.is_empty() { "Dockerfile" } else { file },
            );
            self.upload = Some((id, Box::new(input)));
            return Ok(());
        }
        if !file.is_empty() {
            return Err(
                "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles".into(),
            );
        }
        let empty = Temporary::new()?;
        self.folders.insert("context".into(), empty.0.clone());
        self.temporary.push(empty);
        self.dockerfile_of(input)
    }

    fn dockerfile_at(&mut self, file: &Path) -> Result<(), String> {
        let folder = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| format!("{} is no Dockerfile", file.display()))?;
        if !folder.is_dir() {
            return Err(format!(
                "unable to prepare context: path {:?} not found",
                folder.to_string_lossy()
            ));
        }
        self.dockerfile(folder, &name)
    }

    fn dockerfile(&mut self, folder: PathBuf, name: &str) -> Result<(), String> {
        // As other builders do, the name in lower case is taken where there is no other.
        let lower = name == "Dockerfile" && !folder.join(name).exists();
        let name = match lower && folder.join("dockerfile").exists() {
            true => "dockerfile",
            false => name,
        };
        self.set("filename", name);
        self.folders.insert("dockerfile".into(), folder);
        Ok(())
    }

    /// A Dockerfile that is read from somewhere.
    fn dockerfile_of(&mut self, input: impl Read) -> Result<(), String> {
        let mut text = Vec::new();
        let read = input.take(DOCKERFILE + 1).read_to_end(&mut text);
        read.map_err(|error| format!("failed to read Dockerfile from STDIN: {}", io_text(&error)))?;
        if text.len() as u64 > DOCKERFILE {
            return Err("the Dockerfile is too long".into());
        }
        let folder = Temporary::new()?;
        let path = folder.0.join("Dockerfile");
        let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(&text));
        written.map_err(|error| format!("write {}: {}", path.display(), io_text(&error)))?;
        let done = self.dockerfile(folder.0.clone(), "Dockerfile");
        self.temporary.push(folder);
        done
    }

    /// `--build-context name=place`
    fn named(&mut self, text: &str) -> Result<(), String> {
        let invalid = || format!("invalid context value: {text}, expected key=value");
        let (name, place) = text.split_once('=').ok_or_else(invalid)?;
        self.set("frontend.caps", "moby.buildkit.frontend.contexts+forward");
        let key = format!("context:{name}");
        if is_remote(place) || place.starts_with("docker-image://") {
            self.set(&key, place);
            return Ok(());
        }
        if place.starts_with("oci-layout://") {
            return Err("not implemented: OCI layouts as build contexts".into());
        }
        let metadata = std::fs::metadata(place).map_err(|error| {
            let text = io_text(&error);
            format!("failed to get build context {name}: stat {place}: {text}")
        })?;
        if !metadata.is_dir() {
            return Err(format!(
                "failed to get build context path {name}: not a directory"
            ));
        }
        // Two names are taken.
        let folder = match name {
            "context" | "dockerfile" => format!("_{name}"),
            name => name.to_owned(),
        };
        self.set(&key, format!("local:{folder}"));
        self.folders.insert(folder, PathBuf::from(place));
        Ok(())
    }
}

/// Whether it is a tar, compressed or not, by its first bytes.
fn is_archive(head: &[u8]) -> bool {
    const MAGIC: usize = 257;
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    compressed.iter().any(|magic| head.starts_with(magic))
        || head.get(MAGIC..MAGIC + 5) == Some(b"ustar")
        || (head.len() == HEAD && head.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_from_dockerfiles() {
        let mut tar = vec![0; HEAD];
        assert!(is_archive(&tar));
        tar[257..262].copy_from_slice(b"ustar");
        tar[0] = b'a';
        assert!(is_archive(&tar));
        assert!(is_archive(b"\x1f\x8b\x08"));
        for text in ["", "FROM scratch\n", "BZ", "ustar"] {
            assert!(!is_archive(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_paths() {
        for remote in [
            "https://x/y.git",
            "git@x:y",
            "github.com/a/b",
            "http://x/y.tar",
        ] {
            assert!(is_remote(remote), "{remote}");
        }
        for path in [".", "/x", "x/https", "gitlab.com/x"] {
            assert!(!is_remote(path), "{path}");
        }
    }
}
