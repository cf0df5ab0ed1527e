//! Layers put on others that they do not depend on (`COPY --link`).

use std::sync::Arc;

use super::blocking;
use crate::error::Error;
use crate::result::Root;
use crate::solve::{Job, Value};

/// Gives the first input with the second one's layers on top.
///
/// # Errors
/// When a layer can't be made.
pub(crate) async fn execute(job: &Arc<Job>, inputs: &[Value]) -> Result<Root, Error> {
    let (job, inputs) = (Arc::clone(job), inputs.to_vec());
    blocking(move || {
        let [below, above] = inputs.as_slice() else {
            return Err(Error::invalid("a stack has two inputs"));
        };
        let (mut root, above) = (below.root()?.clone(), above.root()?);
        let kit = &job.cache.config;
        for layer in &above.layers {
            job.cancelled.check()?;
            let pause = kit.images.pause_collection();
            let parent = root.chain_id();
            let chain_id = kit.snapshots.restack(&layer.chain_id, parent.as_ref())?;
            job.protection().extend([chain_id]);
            drop(pause);
            root.layers.push(crate::result::Layer {
                chain_id,
                ..layer.clone()
            });
        }
        Ok(root)
    })
    .await
}
