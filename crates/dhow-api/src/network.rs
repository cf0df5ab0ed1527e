//! Networks and a container's endpoints in them.

use crate::Map;
use crate::wire::is_blank;

wire! {"PascalCase";
    /// A network; `GET /networks` leaves `Containers` out.
    pub struct Network {
        pub name: String,
        pub id: String,
        pub created: String,
        pub scope: String,
        pub driver: String,
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: bool,
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: bool,
        #[serde(rename = "IPAM")]
        pub ipam: Ipam,
        pub internal: bool,
        pub attachable: bool,
        pub ingress: bool,
        pub config_from: ConfigReference,
        pub config_only: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub containers: Option<Map<EndpointResource>>,
        pub options: Map<String>,
        pub labels: Map<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub status: Option<NetworkStatus>,
    }

    /// What is known of a network at this moment.
    pub struct NetworkStatus {
        #[serde(rename = "IPAM")]
        pub ipam: IpamStatus,
    }

    /// How full a network's subnets are.
    pub struct IpamStatus {
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub subnets: Map<SubnetStatus>,
    }

    /// How full a subnet is.
    pub struct SubnetStatus {
        #[serde(rename = "IPsInUse")]
        pub ips_in_use: u64,
        #[serde(rename = "DynamicIPsAvailable")]
        pub dynamic_ips_available: u64,
    }

    /// The network whose settings another one copies.
    pub struct ConfigReference {
        pub network: String,
    }

    /// Address management of a network.
    pub struct Ipam {
        pub driver: String,
        pub options: Option<Map<String>>,
        pub config: Option<Vec<IpamConfig>>,
    }

    /// One address pool.
    pub struct IpamConfig {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subnet: String,
        #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
        pub ip_range: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub gateway: String,
        #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "is_blank")]
        pub auxiliary_addresses: Option<Map<String>>,
    }

    /// A container in a network, seen from the network.
    pub struct EndpointResource {
        pub name: String,
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub mac_address: String,
        #[serde(rename = "IPv4Address")]
        pub ipv4_address: String,
        #[serde(rename = "IPv6Address")]
        pub ipv6_address: String,
    }

    /// A container in a network, seen from the container.
    pub struct EndpointSettings {
        #[serde(rename = "IPAMConfig")]
        pub ipam_config: Option<EndpointIpamConfig>,
        pub links: Option<Vec<String>>,
        pub aliases: Option<Vec<String>>,
        pub mac_address: String,
        pub driver_opts: Option<Map<String>>,
        pub gw_priority: i64,
        #[serde(rename = "NetworkID")]
        pub network_id: String,
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub gateway: String,
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        #[serde(rename = "DNSNames")]
        pub dns_names: Option<Vec<String>>,
    }

    /// Addresses asked for by a container.
    pub struct EndpointIpamConfig {
        #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
        pub ipv4_address: String,
        #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
        pub ipv6_address: String,
        #[serde(rename = "LinkLocalIPs", skip_serializing_if = "is_blank")]
        pub link_local_ips: Option<Vec<String>>,
    }

    /// The networks a container is created in.
    pub struct NetworkingConfig {
        pub endpoints_config: Option<Map<Option<EndpointSettings>>>,
    }

    /// The body of `POST /networks/create`.
    pub struct NetworkCreateRequest {
        pub name: String,
        pub driver: String,
        pub scope: String,
        #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
        pub enable_ipv4: Option<bool>,
        #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
        pub enable_ipv6: Option<bool>,
        #[serde(rename = "IPAM")]
        pub ipam: Option<Ipam>,
        pub internal: bool,
        pub attachable: bool,
        pub ingress: bool,
        pub config_only: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub config_from: Option<ConfigReference>,
        pub options: Option<Map<String>>,
        pub labels: Option<Map<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub check_duplicate: Option<bool>,
    }

    /// The answer to network create.
    pub struct NetworkCreated {
        pub id: String,
        pub warning: String,
    }

    /// The body of `POST /networks/{id}/connect`.
    pub struct NetworkConnectRequest {
        pub container: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub endpoint_config: Option<EndpointSettings>,
    }

    /// The body of `POST /networks/{id}/disconnect`.
    pub struct NetworkDisconnectRequest {
        pub container: String,
        pub force: bool,
    }

    /// `POST /networks/prune`.
    pub struct NetworkPruneReport {
        pub networks_deleted: Option<Vec<String>>,
    }
}
