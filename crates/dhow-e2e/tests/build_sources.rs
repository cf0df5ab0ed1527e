//! What `ADD` and remote contexts take from elsewhere: git repositories and URLs; and servers that mean no good.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dhow_testkit::Engine;
use dhow_testkit::http::Body;
use serde_json::Value;

fn engine(what: &str) -> Option<Engine> {
    if !dhow_testkit::root_or_skip(what) {
        return None;
    }
    let engine = Engine::start();
    engine.import_busybox();
    Some(engine)
}

/// Builds a Dockerfile without a context; what was printed, errors included.
fn build(engine: &Engine, dockerfile: &str) -> String {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "Dockerfile", dockerfile.as_bytes())
        .unwrap();
    let context = archive.into_inner().unwrap();
    post(engine, "t=built&nocache=1", &context)
}

fn post(engine: &Engine, query: &str, context: &[u8]) -> String {
    let path = format!("/v1.47/build?rm=1&{query}");
    let body = Body::Bytes("application/x-tar", context);
    let answer = engine.client().request("POST", &path, body).unwrap();
    let text = answer.text();
    let messages = text.lines().filter(|line| !line.trim().is_empty());
    messages
        .filter_map(|line| {
            let message: Value = serde_json::from_str(line).unwrap_or_default();
            let text = ["stream", "error", "message"]
                .iter()
                .find_map(|key| message[key].as_str());
            text.map(str::to_owned)
        })
        .collect()
}

/// A git repository with a tag, a branch and a directory, served on the engine's own network.
struct Repository {
    server: Child,
    port: u16,
    commit: String,
    _folder: tempfile::TempDir,
}

