//! Networks, endpoints, sandboxes, IPAM, ports and the nftables ruleset.
