//! From a request to what is to be done: the Dockerfile is fetched and understood, images are looked up, and the plan made.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::builder::BuilderConfig;
use crate::client::Tree;
use crate::error::Error;
use crate::graph::Op;
use crate::plan::Plan;
use crate::request::{BuildRequest, Outcome};

/// Fetches trees before there is a graph: contexts and Dockerfiles that are not the client's.
pub trait Sources: Send + Sync {
    /// Carries out a [`Op::Git`] or [`Op::Http`] that has no inputs, telling it as a vertex called `name`.
    ///
    /// # Errors
    /// The source can't be reached or has not what is asked for.
    fn tree<'a>(
        &'a self,
        op: &'a Op,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Tree>, Error>>;
}

/// What a request comes to.
#[derive(Debug)]
pub enum Prepared {
    /// A plan that is to be solved and exported.
    Plan(Box<Plan>),
    /// Nothing is built: what `--call` asks for, or `--check`.
    Answer(Outcome),
}

/// Fetches and understands the Dockerfile, looks up the images its target needs, and makes the plan; says what it does
/// and what the checks find as progress.
///
/// # Errors
/// The Dockerfile is missing or wrong, an image can't be found, or a check that is an error finds something.
pub async fn prepare(
    request: &BuildRequest,
    kit: &BuilderConfig,
    sources: &dyn Sources,
) -> Result<Prepared, Error> {
    let _ = (request, kit, sources);
    Err(Error::NotImplemented("planning".into()))
}
