//! Containers in answers.

use dhow_api::container as wire;
use serde_json::{Map, Value, json};

use super::inner;
use crate::ApiVersion;

/// The fields of the default bridge that were said twice.
const FLAT: [(&str, bool); 8] = [
    ("EndpointID", false),
    ("Gateway", false),
    ("GlobalIPv6Address", false),
    ("GlobalIPv6PrefixLen", true),
    ("IPAddress", false),
    ("IPPrefixLen", true),
    ("IPv6Gateway", false),
    ("MacAddress", false),
];

/// A container in a list.
pub(crate) fn summary(version: ApiVersion, container: &mut wire::ContainerSummary) {
    if version.before(52) {
        container.health = None;
    }
    if version.before(48) {
        container.image_manifest_descriptor = None;
    }
    if version.before(46) {
        container.host_config.annotations = None;
    }
}

/// A container, inspected. `mac` is the MAC address it wishes for on its main network.
pub(crate) fn inspect(version: ApiVersion, mac: Option<&str>, container: &mut Value) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    if version.before(52) {
        graph_driver(container);
        if let Some(settings) = inner(container, "NetworkSettings") {
            flat_network(settings);
        }
        if let (Some(mac), Some(config)) = (mac, inner(container, "Config")) {
            config.insert("MacAddress".to_owned(), json!(mac));
        }
    }
    if version.before(48) {
        container.remove("ImageManifestDescriptor");
    }
    if version.before(45) {
        short_id_as_alias(container);
    }
}

/// Until 1.51 `GraphDriver` was what `Storage` is now.
fn graph_driver(container: &mut Map<String, Value>) {
    let storage = container.remove("Storage").unwrap_or_default();
    let name = storage["RootFS"]["Snapshot"]["Name"].clone();
    let driver = json!({"Data": null, "Name": name});
    container.insert("GraphDriver".to_owned(), driver);
}

/// Until 1.51 the default bridge's fields stood beside the networks too.
fn flat_network(settings: &mut Map<String, Value>) {
    let bridge = settings
        .get("Networks")
        .and_then(|networks| networks.get("bridge"))
        .cloned()
        .unwrap_or_default();
    for (key, is_number) in FLAT {
        let absent = if is_number { json!(0) } else { json!("") };
        let value = bridge.get(key).cloned().unwrap_or(absent);
        settings.insert(key.to_owned(), value);
    }
}

/// Until 1.44 the short id and the host's name were aliases on networks of one's own.
fn short_id_as_alias(container: &mut Map<String, Value>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id: String = text(&container["Id"]).chars().take(12).collect();
    let hostname = text(&container["Config"]["Hostname"]);
    let Some(networks) =
        inner(container, "NetworkSettings").and_then(|settings| inner(settings, "Networks"))
    else {
        return;
    };
    for (name, endpoint) in networks {
        if matches!(name.as_str(), "bridge" | "host" | "none") {
            continue;
        }
        let mut aliases = endpoint["Aliases"].as_array().cloned().unwrap_or_default();
        for alias in [&id, &hostname] {
            if !alias.is_empty() && !aliases.iter().any(|have| have == alias) {
                aliases.push(json!(alias));
            }
        }
        endpoint["Aliases"] = Value::Array(aliases);
    }
}

/// What an update request of an old version could not mean.
pub(crate) fn update_request(version: ApiVersion, request: &mut wire::UpdateRequest) {
    if version.before(40) {
        request.pids_limit = None;
    }
    if version.before(55) {
        // They were there, and without effect.
        request.blkio_weight_device = None;
        request.blkio_device_read_bps = None;
        request.blkio_device_write_bps = None;
        request.blkio_device_read_iops = None;
        request.blkio_device_write_iops = None;
    }
    if request.pids_limit.is_some_and(|limit| limit <= 0) {
        request.pids_limit = Some(-1);
    }
    // Removed with 1.42 and 1.52; before, they did nothing on kernels of today.
    request.kernel_memory = 0;
    request.kernel_memory_tcp = 0;
}

#[cfg(test)]
mod tests {
    use super::super::TESTED;
    use super::*;

    fn inspected() -> Value {
        json!({
            "Id": "130946115d7bf77ba3394251123530a1d169344c6b7bad90d4116c35dbeafba0",
            "ImageManifestDescriptor": {},
            "Storage": {"RootFS": {"Snapshot": {"Name": "overlayfs"}}},
            "Config": {"Hostname": "box"},
            "NetworkSettings": {"Networks": {
                "bridge": {"IPAddress": "172.17.0.2", "IPPrefixLen": 16, "Aliases": null},
                "web": {"IPAddress": "10.0.0.2", "Aliases": ["al", "box"]},
            }},
        })
    }

    #[test]
    fn inspection_has_the_fields_of_its_version() {
        for minor in TESTED {
            let mut value = inspected();
            inspect(
                ApiVersion::new(1, minor),
                Some("02:00:00:00:00:01"),
                &mut value,
            );
            let settings = &value["NetworkSettings"];
            let old = minor < 52;
            assert_eq!(value.get("GraphDriver").is_some(), old, "1.{minor}");
            assert_eq!(value.get("Storage").is_none(), old, "1.{minor}");
            assert_eq!(settings.get("IPAddress").is_some(), old, "1.{minor}");
            assert_eq!(
                value["Config"].get("MacAddress").is_some(),
                old,
                "1.{minor}"
            );
            let described = value.get("ImageManifestDescriptor").is_some();
            assert_eq!(described, minor >= 48, "1.{minor}");
            let aliases = if minor < 45 {
                json!(["al", "box", "130946115d7b"])
            } else {
                json!(["al", "box"])
            };
            assert_eq!(settings["Networks"]["web"]["Aliases"], aliases, "1.{minor}");
            assert_eq!(settings["Networks"]["bridge"]["Aliases"], Value::Null);
            if old {
                assert_eq!(value["GraphDriver"]["Name"], "overlayfs");
                assert_eq!(settings["IPAddress"], "172.17.0.2");
                assert_eq!(settings["GlobalIPv6PrefixLen"], 0);
            }
        }
    }

    #[test]
    fn lists_have_the_fields_of_their_version() {
        for minor in TESTED {
            let mut container = wire::ContainerSummary {
                health: Some(wire::HealthSummary::default()),
                image_manifest_descriptor: Some(dhow_api::image::Descriptor::default()),
                ..wire::ContainerSummary::default()
            };
            container.host_config.annotations = Some(dhow_api::Map::new());
            summary(ApiVersion::new(1, minor), &mut container);
            assert_eq!(container.health.is_some(), minor >= 52, "1.{minor}");
            let described = container.image_manifest_descriptor.is_some();
            assert_eq!(described, minor >= 48, "1.{minor}");
            let annotated = container.host_config.annotations.is_some();
            assert_eq!(annotated, minor >= 46, "1.{minor}");
        }
    }

    #[test]
    fn updates_know_the_pids_limit_since_1_40() {
        for minor in TESTED {
            let mut request = wire::UpdateRequest {
                pids_limit: Some(5),
                kernel_memory: 1,
                blkio_device_read_bps: Some(Vec::new()),
                ..wire::UpdateRequest::default()
            };
            update_request(ApiVersion::new(1, minor), &mut request);
            assert_eq!(request.pids_limit.is_some(), minor >= 40, "1.{minor}");
            assert_eq!(request.kernel_memory, 0);
            let devices = request.blkio_device_read_bps.is_some();
            assert_eq!(devices, minor >= 55, "1.{minor}");
        }
    }
}
