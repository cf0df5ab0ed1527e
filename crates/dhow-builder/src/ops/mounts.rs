//! What a command sees besides its root: inputs, caches, memory, secrets, agents.

use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_archive::fd::is_dir;
use dhow_snapshot::{Draft, Mounts};
use tokio::task::JoinHandle;

use super::content::{mounted, plain};
use super::input::{Input, root_mounts};
use super::{TempFolder, blocking};
use crate::cache::{MountLease, MountWanted};
use crate::client::Tree;
use crate::copy::{Copying, copy, shown};
use crate::error::Error;
use crate::executor::{CommandMount, CommandMountKind};
use crate::graph::{MountSource, RunMount, RunOp};
use crate::solve::{Job, Value};

/// The mounts of a command, and what they live on.
#[derive(Default)]
pub(crate) struct Mounted {
    pub(crate) mounts: Vec<CommandMount>,
    /// Variables that come with them: secrets, and where the agent is.
    pub(crate) env: Vec<String>,
    /// What is written to inputs, thrown away at the end.
    drafts: Vec<Draft>,
    trees: Vec<Arc<dyn Tree>>,
    caches: Vec<MountLease>,
    agents: Vec<Agent>,
    folder: Option<TempFolder>,
}

/// A socket that is listened on for as long as this lives.
struct Agent(JoinHandle<()>);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Who may do what with something that is made.
#[derive(Clone, Copy)]
struct Access {
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Has everything there that the command's mounts say.
///
/// # Errors
/// A path of an input, a secret or an agent is missing.
pub(crate) async fn prepare(
    job: &Arc<Job>,
    op: &RunOp,
    inputs: &[Value],
) -> Result<Mounted, Error> {
    let mut mounted = Mounted::default();
    for mount in &op.mounts {
        mounted.add(job, op, mount, inputs).await?;
    }
    for (path, content) in &op.files {
        let access = Access {
            mode: 0o755,
            uid: 0,
            gid: 0,
        };
        let file = mounted.file(job, content, access)?;
        mounted.push(path, true, CommandMountKind::Bind(file));
    }
    Ok(mounted)
}

impl Mounted {
    fn push(&mut self, target: &str, read_only: bool, kind: CommandMountKind) {
        self.mounts.push(CommandMount {
            target: target.to_owned(),
            read_only,
            kind,
        });
    }

    async fn add(
        &mut self,
        job: &Arc<Job>,
        op: &RunOp,
        mount: &RunMount,
        inputs: &[Value],
    ) -> Result<(), Error> {
        let (target, read_only) = (mount.target.as_str(), mount.read_only);
        match &mount.source {
            MountSource::Bind { input, path } => {
                let root = self.input(job, inputs, *input, read_only)?;
                let path = path.clone();
                self.push(target, read_only, CommandMountKind::Overlay { root, path });
            }
            MountSource::Cache { .. } => {
                let lease = cache(job, &mount.source, inputs).await?;
                let path = lease.path.clone();
                self.caches.push(lease);
                self.push(target, read_only, CommandMountKind::Bind(path));
            }
            MountSource::Tmpfs { size } => {
                self.push(target, read_only, CommandMountKind::Tmpfs(*size));
            }
            MountSource::Secret { .. } => self.secret(job, target, &mount.source).await?,
            MountSource::Ssh { .. } => self.agent(job, op, target, &mount.source).await?,
        }
        Ok(())
    }

