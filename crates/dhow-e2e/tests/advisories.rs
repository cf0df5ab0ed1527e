//! What has been used to get out of containers, tried on this engine. Each test names the advisories it is about;
//! docs/security.md lists them all, with those that can't concern this engine.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "advisories/bed.rs"]
mod bed;
#[path = "advisories/files.rs"]
mod files;
#[path = "advisories/kernel.rs"]
mod kernel;
#[path = "advisories/paths.rs"]
mod paths;
#[path = "advisories/users.rs"]
mod users;
