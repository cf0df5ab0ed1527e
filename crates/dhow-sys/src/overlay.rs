//! Overlay mounts that are attached nowhere.
//!
//! [`OverlayMount::detached`] joins read-only *lower* directories and at most one writable *upper* directory with the
//! new mount API (`fsopen`, `fsconfig`, `fsmount`) and returns the mount as a descriptor. Nobody sees it in any mount
//! namespace; it lives until the descriptor and every place it was moved to are gone, so a process that dies leaves
//! nothing behind. Layers are added one by one (`lowerdir+`, Linux 6.5), hence there is no limit from the one page of
//! options that `mount(2)` takes; the kernel's own limit of 500 layers remains.
//!
//! Older kernels, and paths longer than the 255 bytes that `fsconfig` takes, get the same mount from a short-lived
//! thread in a mount namespace of its own: there the layers have names of one to three digits (symbolic links in a
//! tmpfs), the overlay is mounted with `mount(2)` and cloned off with `open_tree`.
//!
//! The options are those under which an upper directory can be turned back into a layer: no `metacopy`, no
//! `redirect_dir` (a renamed directory is copied, its redirection would mean nothing elsewhere), no `index`, no `xino`.

#![allow(unsafe_code, reason = "this crate is where unsafe code may be")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkdirat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_change,
    open_tree,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// How overlayfs is told to behave, and why: see the module.
const OPTIONS: [(&str, &str); 4] = [
    ("index", "off"),
    ("metacopy", "off"),
    ("redirect_dir", "nofollow"),
    ("xino", "off"),
];

/// The longest value `FSCONFIG_SET_STRING` takes.
const LONGEST_STRING: usize = 255;

/// The directories of one overlay mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OverlayMount {
    /// The read-only layers, topmost first. May be empty when there is an `upper`.
    pub lower: Vec<PathBuf>,
    /// The writable directory, where changes go.
    pub upper: Option<PathBuf>,
    /// An empty directory on the file system of `upper`, for the kernel's own use; needed with `upper`.
    pub work: Option<PathBuf>,
    /// Whether the mount refuses writes even where there is an `upper`.
    pub read_only: bool,
    /// Whether nothing in `upper` needs to survive a loss of power, as it is removed at the end anyway.
    ///
    /// Else the kernel writes the whole file system of `upper` to the disk when the mount ends, which takes from
    /// milliseconds to seconds. With it, `fsync` inside does nothing.
    pub volatile: bool,
}

