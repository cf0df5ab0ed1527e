//! What results are known by.
//!
//! A key is the digest of everything that a result depends on: what the op says, the chain ids of the roots it stands on,
//! and the content of the files it takes. Each part is written with its length, so that no two operations look alike.
//! Secrets are no part of it, nor are proxies and limits.

use dhow_oci::{Digest, Hasher};

use crate::graph::{
    CopyAction, FileAction, FileOp, ModeChange, MountSource, Op, Owner, RunMount, RunOp, Vertex,
};

/// Changes when the same operation gives something else than it did in an earlier release.
const GENERATION: &str = "dhow build 1";

/// Writes a key.
pub(crate) struct KeyWriter(Hasher);

impl KeyWriter {
    pub(crate) fn new(kind: &str) -> Self {
        let mut writer = Self(Hasher::new());
        writer.text(GENERATION).text(kind);
        writer
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.bytes(text.as_ref().as_bytes())
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(crate) fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.update(digest.as_bytes());
        self
    }

    /// Something that may be missing.
    pub(crate) fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T),
    ) -> &mut Self {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    fn list<T>(&mut self, values: &[T], write: impl Fn(&mut Self, &T)) -> &mut Self {
        self.number(values.len() as u64);
        for value in values {
            write(self, value);
        }
        self
    }

    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// What a vertex is known by in its build, the digests of its inputs given; equal vertices are one.
pub(crate) fn vertex(vertex: &Vertex, inputs: &[Digest]) -> Digest {
    let mut key = KeyWriter::new("vertex");
    key.list(inputs, |key, input| {
        key.digest(input);
    });
    key.text(vertex.platform.to_string())
        .number(u64::from(vertex.no_cache));
    op(&mut key, &vertex.op);
    key.finish()
}

/// What an op says.
pub(crate) fn op(key: &mut KeyWriter, op: &Op) {
    match op {
        Op::Scratch => {
            key.text("scratch");
        }
        Op::Image(op) => {
            key.text("image")
                .text(op.reference.name())
                .digest(&op.digest);
        }
        Op::Local(op) => {
            key.text("local").text(&op.name);
            key.list(&op.follow, |key, path| {
                key.text(path);
            });
            key.list(&op.exclude, |key, pattern| {
                key.text(pattern);
            });
        }
        Op::Git(op) => {
            key.text("git").text(format!("{op:?}"));
        }
        Op::Http(op) => {
            key.text("http").text(format!("{op:?}"));
        }
        Op::Run(op) => run(key, op),
        Op::File(op) => file(key, op),
        Op::Stack => {
            key.text("stack");
        }
    }
}

fn run(key: &mut KeyWriter, op: &RunOp) {
    let text = |key: &mut KeyWriter, text: &String| {
        key.text(text);
    };
    key.text("run").list(&op.args, text).list(&op.env, text);
    key.text(&op.working_dir).text(&op.user);
    key.list(&op.mounts, mount);
    key.text(format!("{:?} {:?}", op.network, op.security));
    key.list(&op.devices, |key, (name, required)| {
        key.text(name).number(u64::from(*required));
    });
    key.list(&op.files, |key, (path, content)| {
        key.text(path).bytes(content);
    });
    key.list(&op.limits.hosts, |key, (name, address)| {
        key.text(name).text(address.to_string());
    });
}

fn mount(key: &mut KeyWriter, mount: &RunMount) {
    key.text(&mount.target).number(u64::from(mount.read_only));
    match &mount.source {
        MountSource::Bind { input, path } => {
            key.text("bind").number(*input as u64).text(path);
        }
        MountSource::Cache { id, from, .. } => {
            key.text("cache").text(id);
            key.option(from.as_ref(), |key, (input, path)| {
                key.number(*input as u64).text(path);
            });
        }
        MountSource::Tmpfs { size } => {
            key.text("tmpfs").option(*size, |key, size| {
                key.number(size);
            });
        }
        MountSource::Secret {
            id,
            env,
            file,
            mode,
            uid,
            gid,
            ..
        } => {
            key.text("secret").text(id).number(u64::from(*file));
            key.option(env.as_ref(), |key, env| {
                key.text(env);
            });
            owner_and_mode(key, *mode, *uid, *gid);
        }
        MountSource::Ssh {
            id, mode, uid, gid, ..
        } => {
            key.text("ssh").text(id);
            owner_and_mode(key, *mode, *uid, *gid);
        }
    }
}

fn owner_and_mode(key: &mut KeyWriter, mode: u32, uid: u32, gid: u32) {
    key.number(mode.into())
        .number(uid.into())
        .number(gid.into());
}

fn file(key: &mut KeyWriter, op: &FileOp) {
    key.text("file").list(&op.actions, action);
}

fn action(key: &mut KeyWriter, action: &FileAction) {
    let epoch = |key: &mut KeyWriter, epoch: i64| {
        key.bytes(&epoch.to_le_bytes());
    };
    match action {
        FileAction::Copy(action) => {
            copy(key, action);
            key.option(action.epoch, epoch);
        }
        FileAction::Make {
            path,
            content,
            mode,
            owner: who,
            epoch: time,
        } => {
            key.text("make").text(path).bytes(content);
            key.number((*mode).into());
            key.option(who.as_ref(), owner).option(*time, epoch);
        }
        FileAction::MakeDirectory {
            path,
            mode,
            owner: who,
            epoch: time,
        } => {
            key.text("mkdir").text(path).number((*mode).into());
            key.option(who.as_ref(), owner).option(*time, epoch);
        }
    }
}

fn copy(key: &mut KeyWriter, action: &CopyAction) {
    let text = |key: &mut KeyWriter, text: &String| {
        key.text(text);
    };
    key.text("copy").number(action.input as u64);
    key.list(&action.sources, text).text(&action.destination);
    key.option(action.owner.as_ref(), owner);
    key.option(action.mode.as_ref(), |key, mode| {
        match mode {
            ModeChange::Octal(mode) => key.text("octal").number((*mode).into()),
            ModeChange::Symbolic(text) => key.text("symbolic").text(text),
        };
    });
    key.list(&action.exclude, text);
    let flags = [action.parents, action.unpack, action.foreign_owners];
    key.list(&flags, |key, flag| {
        key.number(u64::from(*flag));
    });
}

fn owner(key: &mut KeyWriter, owner: &Owner) {
    key.text(&owner.user);
    key.option(owner.group.as_ref(), |key, group| {
        key.text(group);
    });
}
