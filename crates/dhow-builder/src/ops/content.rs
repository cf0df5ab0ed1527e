//! The content of what an op takes from its inputs, as part of its key.

use dhow_archive::fd::is_dir;
use dhow_oci::Digest;

use super::input::Input;
use crate::content::Digester;
use crate::copy::Selection;
use crate::error::Error;
use crate::graph::{CopyAction, FileAction, MountSource, Op};
use crate::solve::{Job, Value};

/// The digests of all that `op` takes, in its order. Blocking; as long as there are files.
///
/// # Errors
/// Something is missing or can't be read.
pub(crate) fn taken(job: &Job, op: &Op, inputs: &[Value]) -> Result<Vec<Digest>, Error> {
    match op {
        Op::File(op) => op
            .actions
            .iter()
            .filter_map(|action| match action {
                FileAction::Copy(copy) => Some(copied(job, copy, inputs)),
                _ => None,
            })
            .collect(),
        Op::Run(op) => op
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                MountSource::Bind { input, path } => Some(mounted(job, *input, path, inputs)),
                MountSource::Cache {
                    from: Some((input, path)),
                    ..
                } => Some(mounted(job, *input, path, inputs)),
                _ => None,
            })
            .collect(),
        _ => Ok(Vec::new()),
    }
}

fn copied(job: &Job, copy: &CopyAction, inputs: &[Value]) -> Result<Digest, Error> {
    let value = inputs.get(copy.input).ok_or_else(missing)?;
    let input = Input::open(&job.cache.config.snapshots, value)?;
    let selection = input.select(copy)?;
    digest(job, &input, &selection, !copy.foreign_owners)
}

fn digest(job: &Job, input: &Input, selection: &Selection, owners: bool) -> Result<Digest, Error> {
    let known = input.tree.as_deref();
    Digester::new(input.directory(), known, owners, &job.cancelled).selection(selection)
}

/// What a path of an input is that a command sees.
pub(super) fn mounted(
    job: &Job,
    position: usize,
    path: &str,
    inputs: &[Value],
) -> Result<Digest, Error> {
    let value = inputs.get(position).ok_or_else(missing)?;
    let whole = path.trim_matches('/').is_empty();
    if let (Value::Root(root), true) = (value, whole) {
        // All of a root is what its layers are; looking at every file would tell no more.
        return Ok(root.chain_id().unwrap_or_else(|| Digest::of(b"scratch")));
    }
    let input = Input::open(&job.cache.config.snapshots, value)?;
    let mut selection = input.select(&plain(position, path))?;
    if let Some(selected) = selection.sources.first_mut()
        && is_dir(&selected.stat)
    {
        selected.name = Vec::new();
    }
    digest(job, &input, &selection, matches!(value, Value::Root(_)))
}

/// A selection of exactly this path.
pub(super) fn plain(input: usize, path: &str) -> CopyAction {
    let mut escaped = String::with_capacity(path.len());
    for letter in path.chars() {
        if matches!(letter, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    CopyAction {
        input,
        sources: vec![escaped],
        destination: "/".into(),
        owner: None,
        mode: None,
        parents: false,
        exclude: Vec::new(),
        unpack: false,
        foreign_owners: false,
        epoch: None,
    }
}

fn missing() -> Error {
    Error::invalid("an input of the step is missing")
}
