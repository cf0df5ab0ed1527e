//! `manifest`: the same command lines with docker's and with ours, each on a registry of its own, answer alike, leave
//! the same files behind and push the same lists.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use dhow_testkit::{Cli, Registry, RegistryKind, images};
use serde_json::Value;

/// What is run; `R` stands for the registry.
const LINES: &[&str] = &[
    "create R/box:list R/box:oci R/box:docker",
    "create R/box:list R/box:oci",
    "inspect R/box:oci",
    "inspect -v R/box:oci",
    "inspect -v R/box:docker",
    "inspect R/box:list",
    "inspect -v R/box:list",
    "inspect R/box:list R/box:docker",
    "inspect R/box:list R/other:docker",
    "inspect R/none:1",
    "annotate R/box:list R/box:docker --arch arm64 --variant v8 --os-features a,b --os-version 1.2",
    "annotate R/box:list R/box:docker --os-features b,c",
    "annotate R/box:list R/other:docker --arch arm64",
    "annotate R/box:none R/box:docker --arch arm64",
    "annotate R/box:list R/box:docker --arch none",
    "inspect R/box:list",
    "push R/box:list",
    "create -a R/box:list R/other:docker",
    "push -p R/box:list",
    "push R/box:list",
    "inspect R/box:list",
    "inspect -v R/box:list",
    "rm R/box:list none",
    "create R/other:both R/box:oci R/other:docker",
    "push R/other:both",
    "rm R/other:both",
    "create R/box:docker-only R/box:docker",
    "inspect R/box:docker-only",
    "push R/box:docker-only",
    "create R/other:list R/box:list",
    "create R/other:list R/box:none",
    "inspect BAD",
    "create R/box:kept R/box:docker R/box:oci",
];

/// Adds an image of Docker's media types, made of the blobs of another one, to a repository that has them.
fn put_docker_manifest(registry: &Registry, repository: &str) {
    let host = registry.host();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "GET /v2/{repository}/manifests/oci HTTP/1.0\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut manifest: Value = serde_json::from_str(body).unwrap();
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    manifest["mediaType"] = kind.into();
    manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    for layer in manifest["layers"].as_array_mut().unwrap() {
        layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip".into();
    }
    let text = manifest.to_string();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "PUT /v2/{repository}/manifests/docker HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 201 "), "{answer}");
}

/// All answers of a command line, and the files that it leaves.
fn transcript(cli: Cli) -> (Vec<String>, BTreeMap<String, String>) {
    let registry = Registry::start(RegistryKind::Plain);
    for repository in ["box", "other"] {
        registry.fill(&images::busybox_layout(), &format!("{repository}:oci"));
        put_docker_manifest(&registry, repository);
    }
    let home = tempfile::tempdir().unwrap();
    let host = registry.host();
    let normal = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&host, "R");
    let answers = LINES.iter().map(|line| {
        let mut command = cli.command(Path::new("/nowhere.sock"), home.path());
        let mut words = line.split(' ');
        command.arg("manifest").args(words.next());
        if !line.starts_with("rm ") && !line.starts_with("annotate ") {
            command.arg("--insecure");
        }
        let words =
            words.map(|word| word.replacen('R', &host, usize::from(word.starts_with("R/"))));
        let output = command.args(words).stdin(Stdio::null()).output().unwrap();
        format!(
            "{line}\n{:?}\n{}{}",
            output.status.code(),
            normal(&output.stdout),
            normal(&output.stderr)
        )
    });
    let answers = answers.collect();
    let kept = fs::read_dir(home.path().join(".docker/manifests")).unwrap();
    let mut files = BTreeMap::new();
    for list in kept {
        let list = list.unwrap().path();
        for file in fs::read_dir(&list).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(home.path()).unwrap();
            let name = name
                .display()
                .to_string()
                .replace(&host.replace(':', "-"), "R");
            files.insert(name, normal(&fs::read(&path).unwrap()));
        }
    }
    (answers, files)
}

#[test]
fn both_command_lines_make_the_same_lists() {
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| transcript(Cli::Docker));
        let ours = transcript(Cli::Dhow);
        (theirs.join().unwrap(), ours)
    });
    for (theirs, ours) in theirs.0.iter().zip(&ours.0) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.1, theirs.1);
    assert!(
        ours.1.keys().any(|name| name.ends_with("box-docker")),
        "{:?}",
        ours.1.keys()
    );
}
