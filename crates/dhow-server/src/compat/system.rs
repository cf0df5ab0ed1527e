//! What `GET /info` tells.

use serde_json::{Map, Value, json};

use super::inner;
use crate::ApiVersion;

/// What the engine is and runs on.
pub(crate) fn info(version: ApiVersion, info: &mut Value) {
    let Some(info) = info.as_object_mut() else {
        return;
    };
    if version.before(50) {
        info.remove("DiscoveredDevices");
        info.insert("BridgeNfIptables".to_owned(), json!(false));
        info.insert("BridgeNfIp6tables".to_owned(), json!(false));
    }
    if version.before(49) {
        info.remove("FirewallBackend");
        expected_commits(info);
        if let Some(registry) = inner(info, "RegistryConfig") {
            for key in [
                "AllowNondistributableArtifactsCIDRs",
                "AllowNondistributableArtifactsHostnames",
            ] {
                registry.insert(key.to_owned(), Value::Null);
            }
        }
    }
    if version.before(46) {
        info.remove("Containerd");
    }
    if version.before(44) {
        for runtime in inner(info, "Runtimes")
            .into_iter()
            .flat_map(Map::values_mut)
        {
            if let Some(runtime) = runtime.as_object_mut() {
                runtime.remove("status");
            }
        }
    }
    if version.before(42) {
        info.insert("KernelMemory".to_owned(), json!(false));
        info.insert("KernelMemoryTCP".to_owned(), json!(false));
    }
}

/// Until 1.48 each part named the commit it was expected to be of.
fn expected_commits(info: &mut Map<String, Value>) {
    for key in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
        if let Some(commit) = inner(info, key) {
            let id = commit.get("ID").cloned().unwrap_or_default();
            commit.insert("Expected".to_owned(), id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TESTED;
    use super::*;

    #[test]
    fn info_has_the_fields_of_its_version() {
        for minor in TESTED {
            let mut value = json!({
                "FirewallBackend": {}, "RuncCommit": {"ID": "abc"}, "RegistryConfig": {},
                "Runtimes": {"dhow": {"path": "dhow", "status": {}}},
            });
            info(ApiVersion::new(1, minor), &mut value);
            for (key, until) in [
                ("BridgeNfIptables", 50),
                ("KernelMemory", 42),
                ("KernelMemoryTCP", 42),
            ] {
                assert_eq!(value.get(key).is_some(), minor < until, "1.{minor} {key}");
            }
            assert_eq!(value.get("FirewallBackend").is_some(), minor >= 49);
            assert_eq!(value["RuncCommit"].get("Expected").is_some(), minor < 49);
            let registry = value["RegistryConfig"].as_object().map_or(0, Map::len);
            assert_eq!(registry, if minor < 49 { 2 } else { 0 }, "1.{minor}");
            assert_eq!(
                value["Runtimes"]["dhow"].get("status").is_some(),
                minor >= 44
            );
        }
    }
}
