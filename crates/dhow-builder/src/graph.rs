//! What is to be done, as a graph of vertices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dhow_dockerfile::{Lines, MountSharing, Network, Security};
use dhow_oci::{Digest, Platform, Reference};

/// The vertices of a build; the inputs of each stand before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// The vertices.
    pub vertices: Vec<Vertex>,
}

/// The position of a vertex in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexId(pub usize);

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertex {
    /// What it does.
    pub op: Op,
    /// What it needs; ops name these by position.
    pub inputs: Vec<VertexId>,
    /// What people are told, as BuildKit does: `[build 2/5] RUN make`.
    pub name: String,
    /// The platform it is for.
    pub platform: Platform,
    /// Whether it is carried out even when its key is in the cache.
    pub no_cache: bool,
    /// Where it stands in the Dockerfile.
    pub lines: Option<Lines>,
}

/// What a vertex does.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Nothing is below: an empty root.
    Scratch,
    /// An image's root.
    Image(ImageOp),
    /// Files of the client: a tree.
    Local(LocalOp),
    /// A git repository: a tree.
    Git(GitOp),
    /// What a URL leads to: a tree of one file.
    Http(HttpOp),
    /// A command. Input 0 is its root; the result is that root and one more layer.
    Run(Box<RunOp>),
    /// Files made and copied. Input 0 is the root that they are put into; the result is that root and one more layer.
    File(FileOp),
    /// Layers put on others that they do not depend on (`COPY --link`): input 0 is the root below, input 1 a root whose
    /// layers come on top.
    Stack,
}

/// An image's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOp {
    /// The image, as it was asked for, with its tag.
    pub reference: Reference,
    /// The digest its name was resolved to when the build was planned: of a manifest or an index.
    pub digest: Digest,
}

/// Files of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOp {
    /// The name the client knows them by: `context`, `dockerfile`, a named context's name.
    pub name: String,
    /// Only these paths, if any are given: the prefixes of what is copied (no pattern: everything).
    pub follow: Vec<String>,
    /// Patterns of what is left out (`.dockerignore`).
    pub exclude: Vec<String>,
}

/// A git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitOp {
    /// The remote, without its fragment.
    pub remote: String,
    /// The branch, tag or commit; the remote's default if none.
    pub reference: Option<String>,
    /// Only this directory of it.
    pub subdirectory: Option<String>,
    /// The commit it must be.
    pub checksum: Option<String>,
    /// Whether `.git` is kept.
    pub keep_git_dir: bool,
    /// Whether submodules are fetched.
    pub submodules: bool,
    /// The names of secrets that hold a token and a header for the remote.
    pub auth: Option<(String, String)>,
}

/// What a URL leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOp {
    /// The URL.
    pub url: String,
    /// The digest that the content must have.
    pub checksum: Option<Digest>,
    /// What the file is called; by the answer's or URL's name if not said.
    pub file_name: Option<String>,
}

/// A command and what it sees.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOp {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Its environment, `NAME=value`, the build's arguments included.
    pub env: Vec<String>,
    /// Variables that are not part of the cache key: proxies.
    pub unkeyed_env: Vec<String>,
    /// Its working directory.
    pub working_dir: String,
    /// Who runs it, as in `USER`.
    pub user: String,
    /// What is mounted, in this order.
    pub mounts: Vec<RunMount>,
    /// Its network.
    pub network: Network,
    /// How it is confined.
    pub security: Security,
    /// Names of CDI devices, and whether the build fails without them.
    pub devices: Vec<(String, bool)>,
    /// Files that stand in the Dockerfile and are there while the command runs, by path: heredocs of a here-script.
    pub files: Vec<(String, Vec<u8>)>,
    /// What all commands of the build get.
    pub limits: Limits,
}

