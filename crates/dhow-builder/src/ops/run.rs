//! A command.

use std::sync::Arc;

use dhow_dockerfile::{Network, Security};
use dhow_snapshot::Draft;

use super::mounts::{self, Mounted};
use super::{blocking, stubs};
use crate::error::Error;
use crate::executor::{Command, Executor, Output};
use crate::graph::RunOp;
use crate::layer;
use crate::result::Root;
use crate::solve::{Job, Told, Value};

/// Runs the command and gives the root with the layer it makes.
///
/// # Errors
/// What it needs is not there, it can't be started, or it ends with something else than 0.
pub(crate) async fn execute(
    job: &Arc<Job>,
    op: &RunOp,
    inputs: &[Value],
    told: &Arc<Told>,
) -> Result<Root, Error> {
    allowed(job, op)?;
    let mut root = inputs
        .first()
        .ok_or_else(|| Error::invalid("a command without a root"))?
        .root()?
        .clone();
    let mounted = mounts::prepare(job, op, inputs).await?;
    let (snapshots, chain) = (job.cache.config.snapshots.clone(), root.chain_id());
    let targets: Vec<String> = op.mounts.iter().map(|mount| mount.target.clone()).collect();
    let (draft, stubs) = blocking(move || {
        let draft = snapshots.draft(chain.as_ref())?;
        let stubs = stubs::find(&draft, &targets)?;
        Ok((draft, stubs))
    })
    .await?;
    let draft = run(job, op, mounted, draft, told).await?;
    let working = Arc::clone(job);
    let layer = blocking(move || {
        stubs.remove(&draft)?;
        layer::commit(&working.cache.config, draft, &working)
    })
    .await?;
    root.layers.push(layer);
    Ok(root)
}

fn allowed(job: &Job, op: &RunOp) -> Result<(), Error> {
    let has = |name: &str| {
        job.entitlements
            .iter()
            .any(|entitlement| entitlement == name)
    };
    let refused = |name: &str| Err(Error::invalid(format!("{name} is not allowed")));
    if op.security == Security::Insecure && !has("security.insecure") {
        return refused("security.insecure");
    }
    if op.network == Network::Host && !has("network.host") {
        return refused("network.host");
    }
    Ok(())
}

async fn run(
    job: &Arc<Job>,
    op: &RunOp,
    mounted: Mounted,
    draft: Draft,
    told: &Arc<Told>,
) -> Result<Draft, Error> {
    let id = format!("build-{}", crate::id::random());
    let mut env = op.env.clone();
    env.extend(op.unkeyed_env.iter().cloned());
    env.extend(mounted.env.iter().cloned());
    let command = Command {
        id: id.clone(),
        root: draft.container_mounts(),
        args: op.args.clone(),
        env,
        working_dir: op.working_dir.clone(),
        user: op.user.clone(),
        mounts: mounted.mounts.clone(),
        network: op.network,
        security: op.security,
        devices: op.devices.iter().map(|(name, _)| name.clone()).collect(),
        limits: op.limits.clone(),
        output: Arc::new(Logged(Arc::clone(told))),
    };
    let executor = Arc::clone(&job.cache.config.executor);
    let mut running = Running {
        executor: Arc::clone(&executor),
        id,
        held: Some((draft, mounted)),
    };
    let ended = executor.run(command).await;
    let (draft, mounted) = running
        .held
        .take()
        .expect("taken only here and when dropped");
    drop(mounted);
    let text = op.args.join(" ");
    match ended {
        Ok(0) => Ok(draft),
        Ok(code) => Err(Error::Exit {
            command: text,
            code,
        }),
        Err(reason) => Err(Error::Start {
            command: text,
            reason,
        }),
    }
}

/// What a command that runs needs; when it is given up, that stays until nothing is left of it.
struct Running {
    executor: Arc<dyn Executor>,
    id: String,
    held: Option<(Draft, Mounted)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else {
            return;
        };
        let (executor, id) = (Arc::clone(&self.executor), std::mem::take(&mut self.id));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                executor.settled(&id).await;
                // Removing takes as long as there are files.
                tokio::task::spawn_blocking(move || drop(held));
            });
        }
    }
}

/// Tells what a command prints.
struct Logged(Arc<Told>);

impl Output for Logged {
    fn write(&self, stream: u8, bytes: &[u8]) {
        self.0.log(stream, bytes);
    }
}
