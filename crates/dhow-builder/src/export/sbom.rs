//! What is in an image: the packages that its package managers say are installed, as an SPDX document.
//!
//! The databases are read out of the layers, topmost first, never by mounting or running anything: dpkg's `status` and
//! `status.d`, and apk's `installed`. An rpm database is a binary of its own and is not read; the document says so.

mod parse;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use dhow_archive::fd::names;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use serde_json::{Value, json};

use self::parse::{Package, apk, dpkg, os_release};
use super::compose::Composed;
use crate::builder::BuilderConfig;
use crate::error::Error;

/// No database is larger.
const LARGEST: u64 = 256 << 20;
/// dpkg's list, and the folder that images without dpkg have in its place.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_FOLDER: &str = "var/lib/dpkg/status.d";
/// apk's list; the second is where newer ones keep it.
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
/// Where rpm keeps its own.
const RPM: [&str; 3] = [
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages",
];

/// The document for an image.
pub(super) fn document(kit: &BuilderConfig, image: &Composed) -> Result<Value, Error> {
    let Some(top) = image.layers.last() else {
        return Ok(spdx(image, &[], ""));
    };
    // What was changed for this export only is not unpacked; the files are the same.
    let root = match kit.snapshots.contains(&top.chain_id)? {
        true => kit.snapshots.view(&top.chain_id)?.mount()?,
        false => {
            return Err(Error::NotImplemented(
                "an SBOM of layers with rewritten times".into(),
            ));
        }
    };
    let text = |path: &str| read(&root, path);
    let release = match text("etc/os-release")? {
        Some(release) => Some(release),
        None => text("usr/lib/os-release")?,
    };
    let release = os_release(&release.unwrap_or_default());
    let mut packages = Vec::new();
    if let Some(status) = text(DPKG)? {
        packages.extend(dpkg(&status, &release));
    }
    for name in listed(&root, DPKG_FOLDER)? {
        if let Some(one) = text(&format!("{DPKG_FOLDER}/{name}"))? {
            packages.extend(dpkg(&one, &release));
        }
    }
    for path in APK {
        if let Some(installed) = text(path)? {
            packages.extend(apk(&installed, &release));
        }
    }
    packages.sort();
    packages.dedup();
    let mut comment = "";
    for path in RPM {
        if open_in(&root, path)?.is_some() {
            comment = "The image has an rpm database, which is not listed here.";
        }
    }
    Ok(spdx(image, &packages, comment))
}

fn open_in(root: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(Error::file("open", path, error)),
    }
}

fn read(root: &OwnedFd, path: &str) -> Result<Option<String>, Error> {
    let Some(file) = open_in(root, path)? else {
        return Ok(None);
    };
    let file = File::from(file);
    let failed = |e| Error::file("read", path, e);
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The names in a folder, without what says nothing about packages.
fn listed(root: &OwnedFd, path: &str) -> Result<Vec<String>, Error> {
    let Some(folder) = open_in(root, path)? else {
        return Ok(Vec::new());
    };
    let found = match names(folder.as_fd()) {
        Ok(found) => found,
        Err(Errno::NOTDIR) => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", path, error)),
    };
    let mut all: Vec<String> = found
        .into_iter()
        .filter_map(|name| String::from_utf8(name.to_vec()).ok())
        .filter(|name| !name.ends_with(".md5sums"))
        .collect();
    all.sort();
    Ok(all)
}

/// The document; nothing in it but what is in the image, so that equal images have equal ones.
fn spdx(image: &Composed, packages: &[Package], comment: &str) -> Value {
    let name = match image.layers.last() {
        Some(top) => format!("sha256:{}", top.chain_id.hex()),
        None => "scratch".to_owned(),
    };
    let created = image.config.created.unwrap_or_default();
    let listed: Vec<Value> = packages
        .iter()
        .enumerate()
        .map(|(position, package)| {
            json!({
                "name": package.name,
                "SPDXID": format!("SPDXRef-Package-{position}"),
                "versionInfo": package.version,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": false,
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION",
                "copyrightText": "NOASSERTION",
                "externalRefs": [{
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": package.purl,
                }],
            })
        })
        .collect();
    let relations: Vec<Value> = (0..packages.len())
        .map(|position| {
            json!({
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": format!("SPDXRef-Package-{position}"),
            })
        })
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/dhow/{}", name.replace(':', "-")),
        "creationInfo": {
            "created": created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "creators": [concat!("Tool: dhow-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": listed,
        "relationships": relations,
    });
    if !comment.is_empty() {
        document["comment"] = json!(comment);
    }
    document
}
