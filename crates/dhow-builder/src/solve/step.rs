//! Steps whose results are remembered: commands, files, stacks.

use std::sync::Arc;
use std::time::Instant;

use dhow_oci::Digest;

use super::{DoneStep, Job, Node, Told, Value};
use crate::cache::NewStep;
use crate::error::Error;
use crate::graph::{FileAction, MountSource, Op};
use crate::key::{self, KeyWriter};
use crate::ops;
use crate::result::Root;

/// What a step is known by.
struct Keys {
    /// By the layers of all its inputs; `None` when it depends on a tree, or when it is the same as the other one.
    quick: Option<Digest>,
    /// By the content of what it takes; not there until it is needed.
    exact: Option<Digest>,
}

impl Keys {
    fn all(&self) -> Vec<Digest> {
        self.exact.into_iter().chain(self.quick).collect()
    }
}

/// The result, and whether it was in the cache.
pub(super) async fn carry_out(
    job: &Arc<Job>,
    node: &Node,
    inputs: &[Value],
    told: &Arc<Told>,
) -> Result<(Value, bool), Error> {
    let mut keys = quick_keys(node, inputs)?;
    let (root, cached) = carry_out_keyed(job, node, inputs, told, &mut keys).await?;
    job.steps().push(DoneStep {
        keys: keys.all(),
        root: root.clone(),
    });
    Ok((Value::Root(root), cached))
}

async fn carry_out_keyed(
    job: &Arc<Job>,
    node: &Node,
    inputs: &[Value],
    told: &Arc<Told>,
    keys: &mut Keys,
) -> Result<(Root, bool), Error> {
    let usable = !node.vertex.no_cache;
    for key in keys.all() {
        if usable && let Some(root) = find(job, &key)? {
            return Ok((root, true));
        }
    }
    let exact = match keys.exact {
        Some(exact) => exact,
        None => exact_key(job, node, inputs).await?,
    };
    keys.exact = Some(exact);
    let _alone = match usable {
        true => Some(job.flights.board(&exact).await),
        false => None,
    };
    if usable && let Some(root) = find(job, &exact)? {
        if let Some(quick) = keys.quick {
            job.cache.alias(&quick, &exact)?;
        }
        return Ok((root, true));
    }
    let begun = Instant::now();
    job.cache.make_room(0)?;
    let (root, cached) = match usable {
        true => match elsewhere(job, keys).await {
            Some(root) => (root, true),
            None => (execute(job, node, inputs, told).await?, false),
        },
        false => (execute(job, node, inputs, told).await?, false),
    };
    let step = NewStep {
        root: &root,
        description: &node.vertex.name,
        cost: begun.elapsed(),
    };
    let size = root.layers.last().map_or(0, |top| top.size + top.blob.size);
    if job.cache.fits(size) {
        job.cache.make_room(size)?;
        job.cache.keep(&exact, keys.quick.as_ref(), &step)?;
        job.uses(exact);
    }
    Ok((root, cached))
}

/// What a cache elsewhere has.
async fn elsewhere(job: &Arc<Job>, keys: &Keys) -> Option<Root> {
    let imported = job.imported()?;
    for key in keys.all() {
        if let Some(root) = imported.find(job, &key).await {
            return Some(root);
        }
    }
    None
}

fn find(job: &Job, key: &Digest) -> Result<Option<Root>, Error> {
    let found = job.cache.find(key, &mut job.protection())?;
    Ok(found.map(|found| {
        job.uses(found.key);
        found.root
    }))
}

async fn execute(
    job: &Arc<Job>,
    node: &Node,
    inputs: &[Value],
    told: &Arc<Told>,
) -> Result<Root, Error> {
    match &node.vertex.op {
        Op::Run(op) => ops::run::execute(job, op, inputs, told).await,
        Op::File(op) => ops::file::execute(job, op, inputs).await,
        _ => ops::stack::execute(job, inputs).await,
    }
}

/// The keys that need no look at files.
fn quick_keys(node: &Node, inputs: &[Value]) -> Result<Keys, Error> {
    let mut key = KeyWriter::new("step");
    key::op(&mut key, &node.vertex.op);
    key.text(node.vertex.platform.to_string());
    let mut trees = false;
    for input in inputs {
        match input {
            Value::Root(root) => {
                key.option(root.chain_id(), |key, chain| {
                    key.digest(&chain);
                });
            }
            Value::Tree(..) => trees = true,
        }
    }
    let key = key.finish();
    // Without anything taken from another input there is nothing to look at.
    let plain = !trees && taken(&node.vertex.op).is_empty();
    Ok(Keys {
        quick: (!trees && !plain).then_some(key),
        exact: plain.then_some(key),
    })
}

/// The positions of the inputs that files are taken from.
fn taken(op: &Op) -> Vec<usize> {
    match op {
        Op::Run(op) => op
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                MountSource::Bind { input, .. } => Some(*input),
                MountSource::Cache {
                    from: Some((input, _)),
                    ..
                } => Some(*input),
                _ => None,
            })
            .collect(),
        Op::File(op) => op
            .actions
            .iter()
            .filter_map(|action| match action {
                FileAction::Copy(copy) => Some(copy.input),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The key by the content of everything that is taken.
async fn exact_key(job: &Arc<Job>, node: &Node, inputs: &[Value]) -> Result<Digest, Error> {
    let (job, op) = (Arc::clone(job), node.vertex.op.clone());
    let (inputs, platform) = (inputs.to_vec(), node.vertex.platform.to_string());
    ops::blocking(move || {
        let mut key = KeyWriter::new("content step");
        key::op(&mut key, &op);
        key.text(platform);
        let base = match inputs.first() {
            Some(Value::Root(root)) => root.chain_id(),
            _ => None,
        };
        key.option(base, |key, chain| {
            key.digest(&chain);
        });
        for digest in ops::content::taken(&job, &op, &inputs)? {
            key.digest(&digest);
        }
        Ok(key.finish())
    })
    .await
}
