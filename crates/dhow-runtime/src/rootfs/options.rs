//! Mount options as `mount(8)` and the runtime specification write them, parsed once, before anything is cloned.

use std::path::PathBuf;

use dhow_sys::mount::attr;

use crate::spec::Mount;

/// `MS_*` values of a mount's propagation, as `mount_setattr` takes them.
mod propagation {
    pub(super) const UNBINDABLE: u64 = 1 << 17;
    pub(super) const PRIVATE: u64 = 1 << 18;
    pub(super) const SLAVE: u64 = 1 << 19;
    pub(super) const SHARED: u64 = 1 << 20;
}

/// A mount of the specification, understood.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct MountPlan {
    /// Where in the container.
    pub(crate) destination: PathBuf,
    /// The file system's type; empty for a bind mount.
    pub(crate) kind: String,
    /// The host's path, device or name.
    pub(crate) source: PathBuf,
    /// A bind mount, and whether with what is mounted below.
    pub(crate) bind: Option<Recursive>,
    /// Attributes of the one mount.
    pub(crate) attributes: Change,
    /// Attributes of it and all below it (`rro`).
    pub(crate) recursive: Change,
    /// Propagation types, in their order, each for the one mount or for all below it.
    pub(crate) propagation: Vec<(u64, Recursive)>,
    /// Options of the file system itself: `key` or `key=value`.
    pub(crate) data: Vec<String>,
    /// Copy what the image has at the place into the new tmpfs.
    pub(crate) copy_up: bool,
    /// Map owners through a user namespace.
    pub(crate) id_mapped: Option<Recursive>,
    /// What below the source is mounted in its place; the kernel resolves it and does not let it lead out of the source.
    pub(crate) subpath: Option<PathBuf>,
}

/// The option that names a path below the source; its value is taken as it is. Docker's subpaths of volumes and images
/// need it: a path of the host that leads there could be made to lead elsewhere by whoever writes to the volume.
pub(crate) const SUBPATH: &str = "dhow.subpath=";

/// Whether something goes for the mounts below too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recursive {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Mount attributes to set and to clear.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub(crate) clear: u64,
}

impl Change {
    /// Whether there is nothing to change.
    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }

    fn apply(&mut self, attribute: u64, on: bool) {
        // The access time settings are one field of several values, not bits.
        let field = if attribute & attr::ATIME != 0 {
            attr::ATIME
        } else {
            attribute
        };
        self.set &= !field;
        if on {
            self.set |= attribute;
            self.clear |= field & attr::ATIME;
        } else {
            self.clear |= field;
        }
    }

    fn relatime(&mut self) {
        self.set &= !attr::ATIME;
        self.clear |= attr::ATIME;
    }
}

impl MountPlan {
    /// Understands a mount of the specification.
    pub(crate) fn parse(mount: &Mount) -> Self {
        let mut plan = Self {
            destination: mount.destination().clone(),
            kind: mount.typ().clone().unwrap_or_default(),
            source: mount.source().clone().unwrap_or_default(),
            ..Self::default()
        };
        for option in mount.options().iter().flatten() {
            plan.option(option);
        }
        if plan.kind == "bind" && plan.bind.is_none() {
            plan.bind = Some(Recursive::No);
        }
        if mount
            .uid_mappings()
            .as_ref()
            .is_some_and(|mappings| !mappings.is_empty())
            && plan.id_mapped.is_none()
        {
            plan.id_mapped = Some(Recursive::No);
        }
        plan
    }

    fn option(&mut self, option: &str) {
        match option {
            "defaults" | "loud" | "silent" | "remount" | "norelatime" | "rnorelatime" => {}
            "bind" => self.bind = Some(Recursive::No),
            "rbind" => self.bind = Some(Recursive::Yes),
            "tmpcopyup" | "copy-up" => self.copy_up = true,
            "idmap" => self.id_mapped = Some(Recursive::No),
            "ridmap" => self.id_mapped = Some(Recursive::Yes),
            _ => {
                if let Some(path) = option.strip_prefix(SUBPATH) {
                    self.subpath = Some(path.into());
                } else if let Some((kind, recursive)) = propagation_named(option) {
                    self.propagation.push((kind, recursive));
                } else if let Some((attribute, on)) = attribute_named(option) {
                    set(&mut self.attributes, attribute, on);
                } else if let Some((attribute, on)) =
                    option.strip_prefix('r').and_then(attribute_named)
                {
                    set(&mut self.recursive, attribute, on);
                } else {
                    self.data.push(option.to_owned());
                }
            }
        }
    }
}

