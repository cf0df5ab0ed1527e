//! Requests to create a container.

use dhow_api::Map;
use dhow_api::container::{CreateRequest, HostConfig, Mount, PortBinding};
use dhow_api::network::EndpointSettings;
use dhow_errdefs::ErrorKind;

use super::network;
use crate::ApiVersion;
use crate::error::{ApiError, Result};

/// The driver's option that sets kernel parameters of one endpoint's interface.
const ENDPOINT_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Makes a request mean what its version meant by it; gives warnings.
///
/// # Errors
/// It asks for something that its version does not have, and that must not be forgotten silently.
pub(crate) fn adapt(version: ApiVersion, request: &mut CreateRequest) -> Result<Vec<String>> {
    let CreateRequest {
        config,
        host_config,
        networking_config,
    } = request;
    let host = host_config.get_or_insert_default();
    let networking = networking_config.get_or_insert_default();
    let endpoints = networking.endpoints_config.get_or_insert_default();
    if matches!(host.network_mode.as_str(), "" | "default")
        && let Some(endpoint) = endpoints.remove("default")
    {
        endpoints.insert("bridge".to_owned(), endpoint);
    }
    old_defaults(version, host);
    mounts(version, host)?;
    if version.before(44) {
        if let Some(check) = &mut config.healthcheck {
            check.start_interval = 0;
        }
        if endpoints.len() > 1 {
            let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
            return Err(ApiError::invalid(format!(
                "Container cannot be created with multiple network endpoints: {}",
                names.join(", ")
            )));
        }
    }
    for endpoint in endpoints.values_mut().flatten() {
        network::endpoint(version, endpoint);
    }
    let mut warnings = Vec::new();
    warnings.extend(volume_driver(version, host));
    let mac = std::mem::take(&mut config.mac_address);
    warnings.extend(own_mac(version, &mac, &host.network_mode, endpoints)?);
    interface_sysctls(version, host)?;
    warnings.extend(port_bindings(version, host));
    Ok(warnings)
}

/// What meant something else, or nothing, in the host's part.
fn old_defaults(version: ApiVersion, host: &mut HostConfig) {
    // The kernel's own memory is no longer limited since 1.42; the fields were without effect for a while before.
    host.kernel_memory = 0;
    host.kernel_memory_tcp = 0;
    if host.pids_limit.is_some_and(|limit| limit <= 0) {
        host.pids_limit = None;
    }
    if version.before(25) {
        // The client removed it.
        host.auto_remove = false;
    }
    if version.before(40) {
        host.pids_limit = None;
        // Before 1.40 a container's IPC namespace could be joined unless it said otherwise.
        if host.ipc_mode.is_empty() {
            "shareable".clone_into(&mut host.ipc_mode);
        }
    }
    if version.before(42) {
        host.console_size = [0, 0];
    }
    if version.before(43) {
        host.annotations = None;
    }
}

/// Mounts: options that were not there yet are forgotten or, where that would be dangerous, refused.
fn mounts(version: ApiVersion, host: &mut HostConfig) -> Result<()> {
    for mount in host.mounts.iter_mut().flatten() {
        if version.before(42) {
            before_42(version, mount);
        } else {
            options_fit(mount)?;
        }
        let needs = |what: &str, since: u16| {
            let text = format!("{what} needs API v1.{since} or newer");
            Err(ApiError::invalid(text))
        };
        let bind = mount.bind_options.as_ref();
        if version.before(44)
            && mount.kind == "bind"
            && bind.is_some_and(|bind| bind.read_only_force_recursive)
        {
            return needs("BindOptions.ReadOnlyForceRecursive", 44);
        }
        let volume = mount.volume_options.as_ref();
        if version.before(45) && volume.is_some_and(|volume| !volume.subpath.is_empty()) {
            return needs("VolumeOptions.Subpath", 45);
        }
        if version.before(48) && mount.kind == "image" {
            return needs("Mount type \"Image\"", 48);
        }
    }
    Ok(())
}

