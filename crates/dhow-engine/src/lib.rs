//! Containers' life: the only place that combines image, snapshot, network, volume and shim.
//!
//! [`EngineConfig::build`] makes an [`Engine`]; [`Engine::restore`] is called once, before requests are served. The
//! engine has a handle for each noun ([`Engine::containers`], [`Engine::execs`], [`Engine::images`],
//! [`Engine::networks`], [`Engine::volumes`], [`Engine::events`], [`Engine::system`]), and one for commands that are no
//! containers, a build's steps ([`Engine::steps`]).
#![recursion_limit = "256"]

pub mod connector;
pub mod container;
pub mod events;
pub mod exec;
pub mod filters;
pub mod images;
pub mod networks;
pub mod stats;
pub mod steps;
pub mod streams;
pub mod supervisor;
pub mod system;
pub mod volumes;

mod config;
mod containers;
mod engine;
mod error;
mod files;
mod host;
mod lifecycle;
mod names;
mod services;
mod store;
#[cfg(test)]
mod testing;
mod text;

pub use dhow_container::spec;

pub use config::{About, Collaborators, Defaults, EngineConfig};
pub use containers::Containers;
pub use engine::Engine;
pub use error::{Error, Result, TaskError};
pub use lifecycle::create::new_id;
