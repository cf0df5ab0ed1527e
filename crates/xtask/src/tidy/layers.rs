//! The arrows between crates: only downwards, never sideways.
//!
//! A crate that is not in [`LAYERS`] is a finding too: whoever adds one says where it stands.

use super::Finding;
use std::collections::BTreeMap;
use std::path::Path;

/// Every crate and its layer; a crate may use crates of lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("dhow-sys", 1),
    ("dhow-errdefs", 0),
    ("dhow-golang", 0),
    ("dhow-oci", 1),
    ("dhow-api", 1),
    ("dhow-dockerfile", 1),
    ("dhow-hello", 1),
    ("dhow-tls", 1),
    ("dhow-archive", 2),
    ("dhow-metadata", 2),
    ("dhow-content", 2),
    ("dhow-logging", 2),
    ("dhow-terminal", 2),
    ("dhow-snapshot", 3),
    ("dhow-runtime", 3),
    ("dhow-network", 3),
    ("dhow-volume", 3),
    ("dhow-distribution", 3),
    ("dhow-client", 3),
    ("dhow-filesync", 3),
    ("dhow-format", 3),
    ("dhow-options", 3),
    ("dhow-image", 4),
    ("dhow-shim", 4),
    ("dhow-session", 4),
    ("dhow-container", 4),
    ("dhow-builder", 5),
    ("dhow-cli", 5),
    ("dhow-engine", 5),
    ("dhow-buildkit", 6),
    ("dhow-server", 6),
    ("dhow-daemon", 7),
    ("dhow", 8),
    // For development only: nothing of the product may use these but in its tests.
    ("dhow-testkit", DEVELOPMENT),
    ("dhow-e2e", DEVELOPMENT),
    ("xtask", DEVELOPMENT),
];

/// The layer of the crates that are not part of the product.
const DEVELOPMENT: u8 = 9;

/// Crates that may use the Engine API's wire types: the engine and all below it have types of their own.
const WIRE_USERS: &[&str] = &[
    "dhow-server",
    "dhow-daemon",
    "dhow-client",
    "dhow-format",
    "dhow-options",
    "dhow-cli",
    "dhow-testkit",
    "dhow-e2e",
];

pub(super) fn check(root: &Path) -> Vec<Finding> {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut findings = Vec::new();
    for manifest in super::source::manifests(root) {
        let Ok(text) = std::fs::read_to_string(root.join(&manifest)) else {
            continue;
        };
        let mut find = |message: String| {
            findings.push(Finding {
                path: manifest.clone(),
                message,
            })
        };
        match text.parse::<toml::Table>() {
            Ok(table) => check_manifest(&table, &layers, &mut find),
            Err(error) => find(format!("is not TOML: {error}")),
        }
    }
    findings
}

fn check_manifest(
    manifest: &toml::Table,
    layers: &BTreeMap<&str, u8>,
    find: &mut impl FnMut(String),
) {
    let name = manifest
        .get("package")
        .and_then(|p| p.get("name"))
        .and_then(toml::Value::as_str);
    let Some(name) = name else {
        return find("has no package name".into());
    };
    let Some(&own) = layers.get(name) else {
        return find(format!(
            "{name} has no layer: add it to LAYERS in xtask's tidy/layers.rs"
        ));
    };
    for (section, development) in [
        ("dependencies", false),
        ("build-dependencies", false),
        ("dev-dependencies", true),
    ] {
        let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else {
            continue;
        };
        for dependency in dependencies.keys() {
            let Some(&theirs) = layers.get(dependency.as_str()) else {
                continue;
            };
            if let Some(message) = forbidden(name, own, (dependency, theirs), development) {
                find(message);
            }
        }
    }
}

/// Why the arrow from `name` to `dependency` may not be, if it may not.
fn forbidden(
    name: &str,
    own: u8,
    (dependency, theirs): (&str, u8),
    development: bool,
) -> Option<String> {
    if development && theirs == DEVELOPMENT {
        return None;
    }
    if dependency == "dhow-api" && !WIRE_USERS.contains(&name) {
        return Some(format!(
            "{name} may not know the wire types of dhow-api: convert in dhow-server"
        ));
    }
    let development_pair = own == DEVELOPMENT && theirs == DEVELOPMENT && name != "dhow-testkit";
    if theirs < own || development_pair {
        return None;
    }
    Some(format!(
        "{name} (layer {own}) may not depend on {dependency} (layer {theirs}): arrows point downwards only"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(manifests: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, dependencies) in manifests {
            let folder = root.path().join("crates").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            let text = format!("[package]\nname = \"{name}\"\n{dependencies}");
            std::fs::write(folder.join("Cargo.toml"), text).unwrap();
        }
        root
    }

    fn messages(root: &tempfile::TempDir) -> Vec<String> {
        check(root.path())
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn an_arrow_upwards_is_found() {
        let root = tree(&[(
            "dhow-runtime",
            "[dependencies]\ndhow-engine.workspace = true\n",
        )]);
        let found = messages(&root);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("dhow-runtime (layer 3) may not depend on dhow-engine (layer 5)")
        );
    }

    #[test]
    fn an_arrow_sideways_is_found() {
        let root = tree(&[("dhow-image", "[dependencies]\ndhow-shim.workspace = true\n")]);
        assert_eq!(messages(&root).len(), 1);
    }

    #[test]
    fn wire_types_stay_above_the_engine() {
        let root = tree(&[("dhow-engine", "[dependencies]\ndhow-api.workspace = true\n")]);
        assert!(messages(&root)[0].contains("may not know the wire types"));
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        let root = tree(&[(
            "dhow-image",
            "[dependencies]\ndhow-testkit.workspace = true\n",
        )]);
        assert_eq!(messages(&root).len(), 1);
        let root = tree(&[(
            "dhow-image",
            "[dev-dependencies]\ndhow-testkit.workspace = true\n",
        )]);
        assert!(messages(&root).is_empty());
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        let root = tree(&[("dhow-misc", "")]);
        assert!(messages(&root)[0].contains("has no layer"));
    }

    #[test]
    fn arrows_downwards_are_fine() {
        let root = tree(&[(
            "dhow-engine",
            "[dependencies]\ndhow-image.workspace = true\nserde = \"1\"\n",
        )]);
        assert!(messages(&root).is_empty());
    }
}