impl Repository {
    fn new(engine: &Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("repo");
        std::fs::create_dir_all(at.join("sub")).unwrap();
        std::fs::write(at.join("file"), "first\n").unwrap();
        std::fs::write(at.join("sub/inner"), "inner\n").unwrap();
        std::fs::write(
            at.join("Dockerfile"),
            "FROM busybox\nCOPY file /\nRUN cat /file\n",
        )
        .unwrap();
        git(&at, &["init", "-q", "-b", "main"]);
        git(&at, &["add", "."]);
        git(&at, &["commit", "-q", "-m", "one"]);
        git(&at, &["tag", "v1"]);
        std::fs::write(at.join("file"), "second\n").unwrap();
        git(&at, &["commit", "-q", "-a", "-m", "two"]);
        let commit = git(&at, &["rev-parse", "v1"]);
        let port = engine.on_its_network(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        });
        let server = engine.on_its_network(|| {
            // Not by way of `git`, which would leave it behind.
            let programs = git(folder.path(), &["--exec-path"]);
            Command::new(Path::new(&programs).join("git-daemon"))
                .args(["--export-all", "--reuseaddr", "--verbose"])
                .args(["--listen=127.0.0.1", &format!("--port={port}")])
                .arg(format!("--base-path={}", folder.path().display()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let mut repository = Self {
            server,
            port,
            commit,
            _folder: folder,
        };
        repository.wait();
        repository
    }

    /// Waits for the line by which the server says that it listens.
    fn wait(&mut self) {
        let errors = self.server.stderr.take().unwrap();
        let mut lines = BufReader::new(errors).lines();
        let ready = lines.any(|line| line.unwrap().contains("Ready to rumble"));
        assert!(ready, "git daemon does not start");
        std::thread::spawn(move || lines.for_each(drop));
    }

    fn url(&self) -> String {
        format!("git://127.0.0.1:{}/repo", self.port)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=n", "-c", "user.email=e@x"])
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn repositories_are_taken_by_branch_tag_commit_and_directory() {
    let Some(engine) = engine("git over the network") else {
        return;
    };
    let repository = Repository::new(&engine);
    let (url, commit) = (repository.url(), &repository.commit);
    for (source, flags, shows, expected) in [
        (
            url.clone(),
            "",
            "cat /r/file; ls -a /r | grep -c .git$ || true",
            "second\n0\n",
        ),
        (format!("{url}#main"), "", "cat /r/file", "second\n"),
        (format!("{url}#v1"), "", "cat /r/file", "first\n"),
        (format!("{url}#{commit}"), "", "cat /r/file", "first\n"),
        (format!("{url}#v1:sub"), "", "ls /r", "inner\n"),
        (
            url.clone(),
            "--keep-git-dir=true",
            "cat /r/.git/HEAD | head -c 4; ls -d /r/.git",
            "",
        ),
    ] {
        let dockerfile = format!("FROM busybox\nADD {flags} {source} /r/\nRUN {shows}\n");
        let said = build(&engine, &dockerfile);
        assert!(
            said.contains(expected) && said.contains("Successfully"),
            "{source}: {said}"
        );
    }
    let said = build(&engine, &format!("FROM busybox\nADD {url}#nosuch /r/\n"));
    assert!(
        said.contains("nosuch") && !said.contains("Successfully"),
        "{said}"
    );
    let remote = url.replace(':', "%3A").replace('/', "%2F");
    let said = post(
        &engine,
        &format!("t=remote&nocache=1&remote={remote}%23v1"),
        &[],
    );
    assert!(
        said.contains("first\n") && said.contains("Successfully"),
        "{said}"
    );
}

#[test]
fn files_of_this_machine_are_nobodys_repository() {
    let Some(engine) = engine("git over the network") else {
        return;
    };
    for source in [
        "file:///etc#main",
        "ext::sh -c 'touch /tmp/dhow-ext'",
        "https://127.0.0.1:1/x.git#--upload-pack=touch",
    ] {
        let said = build(
            &engine,
            &format!("FROM busybox\nADD [\"{source}\", \"/r/\"]\n"),
        );
        assert!(!said.contains("Successfully"), "{source}: {said}");
    }
    assert!(!Path::new("/tmp/dhow-ext").exists());
}

/// Answers every request with these bytes.
fn serve(engine: &Engine, answer: Vec<u8>) -> SocketAddr {
    let listener = engine.on_its_network(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|l| !l.is_empty()))
            {}
            // The client may have seen enough.
            let _ = connection.write_all(&answer);
        }
    });
    address
}

#[test]
fn urls_are_fetched_checked_and_named() {
    let Some(engine) = engine("a URL of a build") else {
        return;
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n";
    let address = serve(&engine, format!("{head}hello").into_bytes());
    let url = format!("http://{address}/dir/name.txt?x=1");
    let said = build(
        &engine,
        &format!("FROM busybox\nADD {url} /d/\nRUN cat /d/name.txt; stat -c '%a %Y' /d/name.txt\n"),
    );
    assert!(said.contains("hello600 1445412480"), "{said}");
    let right = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let said = build(
        &engine,
        &format!("FROM busybox\nADD --checksum={right} {url} /x\n"),
    );
    assert!(said.contains("Successfully"), "{said}");
    let wrong = right.replace("2cf2", "3cf3");
    let said = build(
        &engine,
        &format!("FROM busybox\nADD --checksum={wrong} {url} /x\n"),
    );
    assert!(said.contains("digest mismatch"), "{said}");
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Disposition: attachment; filename=\"../../../etc/evil\"\r\n\r\nevil";
    let address = serve(&engine, evil.as_bytes().to_vec());
    let said = build(
        &engine,
        &format!(
            "FROM busybox\nADD http://{address}/ /d/\nRUN find /d -type f; ls /etc | grep -c evil || true\n"
        ),
    );
    assert!(said.contains("/d/") && said.contains("\n0\n"), "{said}");
    let address = serve(
        &engine,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    );
    let said = build(
        &engine,
        &format!("FROM busybox\nADD http://{address}/x /x\n"),
    );
    assert!(said.contains("404"), "{said}");
    let address = serve(
        &engine,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort".to_vec(),
    );
    let said = build(
        &engine,
        &format!("FROM busybox\nADD http://{address}/x /x\n"),
    );
    assert!(!said.contains("Successfully"), "{said}");
}