    /// An input to be mounted; what is written to it goes to a draft that is thrown away.
    fn input(
        &mut self,
        job: &Job,
        inputs: &[Value],
        position: usize,
        read_only: bool,
    ) -> Result<Mounts, Error> {
        let snapshots = &job.cache.config.snapshots;
        let value = inputs
            .get(position)
            .ok_or_else(|| Error::invalid("an input of the command is missing"))?;
        let mut mounts = match value {
            Value::Root(root) => {
                let (mounts, empty) = root_mounts(snapshots, root.chain_id().as_ref())?;
                self.drafts.extend(empty);
                mounts
            }
            Value::Tree(tree, _) => {
                self.trees.push(Arc::clone(tree));
                Mounts {
                    lower: vec![tree.path().to_owned()],
                    read_only: true,
                    ..Mounts::default()
                }
            }
        };
        if !read_only {
            let above = snapshots.draft(None)?;
            let writable = above.mounts();
            mounts = Mounts {
                lower: mounts.lower,
                ..writable
            };
            self.drafts.push(above);
        }
        Ok(mounts)
    }

    async fn secret(&mut self, job: &Job, target: &str, source: &MountSource) -> Result<(), Error> {
        let MountSource::Secret {
            id,
            env,
            file,
            required,
            mode,
            uid,
            gid,
        } = source
        else {
            return Ok(());
        };
        let given = job
            .client
            .secret(id)
            .await
            .map_err(|source| Error::Client {
                what: format!("secret {id}"),
                source,
            })?;
        let Some(secret) = given else {
            return match required {
                true => Err(Error::not_found(format!("secret {id}: not found"))),
                false => Ok(()),
            };
        };
        if let Some(name) = env {
            let text = String::from_utf8(secret.clone()).map_err(|_| {
                Error::invalid(format!("secret {id} is no text, as a variable must be"))
            })?;
            self.env.push(format!("{name}={text}"));
        }
        if *file {
            let access = Access {
                mode: *mode,
                uid: *uid,
                gid: *gid,
            };
            let path = self.file(job, &secret, access)?;
            self.push(target, true, CommandMountKind::Bind(path));
        }
        Ok(())
    }

    /// The folder in memory of this command.
    fn folder(&mut self, job: &Job) -> Result<PathBuf, Error> {
        if self.folder.is_none() {
            self.folder = Some(TempFolder::new(&job.memory)?);
        }
        let folder = self.folder.as_ref().expect("made just now");
        Ok(folder.path().join(self.mounts.len().to_string()))
    }

    fn file(&mut self, job: &Job, content: &[u8], access: Access) -> Result<PathBuf, Error> {
        let path = self.folder(job)?;
        let write = || {
            use std::io::Write;
            let mut options = std::fs::File::options();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(content)?;
            chown(&path, Some(access.uid), Some(access.gid))?;
            set_mode(&path, access.mode)
        };
        write().map_err(|e| Error::file("write", "a file of the command", e))?;
        Ok(path)
    }

    async fn agent(
        &mut self,
        job: &Arc<Job>,
        op: &RunOp,
        target: &str,
        source: &MountSource,
    ) -> Result<(), Error> {
        let MountSource::Ssh {
            id,
            required,
            mode,
            uid,
            gid,
        } = source
        else {
            return Ok(());
        };
        if !job.client.has_agent(id).await {
            return match required {
                true => Err(Error::not_found(format!(
                    "no SSH key {id:?} forwarded from the client"
                ))),
                false => Ok(()),
            };
        }
        let path = self.folder(job)?;
        let access = Access {
            mode: *mode,
            uid: *uid,
            gid: *gid,
        };
        self.agents.push(listen(job, id, &path, access)?);
        self.push(target, true, CommandMountKind::Bind(path));
        let named = |env: &&String| env.starts_with("SSH_AUTH_SOCK=");
        if !op.env.iter().chain(&self.env).any(|env| named(&env)) {
            self.env.push(format!("SSH_AUTH_SOCK={target}"));
        }
        Ok(())
    }
}

/// Forwards connections to a socket to the client's agent.
fn listen(job: &Arc<Job>, id: &str, path: &Path, access: Access) -> Result<Agent, Error> {
    let failed = |e| Error::file("listen on", "the agent's socket", e);
    let listener = tokio::net::UnixListener::bind(path).map_err(failed)?;
    chown(path, Some(access.uid), Some(access.gid))
        .and_then(|()| set_mode(path, access.mode))
        .map_err(failed)?;
    let (client, id) = (Arc::clone(&job.client), id.to_owned());
    Ok(Agent(tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((connection, _)) = listener.accept().await {
            let (client, id) = (Arc::clone(&client), id.clone());
            connections.spawn(async move {
                if let Err(error) = client.agent(&id, connection).await {
                    tracing::debug!(%error, "ssh agent of a build");
                }
            });
            while connections.try_join_next().is_some() {}
        }
    })))
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777))
}

