//! Files made and copied into one layer.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::blocking;
use super::input::Input;
use crate::copy::{Copying, MakeOptions, Modes, copy, make_directory, make_file, resolve_owner};
use crate::error::Error;
use crate::graph::{CopyAction, FileAction, FileOp, Owner};
use crate::layer;
use crate::result::Root;
use crate::solve::{Job, Value};

/// Carries out all actions and gives the root with the layer they make.
///
/// # Errors
/// The first action that failed; nothing is left then.
pub(crate) async fn execute(job: &Arc<Job>, op: &FileOp, inputs: &[Value]) -> Result<Root, Error> {
    let (job, op, inputs) = (Arc::clone(job), op.clone(), inputs.to_vec());
    blocking(move || {
        let mut root = inputs
            .first()
            .ok_or_else(|| Error::invalid("files without a root"))?
            .root()?
            .clone();
        let kit = &job.cache.config;
        let draft = kit.snapshots.draft(root.chain_id().as_ref())?;
        {
            let mount = draft.mounts().mount()?;
            for action in &op.actions {
                job.cancelled.check()?;
                act(&job, mount.as_fd(), action, &inputs)?;
            }
        }
        job.cancelled.check()?;
        let layer = layer::commit(kit, draft, &job)?;
        root.layers.push(layer);
        Ok(root)
    })
    .await
}

fn act(
    job: &Job,
    root: BorrowedFd<'_>,
    action: &FileAction,
    inputs: &[Value],
) -> Result<(), Error> {
    let options = |mode: u32, owner: &Option<Owner>, epoch: Option<i64>| {
        let owner = owner.as_ref().map(|owner| resolve_owner(root, owner));
        Ok::<_, Error>(MakeOptions {
            mode,
            owner: owner.transpose()?,
            epoch,
        })
    };
    match action {
        FileAction::Copy(action) => copy_all(job, root, action, inputs),
        FileAction::Make {
            path,
            content,
            mode,
            owner,
            epoch,
        } => make_file(
            root,
            path.as_bytes(),
            content,
            options(*mode, owner, *epoch)?,
        ),
        FileAction::MakeDirectory {
            path,
            mode,
            owner,
            epoch,
        } => make_directory(root, path.as_bytes(), options(*mode, owner, *epoch)?).map(drop),
    }
}

fn copy_all(
    job: &Job,
    root: BorrowedFd<'_>,
    action: &CopyAction,
    inputs: &[Value],
) -> Result<(), Error> {
    let value = inputs
        .get(action.input)
        .ok_or_else(|| Error::invalid("an input of the copy is missing"))?;
    let input = Input::open(&job.cache.config.snapshots, value)?;
    let selection = input.select(action)?;
    let owner = action
        .owner
        .as_ref()
        .map(|owner| resolve_owner(root, owner));
    let mut copying = Copying {
        root,
        owner: owner.transpose()?,
        mode: action.mode.as_ref().map(Modes::new).transpose()?,
        epoch: action.epoch,
        exclude: &selection.exclude,
        foreign: action.foreign_owners,
        unpack: action.unpack,
        cancelled: &job.cancelled,
        links: HashMap::new(),
    };
    for selected in &selection.sources {
        copy(
            input.directory(),
            selected,
            &action.destination,
            &mut copying,
        )?;
    }
    Ok(())
}
