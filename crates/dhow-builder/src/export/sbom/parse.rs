//! Package managers' lists: pure.

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// Its package URL.
    pub(super) purl: String,
}

/// The distribution, as `os-release` names it: its id and version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Release {
    id: String,
    version: String,
}

/// Reads an `os-release`.
pub(super) fn os_release(text: &str) -> Release {
    let mut release = Release::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches(['"', '\'']);
        match key.trim() {
            "ID" => value.clone_into(&mut release.id),
            "VERSION_ID" => value.clone_into(&mut release.version),
            _ => {}
        }
    }
    release
}

/// A package URL: `pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12`.
fn purl(kind: &str, fallback: &str, release: &Release, package: (&str, &str, &str)) -> String {
    let (name, version, architecture) = package;
    let distribution = match release.id.as_str() {
        "" => fallback,
        id => id,
    };
    let mut url = format!(
        "pkg:{kind}/{}/{}@{}",
        escaped(distribution),
        escaped(name),
        escaped(version)
    );
    let mut mark = '?';
    if !architecture.is_empty() {
        url.push_str(&format!("{mark}arch={}", escaped(architecture)));
        mark = '&';
    }
    if !release.version.is_empty() {
        let known = format!("{distribution}-{}", release.version);
        url.push_str(&format!("{mark}distro={}", escaped(&known)));
    }
    url
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Paragraphs of `Key: value`.
pub(super) fn dpkg(text: &str, release: &Release) -> Vec<Package> {
    let mut packages = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |key: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim))
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
            continue;
        };
        // What was removed leaves its configuration and an entry.
        if field("Status").is_some_and(|status| !status.ends_with(" installed")) {
            continue;
        }
        let architecture = field("Architecture").unwrap_or_default();
        packages.push(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            purl: purl("deb", "debian", release, (name, version, architecture)),
        });
    }
    packages
}

/// Paragraphs of `K:value`.
pub(super) fn apk(text: &str, release: &Release) -> Vec<Package> {
    let mut packages = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key));
        let (Some(name), Some(version)) = (field("P:"), field("V:")) else {
            continue;
        };
        let architecture = field("A:").unwrap_or_default();
        packages.push(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            purl: purl("apk", "alpine", release, (name, version, architecture)),
        });
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkgs_and_apks_lists_are_read() {
        let release = os_release("ID=debian\nVERSION_ID=\"12\"\n");
        let status = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b2\n\n\
             Package: old\nStatus: deinstall ok config-files\nVersion: 1\n\n\nPackage: x\n";
        let found = dpkg(status, &release);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].purl,
            "pkg:deb/debian/bash@5.2.15-2%2Bb2?arch=amd64&distro=debian-12"
        );
        let installed = "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\n\nP:busybox\nV:1.36\n";
        let found = apk(installed, &Release::default());
        assert_eq!(found[0].purl, "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64");
        assert_eq!(found[1].version, "1.36");
    }
}