/// Waits for the directory of a cache mount, and fills a new one.
async fn cache(
    job: &Arc<Job>,
    source: &MountSource,
    inputs: &[Value],
) -> Result<MountLease, Error> {
    let MountSource::Cache {
        id,
        sharing,
        from,
        mode,
        uid,
        gid,
    } = source
    else {
        return Err(Error::invalid("not a cache mount"));
    };
    let origin = match from {
        Some((input, path)) => {
            let (job, inputs) = (Arc::clone(job), inputs.to_vec());
            let (input, path) = (*input, path.clone());
            Some(blocking(move || mounted(&job, input, &path, &inputs)).await?)
        }
        None => None,
    };
    let wanted = MountWanted {
        id: id.clone(),
        git: false,
        origin,
        sharing: *sharing,
        mode: *mode,
        uid: *uid,
        gid: *gid,
    };
    let lease = job.cache.mounts.acquire(&wanted).await?;
    job.mounted(id, &lease.path);
    if lease.fresh && imported(job, id, &lease.path).await? {
        return Ok(lease);
    }
    match from {
        Some((input, path)) if lease.fresh => {
            let (job, value) = (Arc::clone(job), inputs.get(*input).cloned());
            let path = path.clone();
            blocking(move || {
                if let Some(value) = value {
                    fill(&job, &value, &path, &lease.path)?;
                }
                Ok(lease)
            })
            .await
        }
        _ => Ok(lease),
    }
}

/// Fills a new cache mount with what an imported cache has; says whether it has something.
async fn imported(job: &Arc<Job>, id: &str, path: &Path) -> Result<bool, Error> {
    let Some(imported) = job.imported() else {
        return Ok(false);
    };
    let Some(blob) = imported.mount(job, id).await else {
        return Ok(false);
    };
    let (job, path) = (Arc::clone(job), path.to_owned());
    blocking(move || {
        let file = job.cache.config.content.open_blob(&blob.digest)?;
        let folder = std::fs::File::open(&path).map_err(|e| Error::file("open", shown(b""), e))?;
        let into = dhow_archive::Destination::find(folder.as_fd(), Path::new("/"))?;
        let options = dhow_archive::UnpackOptions {
            limits: dhow_archive::Limits::for_compressed(blob.size),
            ..dhow_archive::UnpackOptions::default()
        };
        let tar = flate2::bufread::MultiGzDecoder::new(std::io::BufReader::new(file));
        dhow_archive::unpack(tar, &into, &options)?;
        Ok(true)
    })
    .await
}

/// Copies what a new cache mount begins with.
fn fill(job: &Job, value: &Value, path: &str, to: &Path) -> Result<(), Error> {
    let input = Input::open(&job.cache.config.snapshots, value)?;
    let selection = input.select(&plain(0, path))?;
    let target = std::fs::File::open(to).map_err(|e| Error::file("open", shown(b""), e))?;
    let mut copying = Copying {
        root: target.as_fd(),
        owner: None,
        mode: None,
        epoch: None,
        exclude: &selection.exclude,
        foreign: matches!(value, Value::Tree(..)),
        unpack: false,
        cancelled: &job.cancelled,
        links: std::collections::HashMap::new(),
    };
    for selected in selection.sources.iter().filter(|s| is_dir(&s.stat)) {
        copy(input.directory(), selected, "/", &mut copying)?;
    }
    Ok(())
}
