//! Carrying out a graph: as much at a time as the inputs allow, and only what the targets need.
//!
//! Every vertex is a task that waits for its inputs. The first that fails ends the build: the others are dropped, which
//! kills their commands. Vertices that are equal are one.

mod flights;
mod job;
mod step;
mod told;

#[cfg(test)]
mod tests;

pub(crate) use flights::Flights;
pub(crate) use job::{DoneStep, Job, JobParts, Value};
pub(crate) use told::{Task, Told};

use std::collections::HashMap;
use std::sync::Arc;

use dhow_oci::Digest;
use futures::FutureExt;
use futures::future::{Shared, join_all};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::{Error, Location};
use crate::graph::{Graph, Op, Vertex, VertexId};
use crate::key;
use crate::result::Root;

/// A value that is there sooner or later, or never.
type Promise = Shared<oneshot::Receiver<Value>>;

/// A vertex with what it is known by.
pub(crate) struct Node {
    pub(crate) vertex: Vertex,
    pub(crate) digest: Digest,
    pub(crate) inputs: Vec<Digest>,
    pub(crate) location: Option<Location>,
}

/// Carries out what `targets` need and gives their roots.
///
/// # Errors
/// The first failure, with its vertex and its place in the Dockerfile.
pub(crate) async fn solve(
    job: &Arc<Job>,
    graph: &Graph,
    locate: &(dyn Fn(&Vertex) -> Option<Location> + Sync),
    targets: &[VertexId],
) -> Result<Vec<Root>, Error> {
    let digests = digests(graph);
    let needed = needed(graph, targets);
    let mut promises: HashMap<Digest, Promise> = HashMap::new();
    let mut waiting = Vec::new();
    for (n, vertex) in graph.vertices.iter().enumerate() {
        if !needed[n] || promises.contains_key(&digests[n]) {
            continue;
        }
        let (kept, promise) = oneshot::channel();
        promises.insert(digests[n], promise.shared());
        let node = Node {
            vertex: vertex.clone(),
            digest: digests[n],
            inputs: vertex.inputs.iter().map(|input| digests[input.0]).collect(),
            location: locate(vertex),
        };
        told::announce(&*job.listener, &node);
        waiting.push((node, kept));
    }
    let mut tasks = JoinSet::new();
    for (node, kept) in waiting {
        let inputs = node.inputs.iter().map(|input| promises[input].clone());
        let inputs: Vec<Promise> = inputs.collect();
        tasks.spawn(carry_out(Arc::clone(job), node, inputs, kept));
    }
    while let Some(joined) = tasks.join_next().await {
        if let Err(error) = joined.unwrap_or(Err(Error::Cancelled)) {
            job.cancelled.cancel();
            tasks.shutdown().await;
            return Err(error);
        }
    }
    let mut roots = Vec::new();
    for target in targets {
        let value = promises[&digests[target.0]].clone().await;
        roots.push(value.map_err(|_| Error::Cancelled)?.into_root()?);
    }
    Ok(roots)
}

/// What each vertex is known by; inputs stand before what needs them.
fn digests(graph: &Graph) -> Vec<Digest> {
    let mut digests: Vec<Digest> = Vec::with_capacity(graph.vertices.len());
    for vertex in &graph.vertices {
        let inputs: Vec<Digest> = vertex.inputs.iter().map(|input| digests[input.0]).collect();
        digests.push(key::vertex(vertex, &inputs));
    }
    digests
}

fn needed(graph: &Graph, targets: &[VertexId]) -> Vec<bool> {
    let mut needed = vec![false; graph.vertices.len()];
    for target in targets {
        needed[target.0] = true;
    }
    for n in (0..graph.vertices.len()).rev() {
        if needed[n] {
            for input in &graph.vertices[n].inputs {
                needed[input.0] = true;
            }
        }
    }
    needed
}

/// Waits for the inputs, and does what the vertex says. Where an input failed there is nothing to do or to say.
async fn carry_out(
    job: Arc<Job>,
    node: Node,
    inputs: Vec<Promise>,
    kept: oneshot::Sender<Value>,
) -> Result<(), Error> {
    let inputs: Result<Vec<Value>, _> = join_all(inputs).await.into_iter().collect();
    let Ok(inputs) = inputs else {
        return Ok(());
    };
    let told = Arc::new(Told::begin(&job.listener, &node));
    match carry_out_op(&job, &node, &inputs, &told).await {
        Ok((value, cached)) => {
            told.end(cached);
            // Whoever needs it waits; if nobody does, nobody is hurt.
            let _ = kept.send(value);
            Ok(())
        }
        Err(error) => {
            told.fail(&dhow_errdefs::chain(&error).to_string());
            Err(match error {
                error @ (Error::Cancelled | Error::Step { .. }) => error,
                error => Error::Step {
                    vertex: node.digest,
                    name: node.vertex.name.clone(),
                    location: node.location.clone().map(Box::new),
                    cause: Arc::new(error),
                },
            })
        }
    }
}

/// The result, and whether it was there already.
async fn carry_out_op(
    job: &Arc<Job>,
    node: &Node,
    inputs: &[Value],
    told: &Arc<Told>,
) -> Result<(Value, bool), Error> {
    use crate::ops;
    match &node.vertex.op {
        Op::Scratch => Ok((Value::Root(Root::default()), false)),
        Op::Image(op) => {
            let (root, cached) = ops::image::fetch(job, op, &node.vertex.platform, told).await?;
            Ok((Value::Root(root), cached))
        }
        Op::Local(op) => {
            let started = jiff::Timestamp::now();
            let tree = job.client.files(op).await.map_err(|source| Error::Client {
                what: format!("failed to load {}", op.name),
                source,
            })?;
            if let Some(bytes) = tree.transferred() {
                told.task(Task {
                    id: "transferring context:",
                    current: bytes,
                    total: 0,
                    started,
                    done: true,
                });
            }
            Ok((Value::Tree(tree, Some(Arc::new(op.clone()))), false))
        }
        Op::Git(op) => Ok((
            Value::Tree(ops::git::fetch(job, op, told).await?, None),
            false,
        )),
        Op::Http(op) => Ok((
            Value::Tree(ops::http::fetch(job, op, told).await?, None),
            false,
        )),
        Op::Run(_) | Op::File(_) | Op::Stack => step::carry_out(job, node, inputs, told).await,
    }
}

/// Fetches a source that no graph has, telling it as a vertex called `name`.
///
/// # Errors
/// It can't be fetched, or is none.
pub(crate) async fn source(
    job: &Arc<Job>,
    op: &Op,
    name: &str,
) -> Result<Arc<dyn crate::client::Tree>, Error> {
    use crate::ops;
    let mut digest = key::KeyWriter::new("source");
    key::op(&mut digest, op);
    let told = Told::begin_alone(&job.listener, digest.finish(), name);
    let result = match op {
        Op::Git(op) => ops::git::fetch(job, op, &told).await,
        Op::Http(op) => ops::http::fetch(job, op, &told).await,
        _ => Err(Error::invalid("not a source")),
    };
    match &result {
        Ok(_) => told.end(false),
        Err(error) => told.fail(&dhow_errdefs::chain(error).to_string()),
    }
    result
}
