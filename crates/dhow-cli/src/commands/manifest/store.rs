//! Where lists are kept until they are pushed: `manifests/<list>/<image>` beside `config.json`, as Docker's command line
//! keeps them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dhow_oci::Reference;

use super::entry::Entry;
use crate::error::{Error, Result};
use crate::session::Session;

/// The largest file that is read.
const LARGEST: u64 = 16 << 20;

pub(super) struct Store {
    root: PathBuf,
}

impl Store {
    pub(super) fn of(session: &Session) -> Self {
        let config = session.config.path();
        let folder = config.parent().map(Path::to_owned).unwrap_or_default();
        Self {
            root: folder.join("manifests"),
        }
    }

    /// Whether there is a list of that name.
    pub(super) fn has(&self, list: &Reference) -> bool {
        self.folder(list).is_dir()
    }

    /// One image of a list.
    pub(super) fn entry(&self, list: &Reference, image: &Reference) -> Result<Option<Entry>> {
        read(&self.folder(list).join(safe(image)))
    }

    /// All images of a list, by name; none if there is no list.
    pub(super) fn entries(&self, list: &Reference) -> Result<Vec<Entry>> {
        let folder = self.folder(list);
        let files = match fs::read_dir(&folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(format!("read {}", folder.display()), error)),
        };
        let paths: io::Result<Vec<PathBuf>> =
            files.map(|file| file.map(|file| file.path())).collect();
        let mut paths =
            paths.map_err(|error| Error::io(format!("read {}", folder.display()), error))?;
        paths.sort();
        let entries: Result<Vec<Option<Entry>>> = paths.iter().map(|path| read(path)).collect();
        Ok(entries?.into_iter().flatten().collect())
    }

    /// Writes an image of a list; the list is made if need be.
    pub(super) fn save(&self, list: &Reference, image: &Reference, entry: &Entry) -> Result<()> {
        let folder = self.folder(list);
        let path = folder.join(safe(image));
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let text = serde_json::to_vec(entry).map_err(|error| Error::text(error.to_string()))?;
        let write = || {
            let temporary = folder.with_extension(format!("{}.tmp", std::process::id()));
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&text)?;
            drop(file);
            fs::rename(&temporary, &path)
        };
        write().map_err(failed)
    }

    /// Removes a list.
    pub(super) fn remove(&self, list: &Reference) -> Result<()> {
        let folder = self.folder(list);
        fs::remove_dir_all(&folder)
            .map_err(|error| Error::io(format!("remove {}", folder.display()), error))
    }

    fn folder(&self, list: &Reference) -> PathBuf {
        self.root.join(safe(list))
    }
}

fn read(path: &Path) -> Result<Option<Entry>> {
    let failed = |error| Error::io(format!("read {}", path.display()), error);
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => return Ok(None),
        Ok(file) if file.len() > LARGEST => {
            let text = format!("{} is larger than a manifest can be", path.display());
            return Err(Error::text(text));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let bytes = fs::read(path).map_err(failed)?;
    let entry = serde_json::from_slice(&bytes)
        .map_err(|error| Error::text(format!("cannot read {}: {error}", path.display())))?;
    Ok(Some(entry))
}

/// A reference as a file's name. References have neither `..` nor a slash at either end.
fn safe(reference: &Reference) -> String {
    reference.canonical().replace(':', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers() {
        let name = |text| {
            safe(
                &Reference::parse(text)
                    .expect("a reference")
                    .with_default_tag(),
            )
        };
        assert_eq!(name("busybox"), "docker.io_library_busybox-latest");
        assert_eq!(name("127.0.0.1:5999/bb:L3"), "127.0.0.1-5999_bb-L3");
    }
}
