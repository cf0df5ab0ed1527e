//! A container's root file system, put together inside the container's own mount namespace.
//!
//! The root comes as a mount that is attached nowhere. It is attached in the new namespace, the mounts of the
//! specification are made below it through descriptors (never by joining path strings), nodes and masks are added, and
//! last it becomes the root, with the host's tree detached from it. All of it happens while the host's tree is still
//! there, so that sources can be opened, and all destinations are resolved with the container's root as their top.

mod cgroups;
pub(crate) mod copy_up;
pub(crate) mod devices;
pub(crate) mod masks;
mod mounts;
pub(crate) mod options;
mod overlay;
pub(crate) mod paths;
mod pivot;
pub(crate) mod plan;
pub(crate) mod tree;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::mount::attr;

use crate::failure::{Step, StepContext};
use options::{Change, Recursive};
pub(crate) use plan::RootfsPlan;

/// The root file system with all its mounts, attached and waiting to become the root.
#[derive(Debug)]
pub(crate) struct Assembled {
    root: OwnedFd,
}

/// Attaches the root and makes everything in it. `given` is the root as a detached mount.
pub(crate) fn assemble(plan: &RootfsPlan, given: Option<BorrowedFd<'_>>) -> Step<Assembled> {
    pivot::isolate(plan)?;
    let root = pivot::attach_root(plan, given)?;
    for mount in &plan.mounts {
        mounts::make(plan, root.as_fd(), mount)?;
    }
    if plan.fill_dev {
        devices::make(root.as_fd(), &plan.devices, plan.user_namespace)?;
    }
    // Missing is made, as runc does; not reachable for the user is found out later.
    let _ = paths::make_directory(root.as_fd(), &plan.cwd, 0o755);
    Ok(Assembled { root })
}

impl Assembled {
    /// The root, for what the caller still has to put in before [`Assembled::enter`].
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Shows `node` (a terminal) at the path `place`.
    pub(crate) fn show(&self, node: BorrowedFd<'_>, place: &Path) -> Step {
        let failed = || format!("cannot show the terminal at {}", place.display());
        // What is there must not lead elsewhere: to a file of the kernel's, say, that would be hidden by the terminal.
        let place = paths::make_own_file(self.root(), place).step(failed)?;
        let tree = tree::clone_at(node, Recursive::No).step(failed)?;
        tree::attach(tree.as_fd(), place.as_fd()).step(failed)
    }

    /// Hides and protects what has to be, and makes the tree the root of the calling process.
    pub(crate) fn enter(self, plan: &RootfsPlan) -> Step {
        masks::apply(self.root(), plan)?;
        if plan.read_only {
            let change = Change {
                set: attr::RDONLY,
                clear: 0,
            };
            tree::change(self.root(), change, Recursive::No)
                .step(|| "cannot make the root read-only".into())?;
        }
        pivot::enter(plan, self.root)
    }
}
