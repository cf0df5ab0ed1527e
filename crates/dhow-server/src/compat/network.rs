//! Networks.

use dhow_api::network::{EndpointSettings, Network, NetworkCreateRequest};

use crate::ApiVersion;

/// A network, inspected: how full it is, is told since 1.52.
pub(crate) fn inspect(version: ApiVersion, network: &mut Network) {
    if version.before(52) {
        network.status = None;
    }
}

/// What a create request of an old version could not mean: networks without IPv4 are there since 1.48.
pub(crate) fn create_request(version: ApiVersion, request: &mut NetworkCreateRequest) {
    if version.before(48) {
        request.enable_ipv4 = None;
    }
}

/// What old clients could not wish for on a network.
pub(crate) fn endpoint(version: ApiVersion, endpoint: &mut EndpointSettings) {
    if version.before(48) {
        endpoint.gw_priority = 0;
    }
    if version.before(44) {
        endpoint.mac_address.clear();
    }
}

#[cfg(test)]
mod tests {
    use dhow_api::network::NetworkStatus;

    use super::super::TESTED;
    use super::*;

    #[test]
    fn networks_have_and_mean_what_their_version_knows() {
        for minor in TESTED {
            let version = ApiVersion::new(1, minor);
            let mut network = Network {
                status: Some(NetworkStatus::default()),
                ..Network::default()
            };
            inspect(version, &mut network);
            assert_eq!(network.status.is_some(), minor >= 52, "1.{minor}");
            let mut request = NetworkCreateRequest {
                enable_ipv4: Some(false),
                ..NetworkCreateRequest::default()
            };
            create_request(version, &mut request);
            assert_eq!(request.enable_ipv4.is_some(), minor >= 48, "1.{minor}");
            let mut wish = EndpointSettings {
                gw_priority: 3,
                mac_address: "02:00:00:00:00:01".to_owned(),
                ..EndpointSettings::default()
            };
            endpoint(version, &mut wish);
            assert_eq!(wish.gw_priority == 3, minor >= 48, "1.{minor}");
            assert_eq!(wish.mac_address.is_empty(), minor < 44, "1.{minor}");
        }
    }
}
