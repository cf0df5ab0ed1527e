//! What older API versions did differently: pure functions over requests and responses, and nowhere else.
//!
//! Each names the version in which the change came; Docker's API history has the same lists.

use std::collections::BTreeMap;

use dhow_api::container::CreateRequest;
use serde_json::{Map, Value, json};

use crate::ApiVersion;

/// Forgets what a create request of an old version could not mean.
pub(crate) fn create_request(version: ApiVersion, request: &mut CreateRequest) {
    let Some(host) = &mut request.host_config else {
        return;
    };
    // Since 1.42 the kernel's own memory is no longer limited; the fields were ignored for a while before.
    host.kernel_memory = 0;
    host.kernel_memory_tcp = 0;
    if version.before(40) {
        host.pids_limit = None;
        for mount in host.mounts.iter_mut().flatten() {
            if let Some(bind) = &mut mount.bind_options {
                bind.non_recursive = false;
            }
        }
        // Before 1.40 a container's IPC namespace could be joined unless it said otherwise.
        if host.ipc_mode.is_empty() {
            "shareable".clone_into(&mut host.ipc_mode);
        }
    }
    if version.before(41) && host.cgroupns_mode.is_empty() {
        "host".clone_into(&mut host.cgroupns_mode);
    }
    if version.before(42) {
        for mount in host.mounts.iter_mut().flatten() {
            if let Some(bind) = &mut mount.bind_options {
                bind.create_mountpoint = false;
            }
        }
    }
    if version.before(43) {
        host.annotations = None;
    }
    if version.before(44) {
        if let Some(check) = &mut request.config.healthcheck {
            check.start_interval = 0;
        }
        for mount in host.mounts.iter_mut().flatten() {
            if let Some(bind) = &mut mount.bind_options {
                bind.read_only_non_recursive = false;
                bind.read_only_force_recursive = false;
            }
        }
    }
}

/// Before 1.42 a volume prune took named volumes too.
pub(crate) fn volume_prune(version: ApiVersion, filters: &mut BTreeMap<String, Vec<String>>) {
    if version.before(42) {
        filters
            .entry("all".to_owned())
            .or_insert_with(|| vec!["true".to_owned()]);
    }
}

/// An image in a list.
pub(crate) fn image_summary(version: ApiVersion, image: &mut Value) {
    let Some(image) = image.as_object_mut() else {
        return;
    };
    if version.before(51) {
        image.insert("Containers".to_owned(), json!(-1));
    }
    without_descriptor(version, image, "Descriptor");
    virtual_size(version, image);
}

/// An image, inspected.
pub(crate) fn image_inspect(version: ApiVersion, image: &mut Value) {
    let Some(image) = image.as_object_mut() else {
        return;
    };
    without_descriptor(version, image, "Descriptor");
    virtual_size(version, image);
    if version.before(45) {
        image.insert("Container".to_owned(), json!(""));
        image.insert("ContainerConfig".to_owned(), Value::Null);
    }
    if version.before(50)
        && let Some(config) = image.get_mut("Config").and_then(Value::as_object_mut)
    {
        for key in ["Hostname", "Domainname", "Image"] {
            config.insert(key.to_owned(), json!(""));
        }
        for key in [
            "AttachStdin",
            "AttachStdout",
            "AttachStderr",
            "Tty",
            "OpenStdin",
            "StdinOnce",
        ] {
            config.insert(key.to_owned(), json!(false));
        }
    }
}

/// Before 1.48 there were no descriptors.
fn without_descriptor(version: ApiVersion, object: &mut Map<String, Value>, key: &str) {
    if version.before(48) {
        object.remove(key);
    }
}

/// Before 1.44 an image's size was said twice.
fn virtual_size(version: ApiVersion, image: &mut Map<String, Value>) {
    if version.before(44)
        && let Some(size) = image.get("Size").cloned()
    {
        image.insert("VirtualSize".to_owned(), size);
    }
}

/// A container in a list.
pub(crate) fn container_summary(version: ApiVersion, container: &mut Value) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    without_descriptor(version, container, "ImageManifestDescriptor");
    if version.before(46)
        && let Some(host) = container
            .get_mut("HostConfig")
            .and_then(Value::as_object_mut)
    {
        host.remove("Annotations");
    }
}

