//! What is made of a result: an image in the store, in registries, or files for the client.

use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::plan::Plan;
use crate::request::{BuildRequest, Outcome};
use crate::result::Root;

/// Carries out all of a request's exports; `roots` are the results of the plan's targets, in their order.
///
/// Whoever calls this holds the layers and blobs until it returns.
///
/// # Errors
/// The first export that failed.
pub async fn export(
    request: &BuildRequest,
    kit: &BuilderConfig,
    plan: &Plan,
    roots: &[Root],
) -> Result<Outcome, Error> {
    let _ = (request, kit, plan, roots);
    Err(Error::NotImplemented("exporting".into()))
}