fn before_42(version: ApiVersion, mount: &mut Mount) {
    if mount.kind != "volume" {
        mount.volume_options = None;
    }
    if mount.kind != "tmpfs" {
        mount.tmpfs_options = None;
    }
    if let Some(bind) = &mut mount.bind_options {
        bind.create_mountpoint = false;
        if version.before(40) {
            bind.non_recursive = false;
        }
    }
}

fn options_fit(mount: &Mount) -> Result<()> {
    for (name, given, kind) in [
        ("VolumeOptions", mount.volume_options.is_some(), "volume"),
        ("BindOptions", mount.bind_options.is_some(), "bind"),
        ("TmpfsOptions", mount.tmpfs_options.is_some(), "tmpfs"),
    ] {
        if given && mount.kind != kind {
            return Err(ApiError::invalid(format!(
                "{name} must not be specified on mount type {:?}",
                mount.kind
            )));
        }
    }
    Ok(())
}

/// Since 1.48 the engine, and no longer the command line, says that a volume driver is not used.
fn volume_driver(version: ApiVersion, host: &HostConfig) -> Option<String> {
    if host.volume_driver.is_empty() || version.before(48) {
        return None;
    }
    let has_own = |mount: &Mount| {
        let options = mount.volume_options.as_ref();
        let driver = options.and_then(|options| options.driver_config.as_ref());
        driver.is_some_and(|driver| !driver.name.is_empty())
    };
    let mut mounts = host.mounts.iter().flatten();
    mounts
        .any(|mount| mount.kind == "volume" && !has_own(mount))
        .then(|| {
            "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. \
             Use '--mount type=volume,volume-driver=...' instead"
                .to_owned()
        })
}

/// Moves the container's own MAC address to the endpoint of its main network. Until 1.43 only there it could be given;
/// 1.52 dropped it.
fn own_mac(
    version: ApiVersion,
    mac: &str,
    mode: &str,
    endpoints: &mut Map<Option<EndpointSettings>>,
) -> Result<Option<String>> {
    if mac.is_empty() {
        return Ok(None);
    }
    if !version.before(52) {
        let text = "The container-wide MacAddress field is ignored since API 1.52: it is part of EndpointsConfig.";
        return Ok(Some(text.to_owned()));
    }
    let warning = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig \
                   instead.";
    let warning = (!version.before(44)).then(|| warning.to_owned());
    let main = match mode {
        "" | "default" => "bridge",
        "host" | "none" => "",
        mode if mode.starts_with("container:") => "",
        mode => mode,
    };
    if main.is_empty() {
        if version.before(44) {
            let text = "conflicting options: mac-address and the network mode";
            return Err(ApiError::invalid(text));
        }
        return Ok(warning);
    }
    let endpoint = main_endpoint(version, main, endpoints)?;
    if endpoint.mac_address.is_empty() {
        mac.clone_into(&mut endpoint.mac_address);
    } else if endpoint.mac_address != mac {
        return Err(ApiError::invalid(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be \
             left empty",
        ));
    }
    Ok(warning)
}

fn main_endpoint<'a>(
    version: ApiVersion,
    main: &str,
    endpoints: &'a mut Map<Option<EndpointSettings>>,
) -> Result<&'a mut EndpointSettings> {
    let only = endpoints.keys().next().cloned();
    let name = match only {
        None => main.to_owned(),
        // There can be but one, under whichever of its names.
        Some(only) if version.before(44) => only,
        Some(_) if endpoints.contains_key(main) => main.to_owned(),
        Some(_) => {
            return Err(ApiError::invalid(
                "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must \
                 match the identity of a network in NetworkSettings.Networks",
            ));
        }
    };
    let endpoint = endpoints.entry(name).or_default();
    Ok(endpoint.get_or_insert_default())
}

