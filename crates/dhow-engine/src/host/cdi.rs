//! Devices by their vendors' names, as the files on this host know them.

use std::path::{Path, PathBuf};

use dhow_container::cdi::{self, Edits, Format, Registry, Specification};
use dhow_container::oci::HostDevice;
use dhow_container::spec::{DeviceRequest, Invalid};

use super::devices;

/// The largest file that is read as a specification.
const LARGEST: u64 = 4 << 20;

/// What a container's requests for devices come to: its edits, and the nodes among them as devices.
///
/// # Errors
/// A device is unknown, or one of its nodes is not there; the texts are Docker's.
pub(crate) fn look_up(
    folders: &[PathBuf],
    requests: &[DeviceRequest],
) -> Result<(Edits, Vec<HostDevice>), Invalid> {
    if requests.is_empty() {
        return Ok((Edits::default(), Vec::new()));
    }
    let known = registry(folders);
    let edits = known.resolve(&cdi::names(requests, &known)?)?;
    let nodes = edits.device_nodes.iter().map(devices::of_node);
    let nodes = nodes.collect::<Result<_, _>>()?;
    Ok((edits, nodes))
}

/// All specifications in the folders, of which later ones count more. A file that can't be used is told in the log.
fn registry(folders: &[PathBuf]) -> Registry {
    let mut known = Registry::default();
    for (priority, folder) in folders.iter().enumerate() {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            match read(&path) {
                Some(Ok(specification)) => known.add(priority, specification),
                Some(Err(error)) => tracing::warn!("{}: {error}", path.display()),
                None => {}
            }
        }
    }
    known
}

fn read(path: &Path) -> Option<Result<Specification, String>> {
    let format = match path.extension()?.to_str()? {
        "json" => Format::Json,
        "yaml" => Format::Yaml,
        _ => return None,
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(Err(error.to_string())),
    };
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Some(Err("not a file of a sensible size".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    Some(text.and_then(|text| {
        Specification::read(&text, format).map_err(|error| dhow_errdefs::chain(&error).to_string())
    }))
}
