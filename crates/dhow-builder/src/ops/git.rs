//! A git repository, fetched by the `git` program.
//!
//! That is what knows every server, and what people have set up. It sees nothing of this machine: no settings, no hooks,
//! no credentials but those of the build, and it speaks the network's protocols only. What it fetches is kept, so that
//! the next build fetches what is new.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use dhow_archive::fd::{is_dir, open_in_root};
use dhow_dockerfile::MountSharing;
use rustix::fs::{OFlags, fstat};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::{FolderTree, TempFolder};
use crate::cache::MountWanted;
use crate::client::Tree;
use crate::copy::failed;
use crate::error::Error;
use crate::graph::GitOp;
use crate::solve::{Job, Told};

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The most that is read of an answer.
const LARGEST_ANSWER: u64 = 1 << 20;
/// What URLs may begin with; a file of this machine is nobody's repository.
const SCHEMES: [&str; 4] = ["https://", "http://", "ssh://", "git://"];

/// What one run of git is to know.
struct Git<'a> {
    repository: PathBuf,
    env: Vec<(String, OsString)>,
    told: &'a Told,
}

/// Fetches what is asked for and checks it out.
///
/// # Errors
/// The remote is not allowed or not reached, has no such thing, or has another commit than it must.
pub(crate) async fn fetch(job: &Arc<Job>, op: &GitOp, told: &Told) -> Result<Arc<dyn Tree>, Error> {
    let work = fetch_all(job, op, told);
    tokio::time::timeout(TIMEOUT, work)
        .await
        .map_err(|_| Error::Remote(format!("failed to fetch {}: it takes too long", op.remote)))?
}

async fn fetch_all(job: &Arc<Job>, op: &GitOp, told: &Told) -> Result<Arc<dyn Tree>, Error> {
    let remote = allowed(&op.remote)?;
    let folder = &job.cache.config.folder;
    // Two builds of one repository do it one after the other.
    let wanted = MountWanted {
        id: op.remote.clone(),
        git: true,
        origin: None,
        sharing: MountSharing::Locked,
        mode: 0o700,
        uid: 0,
        gid: 0,
    };
    let repository = job.cache.mounts.acquire(&wanted).await?;
    let scratch = TempFolder::new(&folder.join("work"))?;
    let agent = agent(job, scratch.path()).await?;
    let git = Git {
        repository: repository.path.clone(),
        env: environment(job, op, agent.as_ref().map(|(path, _)| path.as_path())).await?,
        told,
    };
    git.prepare().await?;
    let commit = git.fetch(&remote, op).await?;
    if let Some(expected) = &op.checksum
        && !commit.starts_with(expected.as_str())
    {
        return Err(Error::Remote(format!(
            "expected checksum to match {expected}, got {commit}"
        )));
    }
    let tree = scratch.path().join("tree");
    git.check_out(&remote, &commit, &tree, op).await?;
    let path = subdirectory(&tree, op)?;
    Ok(Arc::new(FolderTree::new(scratch, path)))
}

/// The remote as git takes it.
fn allowed(remote: &str) -> Result<String, Error> {
    let refused = || Error::invalid(format!("invalid git remote {remote:?}"));
    if remote.starts_with('-') || remote.contains(['\0', '\n']) {
        return Err(refused());
    }
    if SCHEMES.iter().any(|scheme| remote.starts_with(scheme)) {
        return Ok(remote.to_owned());
    }
    // `git@github.com:user/repository`
    let scp = remote.split_once(':').is_some_and(|(host, path)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        !host.is_empty() && host.chars().all(plain) && !path.starts_with(':')
    });
    // Not another scheme's URL, nor a remote helper's.
    match scp && !remote.contains("://") && !remote.contains("::") {
        true => Ok(remote.to_owned()),
        false => Err(refused()),
    }
}

