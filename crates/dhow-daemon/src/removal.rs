//! `--remove-host-state`: takes what an instance has on a host, besides its folders, off it.
//!
//! That is its bridges, its nftables table and its control groups. They outlive the daemon on purpose; this is for the
//! day the instance goes away. Running containers are in the way: their control groups can't be removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dhow_metadata::Database;
use dhow_network::Networks;

use crate::assemble;
use crate::lock::{self, DataRoot};
use crate::settings::Settings;

/// Where the control groups' hierarchies are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What could not be removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Lock(#[from] lock::Error),
    #[error("cannot open the records")]
    Metadata(#[from] dhow_metadata::Error),
    #[error("cannot remove the networks")]
    Networks(#[from] dhow_network::Error),
    #[error("cannot remove the control group {}: are containers running?", path.display())]
    Cgroup {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Removes it all; nothing to remove is fine. No daemon may be running on the instance's folder.
pub(crate) fn remove(settings: &Settings) -> Result<(), Error> {
    let root = &settings.paths.data_root;
    if !root.is_dir() {
        return Ok(());
    }
    let _lock = DataRoot::lock(root)?;
    let parent = assemble::cgroup_parent(settings);
    for group in groups(Path::new(CGROUPS), Path::new(&parent)) {
        remove_group(&group)?;
    }
    let db = Database::open(&root.join("dhow.db"))?;
    Networks::open(assemble::networks_config(settings, db))?.tear_down()?;
    Ok(())
}

/// The group `parent` in every hierarchy below `root` that has it.
fn groups(root: &Path, parent: &Path) -> Vec<PathBuf> {
    let relative = parent.strip_prefix("/").unwrap_or(parent);
    if relative.as_os_str().is_empty() {
        return Vec::new();
    }
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    let hierarchies = hierarchies
        .map(|entry| entry.path())
        .chain([root.to_owned()]);
    let groups = hierarchies.map(|hierarchy| hierarchy.join(relative));
    groups.filter(|group| group.is_dir()).collect()
}

/// Removes a group and those in it, the inner ones first. A group that goes meanwhile is fine.
fn remove_group(group: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Cgroup {
            path: group.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_every_hierarchy_and_removed_inside_out() {
        let root = tempfile::tempdir().unwrap();
        for path in ["memory/dhow-x/abc", "pids/dhow-x", "cpu/other", "dhow-x"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let mut found = groups(root.path(), Path::new("/dhow-x"));
        found.sort();
        let expected =
            ["dhow-x", "memory/dhow-x", "pids/dhow-x"].map(|path| root.path().join(path));
        assert_eq!(found, expected);
        for group in &found {
            remove_group(group).unwrap();
        }
        assert!(groups(root.path(), Path::new("/dhow-x")).is_empty());
        assert!(root.path().join("cpu/other").is_dir());
    }

    #[test]
    fn the_root_of_a_hierarchy_is_never_meant() {
        assert!(groups(Path::new(CGROUPS), Path::new("/")).is_empty());
    }
}
