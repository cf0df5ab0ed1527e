//! From a Dockerfile to an image.
//!
//! # Terms
//!
//! * A *build* is one [`BuildRequest`] carried out. It tells what it does as [`Progress`], and ends with an [`Outcome`].
//! * A *vertex* is one thing to do: fetch an image's layers, take files of the client, run a command, copy. Vertices
//!   and their inputs are a [`Graph`]; inputs stand before what needs them.
//! * An *op* says what a vertex does ([`graph::Op`]); it names its inputs by position.
//! * A *result* is what a vertex gives: a *root* (a stack of layers) or a *tree* (a directory outside every layer).
//! * A *cache key* stands for a result: the digest of the op's definition and of what its inputs really are (the chain id of
//!   a root, the content of the files that are used of a tree). The same key has the same result.
//!
//! # Life of a build
//!
//! 1. *Resolve*: the Dockerfile is fetched and parsed, the stages that the target needs are found, and the
//!    configurations of their images are looked up, all at once.
//! 2. *Plan* (pure): stages, arguments and those configurations become the graph, the image's configuration and
//!    its history.
//! 3. *Solve*: vertices are carried out as far in parallel as their inputs allow. A key that is in the cache is not
//!    carried out; a key that another build is just making is waited for.
//! 4. *Export*: the target's root becomes an image in the store, or files.
//!
//! Whoever drops a build's future cancels it: commands are killed, what is unfinished is removed.
//!
//! # What the builder does not know
//!
//! Containers, HTTP, sessions. Commands are run by an [`Executor`]; the client's files, secrets and agents come by way of a
//! [`Client`]. Both are declared here and adapted by whoever puts the daemon together.

pub mod builder;
pub mod client;
pub mod error;
pub mod executor;
pub mod export;
pub mod graph;
pub mod plan;
pub mod prepare;
pub mod progress;
pub mod request;
mod resolve;
pub mod result;
pub mod usage;

mod cache;
mod content;
mod copy;
mod id;
mod key;
mod layer;
mod ops;
mod remote;
mod solve;

pub use builder::{Builder, BuilderConfig, HttpClient, MakeHttpClient};
pub use client::Client;
pub use error::{Error, Location};
pub use executor::Executor;
pub use graph::Graph;
pub use plan::Plan;
pub use progress::Progress;
pub use request::{BuildRequest, Outcome};