/// All that git is told, besides its arguments.
async fn environment(
    job: &Job,
    op: &GitOp,
    agent: Option<&Path>,
) -> Result<Vec<(String, OsString)>, Error> {
    let ssh = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no \
               -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=30";
    let mut settings: Vec<(String, String)> = [
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("credential.helper", ""),
        ("protocol.allow", "never"),
        ("protocol.https.allow", "always"),
        ("protocol.http.allow", "always"),
        ("protocol.ssh.allow", "always"),
        ("protocol.git.allow", "always"),
        ("gc.auto", "0"),
        ("advice.detachedHead", "false"),
        ("http.lowSpeedLimit", "1"),
        ("http.lowSpeedTime", "60"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    if let Some(header) = authorization(job, op).await? {
        let url = origin(&op.remote);
        settings.push((format!("http.{url}.extraheader"), header));
    }
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut env: Vec<(String, OsString)> = [
        ("PATH", path),
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ALLOW_PROTOCOL", "https:http:ssh:git"),
        ("GIT_SSH_COMMAND", ssh),
    ]
    .map(|(key, value)| (key.to_owned(), value.into()))
    .to_vec();
    env.push(("GIT_CONFIG_COUNT".into(), settings.len().to_string().into()));
    for (n, (key, value)) in settings.into_iter().enumerate() {
        env.push((format!("GIT_CONFIG_KEY_{n}"), key.into()));
        env.push((format!("GIT_CONFIG_VALUE_{n}"), value.into()));
    }
    if let Some(agent) = agent {
        env.push(("SSH_AUTH_SOCK".into(), agent.as_os_str().to_owned()));
    }
    Ok(env)
}

/// The header that the client's secrets make.
async fn authorization(job: &Job, op: &GitOp) -> Result<Option<String>, Error> {
    let Some((token, header)) = &op.auth else {
        return Ok(None);
    };
    let secret = |source| Error::Client {
        what: "git credentials".into(),
        source,
    };
    if let Some(header) = job.client.secret(header).await.map_err(secret)? {
        let text = String::from_utf8_lossy(&header).trim().to_owned();
        return Ok(Some(format!("Authorization: {text}")));
    }
    let token = job.client.secret(token).await.map_err(secret)?;
    Ok(token.map(|token| {
        let token = String::from_utf8_lossy(&token).trim().to_owned();
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        format!("Authorization: basic {basic}")
    }))
}

/// Scheme and host of a URL, which credentials are for.
fn origin(remote: &str) -> String {
    match url::Url::parse(remote) {
        Ok(url) => format!("{}/", url.origin().ascii_serialization()),
        Err(_) => remote.to_owned(),
    }
}

type Agent = (PathBuf, tokio::task::JoinHandle<()>);

/// A socket that leads to the client's agent, if it has one.
async fn agent(job: &Arc<Job>, folder: &Path) -> Result<Option<Agent>, Error> {
    const ID: &str = "default";
    if !job.client.has_agent(ID).await {
        return Ok(None);
    }
    let path = folder.join("agent");
    let listener = tokio::net::UnixListener::bind(&path)
        .map_err(|e| Error::file("listen on", "the agent's socket", e))?;
    let client = Arc::clone(&job.client);
    let task = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                if let Err(error) = client.agent(ID, connection).await {
                    tracing::debug!(%error, "ssh agent for git");
                }
            });
        }
    });
    Ok(Some((path, task)))
}

