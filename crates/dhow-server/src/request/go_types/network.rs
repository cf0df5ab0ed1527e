//! Networks.

use super::Fields;
use super::Go::{self, Bool, List, Map, Struct};
use super::container::{INT, STRING, STRING_MAP, STRINGS};

const ENDPOINT_IPAM: Fields = &[
    ("IPv4Address", STRING),
    ("IPv6Address", STRING),
    ("LinkLocalIPs", STRINGS),
];

/// A container's endpoint.
pub(super) const ENDPOINT: Go = Struct(
    "network.EndpointSettings",
    &[&[
        (
            "IPAMConfig",
            Struct("network.EndpointIPAMConfig", &[ENDPOINT_IPAM]),
        ),
        ("Links", STRINGS),
        ("Aliases", STRINGS),
        ("MacAddress", STRING),
        ("DriverOpts", STRING_MAP),
        ("GwPriority", INT),
        ("NetworkID", STRING),
        ("EndpointID", STRING),
        ("Gateway", STRING),
        ("IPAddress", STRING),
        ("IPPrefixLen", INT),
        ("IPv6Gateway", STRING),
        ("GlobalIPv6Address", STRING),
        ("GlobalIPv6PrefixLen", INT),
        ("DNSNames", STRINGS),
    ]],
);

const POOL: Fields = &[
    ("Subnet", STRING),
    ("IPRange", STRING),
    ("Gateway", STRING),
    ("AuxiliaryAddresses", Map("map[string]string", &STRING)),
];

const IPAM: Fields = &[
    ("Driver", STRING),
    ("Options", STRING_MAP),
    (
        "Config",
        List(
            "[]network.IPAMConfig",
            &Struct("network.IPAMConfig", &[POOL]),
        ),
    ),
];

/// `POST /networks/create`.
pub(super) const CREATE: Go = Struct(
    "network.CreateRequest",
    &[&[
        ("Name", STRING),
        ("Driver", STRING),
        ("Scope", STRING),
        ("EnableIPv4", Bool),
        ("EnableIPv6", Bool),
        ("IPAM", Struct("network.IPAM", &[IPAM])),
        ("Internal", Bool),
        ("Attachable", Bool),
        ("Ingress", Bool),
        ("ConfigOnly", Bool),
        (
            "ConfigFrom",
            Struct("network.ConfigReference", &[&[("Network", STRING)]]),
        ),
        ("Options", STRING_MAP),
        ("Labels", STRING_MAP),
        ("CheckDuplicate", Bool),
    ]],
);
/// `POST /networks/{id}/connect`.
pub(super) const CONNECT: Go = Struct(
    "network.ConnectOptions",
    &[&[("Container", STRING), ("EndpointConfig", ENDPOINT)]],
);
/// `POST /networks/{id}/disconnect`.
pub(super) const DISCONNECT: Go = Struct(
    "network.DisconnectOptions",
    &[&[("Container", STRING), ("Force", Bool)]],
);