/// Kernel parameters of one interface: since 1.48 they belong to the endpoint; old ones would have to be moved there.
fn interface_sysctls(version: ApiVersion, host: &HostConfig) -> Result<()> {
    if host.network_mode == "host" || host.network_mode.starts_with("container:") {
        return Ok(());
    }
    for name in host.sysctls.iter().flatten().map(|(name, _)| name) {
        let parts: Vec<&str> = name.splitn(5, '.').collect();
        let [first, _, _, interface, _] = parts.as_slice() else {
            continue;
        };
        if *first != "net" || !interface.starts_with("eth") {
            continue;
        }
        if version.before(48) {
            return Err(ApiError::not_implemented(format!(
                "sysctl {name:?} of a single interface"
            )));
        }
        let text = format!(
            "interface specific sysctl setting {name:?} must be supplied using driver option '{ENDPOINT_SYSCTLS}'"
        );
        return Err(ApiError::new(ErrorKind::System, text));
    }
    Ok(())
}

/// Ports with an empty list of bindings: published on any port until 1.52, which warns of it, and not since 1.53.
fn port_bindings(version: ApiVersion, host: &mut HostConfig) -> Option<String> {
    let bindings = host.port_bindings.as_mut()?;
    let is_empty = |list: &Option<Vec<PortBinding>>| list.as_ref().is_none_or(Vec::is_empty);
    if !version.before(53) {
        bindings.retain(|_, list| !is_empty(list));
        return None;
    }
    let mut empty = Vec::new();
    for (port, list) in bindings.iter_mut().filter(|(_, list)| is_empty(list)) {
        *list = Some(vec![PortBinding::default()]);
        empty.push(port.as_str());
    }
    if empty.is_empty() || version.before(52) {
        return None;
    }
    Some(format!(
        "Following container port(s) have an empty list of port-bindings: {}. Starting with API 1.53, such bindings \
         will be discarded.",
        empty.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::super::TESTED;
    use super::*;

    fn adapted(minor: u16, body: Value) -> Result<(CreateRequest, Vec<String>)> {
        let mut request: CreateRequest = serde_json::from_value(body).unwrap();
        let warnings = adapt(ApiVersion::new(1, minor), &mut request)?;
        Ok((request, warnings))
    }

    fn host(minor: u16, host: Value) -> HostConfig {
        let (request, _) = adapted(minor, json!({"HostConfig": host})).unwrap();
        request.host_config.unwrap()
    }

    fn refusal(minor: u16, body: Value) -> Option<String> {
        adapted(minor, body).err().map(|error| error.message)
    }

    #[test]
    fn what_was_not_there_yet_is_forgotten() {
        for minor in TESTED {
            let body = json!({
                "PidsLimit": 5, "Annotations": {"a": "b"}, "KernelMemory": 1, "AutoRemove": true,
                "ConsoleSize": [10, 20],
            });
            let host = host(minor, body);
            assert_eq!(host.pids_limit.is_some(), minor >= 40, "1.{minor}");
            assert_eq!(host.annotations.is_some(), minor >= 43, "1.{minor}");
            assert_eq!(host.auto_remove, minor >= 25, "1.{minor}");
            assert_eq!(host.console_size == [10, 20], minor >= 42, "1.{minor}");
            assert_eq!(host.ipc_mode == "shareable", minor < 40, "1.{minor}");
            assert_eq!(host.kernel_memory, 0);
        }
        assert_eq!(host(56, json!({"PidsLimit": -1})).pids_limit, None);
        let body = json!({"Healthcheck": {"StartInterval": 5_000_000}});
        for minor in TESTED {
            let (request, _) = adapted(minor, body.clone()).unwrap();
            let check = request.config.healthcheck.unwrap();
            assert_eq!(check.start_interval != 0, minor >= 44, "1.{minor}");
        }
    }

    #[test]
    fn mounts_mean_what_their_version_meant() {
        let mount = |mount: Value| json!({"HostConfig": {"Mounts": [mount]}});
        for minor in TESTED {
            let wrong = mount(json!({"Type": "bind", "VolumeOptions": {}, "TmpfsOptions": {}}));
            let text = "VolumeOptions must not be specified on mount type \"bind\"";
            let expected = (minor >= 42).then(|| text.to_owned());
            assert_eq!(refusal(minor, wrong), expected, "1.{minor}");
            let forced =
                mount(json!({"Type": "bind", "BindOptions": {"ReadOnlyForceRecursive": true}}));
            let text = "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer";
            let expected = (minor < 44).then(|| text.to_owned());
            assert_eq!(refusal(minor, forced), expected, "1.{minor}");
            let part = mount(json!({"Type": "volume", "VolumeOptions": {"Subpath": "a"}}));
            assert_eq!(refusal(minor, part).is_some(), minor < 45, "1.{minor}");
            let image = mount(json!({"Type": "image"}));
            assert_eq!(refusal(minor, image).is_some(), minor < 48, "1.{minor}");
        }
        let bind = json!({"Mounts": [{"Type": "bind", "BindOptions": {"NonRecursive": true, "CreateMountpoint": true}}]});
        for (minor, recursive, creates) in
            [(24, true, false), (40, false, false), (44, false, true)]
        {
            let host = host(minor, bind.clone());
            let options = host.mounts.unwrap().remove(0).bind_options.unwrap();
            assert_eq!(!options.non_recursive, recursive, "1.{minor}");
            assert_eq!(options.create_mountpoint, creates, "1.{minor}");
        }
    }

    #[test]
    fn the_old_mac_address_goes_to_the_main_endpoint() {
        let mac = "02:42:ac:11:00:09";
        for minor in TESTED {
            let body = json!({"MacAddress": mac, "HostConfig": {"NetworkMode": "web"}});
            let (request, warnings) = adapted(minor, body).unwrap();
            let endpoints = request.networking_config.unwrap().endpoints_config.unwrap();
            let moved = endpoints.get("web").is_some_and(|endpoint| {
                endpoint
                    .as_ref()
                    .is_some_and(|endpoint| endpoint.mac_address == mac)
            });
            assert_eq!(moved, minor < 52, "1.{minor}");
            assert_eq!(warnings.is_empty(), minor < 44, "1.{minor}");
        }
        let body = json!({"MacAddress": mac, "HostConfig": {"NetworkMode": "host"}});
        let text = "conflicting options: mac-address and the network mode";
        assert_eq!(refusal(43, body.clone()).as_deref(), Some(text));
        assert_eq!(refusal(44, body), None);
        let body = json!({
            "MacAddress": mac,
            "NetworkingConfig": {"EndpointsConfig": {"default": {"MacAddress": "02:42:ac:11:00:0a"}}},
        });
        assert!(
            refusal(44, body.clone())
                .unwrap()
                .starts_with("the container-wide MAC address must match")
        );
        assert_eq!(refusal(43, body), None);
    }

    #[test]
    fn one_endpoint_until_1_43() {
        let body = json!({"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": null}}});
        for minor in TESTED {
            let text = "Container cannot be created with multiple network endpoints: a, b";
            let expected = (minor < 44).then(|| text.to_owned());
            assert_eq!(refusal(minor, body.clone()), expected, "1.{minor}");
        }
    }

    #[test]
    fn empty_port_bindings_are_any_port_until_1_52() {
        for minor in TESTED {
            let body = json!({"HostConfig": {"PortBindings": {"80/tcp": [], "90/tcp": null, "1/tcp": [{}]}}});
            let (request, warnings) = adapted(minor, body).unwrap();
            let bindings = request.host_config.unwrap().port_bindings.unwrap();
            assert_eq!(bindings.len(), if minor < 53 { 3 } else { 1 }, "1.{minor}");
            assert_eq!(warnings.len(), usize::from(minor == 52), "1.{minor}");
        }
    }

    #[test]
    fn warnings_and_sysctls_of_interfaces() {
        for minor in TESTED {
            let body = json!({"HostConfig": {"VolumeDriver": "x", "Mounts": [{"Type": "volume"}]}});
            let (_, warnings) = adapted(minor, body).unwrap();
            assert_eq!(warnings.len(), usize::from(minor >= 48), "1.{minor}");
            let body = json!({"HostConfig": {"Sysctls": {"net.ipv4.conf.eth0.forwarding": "1"}}});
            let error = adapted(minor, body).unwrap_err();
            let status = if minor < 48 { 501 } else { 500 };
            assert_eq!(error.status.as_u16(), status, "1.{minor}");
        }
        let body = json!({"HostConfig": {"Sysctls": {"net.ipv4.ip_forward": "1"}}});
        assert_eq!(refusal(56, body), None);
    }
}
