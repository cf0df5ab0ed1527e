//! Registries on which nothing can be relied: what is stored is right or not there, what was fetched is not fetched
//! again, and no credential goes where it doesn't belong.
//!
//! The number of rounds with faults at random can be raised with `DHOW_FAULT_ROUNDS`.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "faults/bed.rs"]
mod bed;
#[path = "faults/credentials.rs"]
mod credentials;
#[path = "faults/pulls.rs"]
mod pulls;
#[path = "faults/pushes.rs"]
mod pushes;