impl Git<'_> {
    /// Has an empty repository there, if it is new.
    async fn prepare(&self) -> Result<(), Error> {
        if self.repository.join("HEAD").exists() {
            return self.clear_up();
        }
        self.run(&self.repository, &["init", "--bare", "--quiet"])
            .await
            .map(drop)
    }

    /// Removes what a git that was killed has left: nobody else has the repository now.
    fn clear_up(&self) -> Result<(), Error> {
        let failed = |e| Error::file("clear up", "git repository", e);
        for (folder, is_left) in [
            (self.repository.clone(), ".lock"),
            (self.repository.join("objects/pack"), "tmp_"),
        ] {
            for entry in std::fs::read_dir(folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(is_left) || name.starts_with(is_left) {
                    std::fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// Fetches what is asked for; gives the commit.
    async fn fetch(&self, remote: &str, op: &GitOp) -> Result<String, Error> {
        let reference = match &op.reference {
            Some(reference) => reference.clone(),
            None => "HEAD".to_owned(),
        };
        if reference.starts_with('-') || reference.contains(['\0', '\n', ' ', ':']) {
            return Err(Error::invalid(format!(
                "invalid git reference {reference:?}"
            )));
        }
        if is_commit(&reference) && self.has(&reference).await {
            return Ok(reference);
        }
        let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--force"];
        if !op.keep_git_dir || !is_commit(&reference) {
            arguments.push("--depth=1");
        }
        arguments.extend(["--", remote, reference.as_str()]);
        let mut fetched = self.run(&self.repository, &arguments).await;
        if matches!(&fetched, Err(error) if error.to_string().contains("shallow")) {
            // A server of plain files gives all of the history or none.
            arguments.retain(|argument| *argument != "--depth=1");
            fetched = self.run(&self.repository, &arguments).await;
        }
        if let (Err(error), true) = (&fetched, is_commit(&reference)) {
            // Not every server gives a commit by its number: then everything is fetched.
            tracing::debug!(%error, "fetching a commit by its number");
            let all = [
                "fetch",
                "--quiet",
                "--tags",
                "--force",
                "--",
                remote,
                "+refs/heads/*:refs/remotes/all/*",
            ];
            self.run(&self.repository, &all).await?;
            return self.resolve(&reference).await;
        }
        fetched?;
        self.resolve("FETCH_HEAD").await
    }

    async fn has(&self, commit: &str) -> bool {
        let name = format!("{commit}^{{commit}}");
        self.run(&self.repository, &["cat-file", "-e", &name])
            .await
            .is_ok()
    }

    async fn resolve(&self, name: &str) -> Result<String, Error> {
        let name = format!("{name}^{{commit}}");
        let answer = self
            .run(&self.repository, &["rev-parse", "--verify", &name])
            .await?;
        let commit = answer.trim().to_owned();
        match is_commit(&commit) {
            true => Ok(commit),
            false => Err(Error::Remote(format!("git says {commit:?} is a commit"))),
        }
    }

    /// Puts the files of a commit into the new directory `tree`.
    async fn check_out(
        &self,
        remote: &str,
        commit: &str,
        tree: &Path,
        op: &GitOp,
    ) -> Result<(), Error> {
        std::fs::create_dir(tree).map_err(|e| Error::file("make", "git checkout", e))?;
        let shared = self.repository.display().to_string();
        self.run(tree, &["init", "--quiet", "."]).await?;
        let alternates = tree.join(".git/objects/info/alternates");
        std::fs::write(&alternates, format!("{shared}/objects\n"))
            .map_err(|e| Error::file("write", "git checkout", e))?;
        if self.repository.join("shallow").exists() {
            std::fs::copy(self.repository.join("shallow"), tree.join(".git/shallow"))
                .map_err(|e| Error::file("write", "git checkout", e))?;
        }
        self.run(tree, &["remote", "add", "origin", "--", remote])
            .await?;
        self.run(
            tree,
            &["checkout", "--quiet", "--force", "--detach", commit],
        )
        .await?;
        if op.submodules && tree.join(".gitmodules").exists() {
            let update = [
                "submodule",
                "update",
                "--quiet",
                "--init",
                "--recursive",
                "--depth=1",
            ];
            self.run(tree, &update).await?;
        }
        match op.keep_git_dir {
            true => {
                // The files must not need this machine's folders.
                self.run(tree, &["repack", "-a", "-d", "-q"]).await?;
                std::fs::remove_file(&alternates)
                    .map_err(|e| Error::file("write", "git checkout", e))
            }
            false => std::fs::remove_dir_all(tree.join(".git"))
                .map_err(|e| Error::file("remove", "git checkout", e)),
        }
    }

    /// Runs git in a folder; gives what it prints.
    async fn run(&self, folder: &Path, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0);
        let mut child = command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::Invalid {
                text: "the git program is not installed".into(),
                location: None,
                hint: Some("install git on the machine of the engine".into()),
            },
            _ => Error::file("start", "git", e),
        })?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let mut answer = Vec::new();
        let read = async {
            match output {
                Some(output) => output.take(LARGEST_ANSWER).read_to_end(&mut answer).await,
                None => Ok(0),
            }
        };
        let (read, said) = tokio::join!(read, self.listen(errors));
        read.map_err(|e| Error::file("read", "git", e))?;
        let status = child
            .wait()
            .await
            .map_err(|e| Error::file("wait for", "git", e))?;
        match status.success() {
            true => Ok(String::from_utf8_lossy(&answer).into_owned()),
            false => Err(Error::Remote(format!(
                "failed to fetch git repository: git {}: {}",
                arguments.first().unwrap_or(&""),
                said.trim()
            ))),
        }
    }

    /// Tells what git complains about; gives the last of it.
    async fn listen(&self, errors: Option<tokio::process::ChildStderr>) -> String {
        let Some(errors) = errors else {
            return String::new();
        };
        let mut lines = BufReader::new(errors.take(LARGEST_ANSWER)).split(b'\n');
        let mut last = String::new();
        while let Ok(Some(mut line)) = lines.next_segment().await {
            let text = String::from_utf8_lossy(&line).into_owned();
            if !text.trim().is_empty() {
                last = text;
            }
            line.push(b'\n');
            self.told.log(2, &line);
        }
        last
    }
}

fn is_commit(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The directory that is asked for; what leads to it must not lead out of the repository.
fn subdirectory(tree: &Path, op: &GitOp) -> Result<PathBuf, Error> {
    let Some(wanted) = op
        .subdirectory
        .as_deref()
        .filter(|path| !path.trim_matches('/').is_empty())
    else {
        return Ok(tree.to_owned());
    };
    let root = std::fs::File::open(tree).map_err(|e| Error::file("open", "git checkout", e))?;
    let clean = dhow_archive::fd::follow(b"", wanted.as_bytes());
    let missing = || Error::not_found(format!("failed to open subdir {wanted:?}: not found"));
    let real = {
        use std::os::fd::AsFd;
        dhow_archive::fd::resolve(root.as_fd(), &clean).map_err(failed("open", &clean))?
    };
    let found = open_in_root(&root, &real, OFlags::PATH).map_err(|_| missing())?;
    match fstat(&found).is_ok_and(|stat| is_dir(&stat)) {
        true => Ok(tree.join(PathBuf::from(OsString::from_vec(real)))),
        false => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_networks_remotes_are_allowed() {
        for remote in [
            "https://github.com/a/b.git",
            "ssh://git@host/a",
            "git@github.com:a/b",
            "git://host/a",
        ] {
            assert!(allowed(remote).is_ok(), "{remote}");
        }
        for remote in [
            "file:///etc",
            "/etc",
            "ext::sh -c id",
            "-uhelper",
            "--upload-pack=x",
            "fd::17",
            "a b:c",
            "https://x\n",
        ] {
            assert!(allowed(remote).is_err(), "{remote}");
        }
    }
}
