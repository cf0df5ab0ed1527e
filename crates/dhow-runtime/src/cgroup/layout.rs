//! Which hierarchies of control groups this machine has, and where a group stands in them.

use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use super::Version;

/// A mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// The name of its directory: `memory`, `cpu,cpuacct`, `systemd`.
    pub(crate) name: String,
    /// Its controllers, or `name=systemd`.
    pub(crate) controllers: Vec<String>,
    /// Where it is mounted.
    pub(crate) mountpoint: PathBuf,
}

impl Hierarchy {
    /// The names under which people look for a hierarchy of several controllers.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = &str> {
        let several = self.controllers.len() > 1;
        self.controllers
            .iter()
            .map(String::as_str)
            .filter(move |controller| several && *controller != self.name)
    }

    /// The options to mount it again.
    pub(crate) fn mount_options(&self) -> Vec<&str> {
        self.controllers.iter().map(String::as_str).collect()
    }
}

/// What this machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) version: Version,
    /// v1 only.
    pub(crate) hierarchies: Vec<Hierarchy>,
    /// The top of the v2 tree, where there is one.
    pub(crate) unified: Option<PathBuf>,
}

/// The layout of this machine, looked up once.
pub(crate) fn layout() -> &'static Layout {
    static LAYOUT: OnceLock<Layout> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Layout::parse(&text)
    })
}

impl Layout {
    /// Understands `/proc/self/mountinfo`.
    pub(crate) fn parse(mountinfo: &str) -> Self {
        let mut layout = Self {
            version: Version::V2,
            hierarchies: Vec::new(),
            unified: None,
        };
        for line in mountinfo.lines() {
            let Some((front, back)) = line.split_once(" - ") else {
                continue;
            };
            let Some(mountpoint) = front.split(' ').nth(4) else {
                continue;
            };
            let mountpoint = PathBuf::from(mountpoint);
            let mut back = back.split(' ');
            match back.next() {
                Some("cgroup2") if layout.unified.is_none() => layout.unified = Some(mountpoint),
                Some("cgroup") => layout.add(mountpoint, back.nth(1).unwrap_or_default()),
                _ => {}
            }
        }
        if layout
            .hierarchies
            .iter()
            .any(|one| !one.controllers[0].starts_with("name="))
        {
            layout.version = Version::V1;
        } else {
            layout.hierarchies.clear();
        }
        layout
    }

    fn add(&mut self, mountpoint: PathBuf, options: &str) {
        const FLAGS: [&str; 6] = ["rw", "ro", "clone_children", "noprefix", "xattr", "none"];
        let controllers: Vec<String> = options
            .split(',')
            .filter(|option| !FLAGS.contains(option) && !option.starts_with("release_agent="))
            .map(str::to_owned)
            .collect();
        let name = mountpoint
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let (Some(name), false) = (name, controllers.is_empty()) else {
            return;
        };
        // The same hierarchy may be mounted in several places; the first one counts.
        if !self
            .hierarchies
            .iter()
            .any(|known| known.controllers == controllers)
        {
            self.hierarchies.push(Hierarchy {
                name,
                controllers,
                mountpoint,
            });
        }
    }
}

/// The path of a group below the top of a hierarchy: `/docker/id` as it is, systemd's `slice:prefix:name` as systemd
/// would lay it out, relative ones below `own`. Nothing leads above the top.
pub(crate) fn path_below(path: &Path, own: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    let parts: Vec<&str> = text.split(':').collect();
    let path = match parts.as_slice() {
        [slice, prefix, name] => systemd_path(slice, prefix, name),
        _ if path.is_absolute() => path.to_owned(),
        _ => own.join(path),
    };
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

fn systemd_path(slice: &str, prefix: &str, name: &str) -> PathBuf {
    let mut path = PathBuf::from("/");
    let slice = if slice.is_empty() {
        "system.slice"
    } else {
        slice
    };
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    if stem != "-" {
        let mut so_far = String::new();
        for part in stem.split('-').filter(|part| !part.is_empty()) {
            if !so_far.is_empty() {
                so_far.push('-');
            }
            so_far.push_str(part);
            path.push(format!("{so_far}.slice"));
        }
    }
    let unit = if name.contains('.') {
        name.to_owned()
    } else if prefix.is_empty() {
        format!("{name}.scope")
    } else {
        format!("{prefix}-{name}.scope")
    };
    path.join(unit)
}

/// The lines of `/proc/<pid>/cgroup`: the controllers (empty for v2) and the path.
pub(crate) fn membership(text: &str) -> Vec<(Vec<String>, PathBuf)> {
    let line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        let path = PathBuf::from(parts.next()?);
        let controllers = controllers
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        Some((controllers, path))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 30 0:29 / /mnt/again rw - cgroup cgroup rw,memory
";

    #[test]
    fn hybrid_is_v1_with_a_unified_tree() {
        let layout = Layout::parse(HYBRID);
        assert_eq!(layout.version, Version::V1);
        assert_eq!(
            layout.unified.as_deref(),
            Some(Path::new("/sys/fs/cgroup/unified"))
        );
        let names: Vec<&str> = layout
            .hierarchies
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, ["cpu,cpuacct", "memory", "systemd"]);
        assert_eq!(
            layout.hierarchies[0].aliases().collect::<Vec<_>>(),
            ["cpu", "cpuacct"]
        );
        assert_eq!(layout.hierarchies[2].mount_options(), ["name=systemd"]);
    }

    #[test]
    fn one_tree_is_v2() {
        let layout =
            Layout::parse("31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
        assert_eq!(layout.version, Version::V2);
        assert!(layout.hierarchies.is_empty());
    }

    #[test]
    fn paths_stay_below_the_top() {
        let own = Path::new("/own");
        let cases = [
            ("/docker/id", "docker/id"),
            ("id", "own/id"),
            ("/../../etc", "etc"),
            ("system.slice:docker:id", "system.slice/docker-id.scope"),
            ("a-b.slice:p:n", "a.slice/a-b.slice/p-n.scope"),
            ("-.slice::n", "n.scope"),
        ];
        for (path, expected) in cases {
            assert_eq!(
                path_below(Path::new(path), own),
                Path::new(expected),
                "{path}"
            );
        }
    }

    #[test]
    fn membership_lines_are_understood() {
        let lines = membership("9:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c\n");
        assert_eq!(
            lines[0],
            (vec!["cpu".into(), "cpuacct".into()], PathBuf::from("/a"))
        );
        assert_eq!(lines[2], (vec![], PathBuf::from("/c")));
    }
}
