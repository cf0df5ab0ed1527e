//! The instance's nftables table.
//!
//! [`plan`] says what the table should hold, purely; [`ruleset`] and [`expr`] are its terms, which print as nft's own
//! syntax (for tests and people) and encode as netlink messages (for the kernel); [`firewall`] makes the changes.

mod expr;
mod firewall;
mod plan;
mod ruleset;

pub(crate) use firewall::Firewall;
pub(crate) use plan::{NetworkPlan, Plan, PortPlan};
pub(crate) use ruleset::{DELCHAIN, DELTABLE, NEWCHAIN};