/// Why there is no mount.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// Neither a lower nor an upper directory, or an upper one without its work directory.
    #[error("overlay mount without {0}")]
    Incomplete(&'static str),
    /// The kernel refuses to start an overlay file system.
    #[error("open overlay file system")]
    Open(#[source] io::Error),
    /// The kernel refuses an option; `value` is the option's value, mostly a path.
    #[error("set overlay option {key}={value}")]
    Option {
        /// The option's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses the mount as a whole; `log` is what it said about it.
    #[error("create overlay mount{log}")]
    Create {
        /// The kernel's messages, empty or beginning with a space.
        log: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A single directory could not be bound.
    #[error("bind {path}")]
    Bind {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A step of the way for older kernels failed.
    #[error("mount overlay in a private namespace: {step}")]
    Private {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl OverlayMount {
    /// Makes the mount; it is attached nowhere and vanishes with its last descriptor.
    ///
    /// With an upper directory only, or one lower only, the "overlay" is a plain (bind) mount of that directory.
    ///
    /// # Errors
    /// When a directory is missing or unfit (an upper directory on a file system without `trusted.*` attributes), when
    /// there are more than 500 layers, or without `CAP_SYS_ADMIN`.
    pub fn detached(&self) -> Result<OwnedFd, OverlayError> {
        match (self.lower.as_slice(), &self.upper, &self.work) {
            ([], None, _) => Err(OverlayError::Incomplete("any directory")),
            ([], Some(only), _) => bind(only, self.read_only),
            ([only], None, _) => bind(only, true),
            (_, Some(_), None) => Err(OverlayError::Incomplete("a work directory")),
            (_, _, Some(work)) => {
                forget_volatile(work);
                self.joined()
            }
            _ => self.joined(),
        }
    }

    fn joined(&self) -> Result<OwnedFd, OverlayError> {
        match self
            .paths()
            .all(|path| path.as_os_str().len() <= LONGEST_STRING)
        {
            true => self.by_steps(),
            false => self.by_private_namespace(),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.lower.iter().chain(&self.upper).chain(&self.work)
    }

    fn attributes(&self) -> MountAttrFlags {
        match self.read_only || self.upper.is_none() {
            true => MountAttrFlags::MOUNT_ATTR_RDONLY,
            false => MountAttrFlags::empty(),
        }
    }

    /// Linux 6.5 and later: one `fsconfig` per layer.
    fn by_steps(&self) -> Result<OwnedFd, OverlayError> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|e| OverlayError::Open(e.into()))?;
        for (index, path) in self.lower.iter().enumerate() {
            match set(&context, "lowerdir+", path) {
                Err(OverlayError::Option { source, .. })
                    if index == 0 && source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) =>
                {
                    return self.by_private_namespace();
                }
                result => result?,
            }
        }
        if let (Some(upper), Some(work)) = (&self.upper, &self.work) {
            set(&context, "upperdir", upper)?;
            set(&context, "workdir", work)?;
        }
        for (key, value) in OPTIONS {
            set(&context, key, Path::new(value))?;
        }
        if self.volatile && self.upper.is_some() {
            fsconfig_set_flag(context.as_fd(), "volatile")
                .map_err(|e| option_error("volatile", Path::new(""), e))?;
        }
        fsconfig_create(context.as_fd()).map_err(|e| OverlayError::Create {
            log: messages(&context),
            source: e.into(),
        })?;
        fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            self.attributes(),
        )
        .map_err(|e| OverlayError::Create {
            log: messages(&context),
            source: e.into(),
        })
    }

    /// Any kernel with the new mount API's `open_tree` (5.2): `mount(2)` where nobody sees it.
    fn by_private_namespace(&self) -> Result<OwnedFd, OverlayError> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn_scoped(scope, || self.in_private_namespace())
                .map_err(|source| OverlayError::Private {
                    step: "start a thread",
                    source,
                })?;
            thread.join().unwrap_or_else(|_| {
                let source = io::Error::other("the thread panicked");
                Err(OverlayError::Private {
                    step: "join the thread",
                    source,
                })
            })
        })
    }

    fn in_private_namespace(&self) -> Result<OwnedFd, OverlayError> {
        let step = |step| {
            move |e: Errno| OverlayError::Private {
                step,
                source: io::Error::from(e),
            }
        };
        // SAFETY: this thread was made for this function and ends with it, so nobody else relies on its mount namespace
        // and working directory; no descriptor table is unshared.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(step("unshare mounts"))?;
        mount_change(
            "/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )
        .map_err(step("stop propagation"))?;
        let scratch = "/proc";
        mount("dhow", scratch, "tmpfs", MountFlags::empty(), None).map_err(step("mount tmpfs"))?;
        rustix::process::chdir(scratch).map_err(step("enter tmpfs"))?;
        for (index, path) in self.lower.iter().enumerate() {
            symlinkat(path, CWD, index.to_string()).map_err(step("name a layer"))?;
        }
        let names: Vec<String> = (0..self.lower.len())
            .map(|index| index.to_string())
            .collect();
        let mut options = format!("lowerdir={}", names.join(":"));
        if let (Some(upper), Some(work)) = (&self.upper, &self.work) {
            symlinkat(upper, CWD, "upper").map_err(step("name the upper directory"))?;
            symlinkat(work, CWD, "work").map_err(step("name the work directory"))?;
            options.push_str(",upperdir=upper,workdir=work");
            options.push_str(if self.volatile { ",volatile" } else { "" });
        }
        for (key, value) in OPTIONS {
            options.push_str(&format!(",{key}={value}"));
        }
        mkdirat(CWD, "merged", Mode::RWXU).map_err(step("make the mount point"))?;
        let flags = match self.attributes().is_empty() {
            true => MountFlags::empty(),
            false => MountFlags::RDONLY,
        };
        let options = std::ffi::CString::new(options).expect("digits and option names have no NUL");
        mount("overlay", "merged", "overlay", flags, options.as_c_str()).map_err(step("mount"))?;
        open_tree(
            CWD,
            "merged",
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )
        .map_err(step("clone the mount"))
    }
}

fn set(context: &OwnedFd, key: &'static str, value: &Path) -> Result<(), OverlayError> {
    fsconfig_set_string(context.as_fd(), key, value).map_err(|e| option_error(key, value, e))
}

fn option_error(key: &'static str, value: &Path, error: Errno) -> OverlayError {
    OverlayError::Option {
        key,
        value: value.display().to_string(),
        source: error.into(),
    }
}

/// Takes away the mark that a volatile mount was here, with which the kernel refuses any further one: it can't know
/// that the machine has not lost power since. Who mounts volatile vouches for it.
fn forget_volatile(work: &Path) {
    let mark = work.join("work/incompat/volatile");
    if std::fs::remove_file(mark.join("dirty")).is_ok() {
        // What can't be removed says something else, and the kernel will too.
        let _ = std::fs::remove_dir(&mark);
        let _ = std::fs::remove_dir(work.join("work/incompat"));
    }
}

/// What the kernel had to say about the file system being made, as ` (...)`.
fn messages(context: &OwnedFd) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0_u8; 512];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]).trim().to_owned();
        if length == 0 || lines.len() == 8 {
            break;
        }
        lines.push(line.trim_start_matches(['e', 'w', 'i']).trim().to_owned());
    }
    match lines.is_empty() {
        true => String::new(),
        false => format!(" ({})", lines.join("; ")),
    }
}

fn bind(path: &Path, read_only: bool) -> Result<OwnedFd, OverlayError> {
    let failed = |e: Errno| OverlayError::Bind {
        path: path.to_owned(),
        source: e.into(),
    };
    let tree = open_tree(
        CWD,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .map_err(failed)?;
    if read_only {
        set_read_only(&tree).map_err(failed)?;
    }
    Ok(tree)
}

fn set_read_only(tree: &OwnedFd) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is an empty NUL-terminated string, `attributes` is a valid `mount_attr` of the size given, and
    // both outlive the call; the kernel keeps no pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

#[cfg(test)]
mod tests;
