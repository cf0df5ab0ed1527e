//! What an endpoint may be wished to be on its network. Texts are Docker's.

use dhow_container::spec::{EndpointSettings, Invalid};
use dhow_network::NetworkRecord;

/// Checks a wish against the network it is for.
pub(super) fn check(network: &NetworkRecord, wish: &EndpointSettings) -> Result<(), Invalid> {
    let mut wrong = Vec::new();
    let wants_ip = wish.ipam.as_ref().is_some_and(|ipam| ipam.ipv4.is_some());
    if network.is_predefined() && wants_ip {
        wrong.push("user specified IP address is supported on user defined networks only");
        wrong.push(
            "user specified IP address is supported only when connecting to networks with user configured subnets",
        );
    }
    if network.is_predefined() && !wish.aliases.is_empty() {
        wrong
            .push("network-scoped alias is supported only for containers in user defined networks");
    }
    let text = match wrong.as_slice() {
        [] => return Ok(()),
        [one] => (*one).to_owned(),
        all => all
            .iter()
            .map(|one| format!("* {one}"))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Err(Invalid(format!("invalid endpoint settings:\n{text}")))
}