fn set(change: &mut Change, attribute: u64, on: bool) {
    if attribute == attr::RELATIME {
        change.relatime()
    } else {
        change.apply(attribute, on)
    }
}

/// The propagation type of an option such as `rslave`, and of `rootfsPropagation`.
pub(crate) fn propagation_named(name: &str) -> Option<(u64, Recursive)> {
    let (name, recursive) = match name.strip_prefix('r') {
        Some(rest) => (rest, Recursive::Yes),
        None => (name, Recursive::No),
    };
    let kind = match name {
        "shared" => propagation::SHARED,
        "slave" => propagation::SLAVE,
        "private" => propagation::PRIVATE,
        "unbindable" => propagation::UNBINDABLE,
        _ => return None,
    };
    Some((kind, recursive))
}

/// Whether a propagation type lets mounts out again.
pub(crate) fn is_shared(kind: u64) -> bool {
    kind == propagation::SHARED
}

/// The propagation a container's mounts get when nothing is said.
pub(crate) const DEFAULT_PROPAGATION: u64 = propagation::SLAVE;

/// The propagation that keeps mounts to themselves.
pub(crate) const PRIVATE: u64 = propagation::PRIVATE;

/// The options that are understood, besides the ones of file systems.
pub(crate) const NAMES: &[&str] = &[
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "exec",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "rexec",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "tmpcopyup",
    "unbindable",
];

fn attribute_named(name: &str) -> Option<(u64, bool)> {
    Some(match name {
        "ro" => (attr::RDONLY, true),
        "rw" => (attr::RDONLY, false),
        "nosuid" => (attr::NOSUID, true),
        "suid" => (attr::NOSUID, false),
        "nodev" => (attr::NODEV, true),
        "dev" => (attr::NODEV, false),
        "noexec" => (attr::NOEXEC, true),
        "exec" => (attr::NOEXEC, false),
        "noatime" => (attr::NOATIME, true),
        "atime" => (attr::NOATIME, false),
        "strictatime" => (attr::STRICTATIME, true),
        "nostrictatime" => (attr::STRICTATIME, false),
        "relatime" => (attr::RELATIME, true),
        "nodiratime" => (attr::NODIRATIME, true),
        "diratime" => (attr::NODIRATIME, false),
        "nosymfollow" => (attr::NOSYMFOLLOW, true),
        "symfollow" => (attr::NOSYMFOLLOW, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::spec::MountBuilder;

    fn plan(options: &[&str]) -> MountPlan {
        let options: Vec<String> = options.iter().map(|text| (*text).to_owned()).collect();
        let mount = MountBuilder::default()
            .destination("/x")
            .options(options)
            .build()
            .unwrap();
        MountPlan::parse(&mount)
    }

    #[test]
    fn attributes_add_up_and_the_last_one_counts() {
        let plan = plan(&["nosuid", "ro", "rw", "noexec", "exec", "nodev"]);
        assert_eq!(plan.attributes.set, attr::NOSUID | attr::NODEV);
        assert_eq!(plan.attributes.clear, attr::RDONLY | attr::NOEXEC);
    }

    #[test]
    fn access_time_is_one_setting_of_several_values() {
        let strict = plan(&["noatime", "strictatime"]);
        assert_eq!(
            strict.attributes,
            Change {
                set: attr::STRICTATIME,
                clear: attr::ATIME
            }
        );
        let relative = plan(&["noatime", "relatime"]);
        assert_eq!(
            relative.attributes,
            Change {
                set: 0,
                clear: attr::ATIME
            }
        );
    }

    #[test]
    fn recursive_forms_and_propagation_are_told_from_data() {
        let plan = plan(&[
            "rbind",
            "rro",
            "rslave",
            "shared",
            "size=64k",
            "dhow.subpath=ro/x",
            "mode=1777",
            "sync",
        ]);
        assert_eq!(plan.bind, Some(Recursive::Yes));
        assert_eq!(plan.recursive.set, attr::RDONLY);
        let expected = [
            (propagation::SLAVE, Recursive::Yes),
            (propagation::SHARED, Recursive::No),
        ];
        assert_eq!(plan.propagation, expected);
        assert_eq!(plan.data, ["size=64k", "mode=1777", "sync"]);
        assert_eq!(plan.subpath, Some("ro/x".into()));
    }
}