/// What all commands of a build get; none of it is part of a cache key but the hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Lines of `/etc/hosts` that are added.
    pub hosts: Vec<(String, IpAddr)>,
    /// The host name.
    pub hostname: Option<String>,
    /// The network of commands that ask for none of their own: a name, or `container:` and one; the default bridge if
    /// not said.
    pub network: Option<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// `name`, soft and hard limit.
    pub ulimits: Vec<(String, i64, i64)>,
    /// The parent of the command's control group.
    pub cgroup_parent: Option<String>,
    /// The memory, in bytes, and that with swap.
    pub memory: Option<(i64, i64)>,
    /// CPU shares, quota and period in microseconds.
    pub cpu: Option<(i64, i64, i64)>,
    /// The processors and memory nodes.
    pub cpuset: Option<(String, String)>,
}

/// Something mounted into a command's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    /// Where; absolute.
    pub target: String,
    /// Whether the command can't write to it.
    pub read_only: bool,
    /// What.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A path of an input; what is written is thrown away.
    Bind {
        /// The position of the input.
        input: usize,
        /// The path within it.
        path: String,
    },
    /// A directory that outlives the build.
    Cache {
        /// Its name.
        id: String,
        /// How others share it.
        sharing: MountSharing,
        /// What it begins with: the position of an input and a path within that.
        from: Option<(usize, String)>,
        /// Its permissions, owner and group when it is made.
        mode: u32,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// A file system in memory.
    Tmpfs {
        /// Its largest size in bytes.
        size: Option<u64>,
    },
    /// A secret of the client.
    Secret {
        /// Its name.
        id: String,
        /// The variable that it is put into, instead of a file or beside it.
        env: Option<String>,
        /// Whether there is a file.
        file: bool,
        /// Whether the build fails without it.
        required: bool,
        /// The permissions of the file.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// An agent of the client; `SSH_AUTH_SOCK` leads to it.
    Ssh {
        /// Its name.
        id: String,
        /// Whether the build fails without it.
        required: bool,
        /// The permissions of the socket.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// Files made and copied, one after another, into one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOp {
    /// The actions.
    pub actions: Vec<FileAction>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAction {
    /// Copies.
    Copy(CopyAction),
    /// Makes a file, and the directories above it.
    Make {
        /// Where; ends in `/` never.
        path: String,
        /// What is in it.
        content: Vec<u8>,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        owner: Option<Owner>,
        /// Its time and that of what is made for it; now if not said.
        epoch: Option<i64>,
    },
    /// Makes a directory, and those above it (`WORKDIR`); one that is there stays as it is.
    MakeDirectory {
        /// Where.
        path: String,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        owner: Option<Owner>,
        /// Its time; now if not said.
        epoch: Option<i64>,
    },
}

/// A copy, as `COPY` and `ADD` do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyAction {
    /// The position of the input that is copied from.
    pub input: usize,
    /// Paths within that, with Go's wildcards.
    pub sources: Vec<String>,
    /// Where to; with a `/` at its end it is a directory.
    pub destination: String,
    /// The owner of all that is copied; root's if not said, unless it comes from a stage or image.
    pub owner: Option<Owner>,
    /// The permissions of all that is copied.
    pub mode: Option<ModeChange>,
    /// Whether the parents of what is copied are kept (`--parents`).
    pub parents: bool,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
    /// Whether archives are unpacked in place of copied.
    pub unpack: bool,
    /// Whether it is from a tree of the client, whose owners mean nothing here.
    pub foreign_owners: bool,
    /// The time of what is made but not copied (directories above); now if not said.
    pub epoch: Option<i64>,
}

/// An owner, by names or numbers, resolved in the root it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: String,
    /// The group; the user's if not said.
    pub group: Option<String>,
}

/// `--chmod`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// All bits.
    Octal(u32),
    /// As `chmod` takes it: `u=rwX,go=rX`.
    Symbolic(String),
}

/// Build arguments and the like, by name.
pub type Arguments = BTreeMap<String, String>;