/// A container, inspected.
pub(crate) fn container_inspect(version: ApiVersion, container: &mut Value) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    without_descriptor(version, container, "ImageManifestDescriptor");
    if version.before(44)
        && let Some(networks) = container
            .get_mut("NetworkSettings")
            .and_then(|settings| settings.get_mut("Networks"))
        && let Some(networks) = networks.as_object_mut()
    {
        for endpoint in networks.values_mut().filter_map(Value::as_object_mut) {
            endpoint.insert("DNSNames".to_owned(), Value::Null);
        }
    }
}

/// What the engine is and runs on.
pub(crate) fn info(version: ApiVersion, info: &mut Value) {
    let Some(info) = info.as_object_mut() else {
        return;
    };
    if version.before(50) {
        info.insert("BridgeNfIptables".to_owned(), json!(false));
        info.insert("BridgeNfIp6tables".to_owned(), json!(false));
    }
    if version.before(49) {
        for key in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
            if let Some(commit) = info.get_mut(key).and_then(Value::as_object_mut) {
                let id = commit.get("ID").cloned().unwrap_or_default();
                commit.insert("Expected".to_owned(), id);
            }
        }
        info.remove("FirewallBackend");
        if let Some(registry) = info
            .get_mut("RegistryConfig")
            .and_then(Value::as_object_mut)
        {
            for key in [
                "AllowNondistributableArtifactsCIDRs",
                "AllowNondistributableArtifactsHostnames",
            ] {
                registry.insert(key.to_owned(), Value::Null);
            }
        }
    }
    if version.before(42) {
        info.insert("KernelMemory".to_owned(), json!(false));
    }
}

/// What everything takes on disk.
pub(crate) fn disk_usage(version: ApiVersion, usage: &mut Value) {
    let Some(usage) = usage.as_object_mut() else {
        return;
    };
    if version.before(42) {
        usage.insert("BuilderSize".to_owned(), json!(0));
    }
    for image in usage
        .get_mut("Images")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        image_summary(version, image);
    }
    for container in usage
        .get_mut("Containers")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        container_summary(version, container);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const V40: ApiVersion = ApiVersion::new(1, 40);

    #[test]
    fn the_newest_version_is_left_alone() {
        let newest = ApiVersion::NEWEST;
        for function in [
            image_summary,
            image_inspect,
            container_summary,
            container_inspect,
            info,
            disk_usage,
        ] {
            let before = json!({"Size": 1, "Descriptor": {}, "Config": {"Cmd": null}, "HostConfig": {"Annotations": {}}});
            let mut after = before.clone();
            function(newest, &mut after);
            assert_eq!(before, after);
        }
    }

    #[test]
    fn old_images_have_old_fields() {
        let mut image = json!({"Size": 1, "Descriptor": {}, "Config": {"Cmd": null}});
        image_inspect(V40, &mut image);
        assert_eq!(image["VirtualSize"], 1);
        assert_eq!(image["Container"], "");
        assert_eq!(image["Config"]["Tty"], false);
        assert!(image.get("Descriptor").is_none());
        let mut image = json!({"Size": 1, "Containers": 3});
        image_summary(V40, &mut image);
        assert_eq!(image["Containers"], -1);
    }

    #[test]
    fn old_requests_mean_what_they_meant() {
        let body =
            json!({"HostConfig": {"PidsLimit": 5, "Annotations": {"a": "b"}, "KernelMemory": 1}});
        let mut request: CreateRequest = serde_json::from_value(body).unwrap();
        let same = request.clone();
        create_request(V40, &mut request);
        let host = request.host_config.as_ref().unwrap();
        assert_eq!(
            (host.pids_limit, host.annotations.as_ref()),
            (Some(5), None)
        );
        assert_eq!(host.cgroupns_mode, "host");
        create_request(ApiVersion::new(1, 39), &mut request);
        let host = request.host_config.as_ref().unwrap();
        assert_eq!(
            (host.pids_limit, host.ipc_mode.as_str()),
            (None, "shareable")
        );
        let mut request = same;
        create_request(ApiVersion::NEWEST, &mut request);
        assert_eq!(request.host_config.as_ref().unwrap().pids_limit, Some(5));
    }

    #[test]
    fn old_prunes_take_named_volumes() {
        let mut filters = BTreeMap::new();
        volume_prune(ApiVersion::NEWEST, &mut filters);
        assert!(filters.is_empty());
        volume_prune(V40, &mut filters);
        assert_eq!(filters["all"], ["true"]);
    }
}
