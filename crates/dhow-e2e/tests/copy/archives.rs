//! The requests behind `cp`, as other clients send them.

use dhow_e2e::{Bench, with_both};
use dhow_testkit::http::{Body, Response};
use tar::EntryType::{Directory, Link, Regular, Symlink};

use super::container;

/// An archive of files, given as name, kind and content (of links, where they lead).
fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        // Some of these names are refused where they are set in the ordinary way.
        let bytes = name.as_bytes();
        header.as_gnu_mut().unwrap().name[..bytes.len()].copy_from_slice(bytes);
        let data = match kind {
            Regular => content.as_bytes(),
            _ => &[],
        };
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name_literal(content).unwrap();
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        tar.append(&header, data).unwrap();
    }
    tar.into_inner().unwrap()
}

fn put(b: &Bench, query: &str, tar: &[u8]) -> Response {
    let path = format!("/v1.44/containers/cc/archive?{query}");
    let body = Body::Bytes("application/x-tar", tar);
    b.engine.client().request("PUT", &path, body).unwrap()
}

#[track_caller]
fn answers(response: &Response, status: u16, text: &str) {
    let told = response.text();
    let told = told.trim().trim_start_matches("{\"message\":\"");
    let told = told.trim_end_matches("\"}").replace("\\\"", "\"");
    assert_eq!((response.status, told.as_str()), (status, text));
}

#[test]
fn paths_are_looked_at_as_docker_does() {
    with_both(|b| {
        container(
            b,
            "mkdir /d; echo x > /d/x; ln -s /d /ld; ln -s loop /loop; ln -s /no /dangling",
        );
        let mut client = b.engine.client();
        let mut get = |method: &str, path: &str| {
            let path = format!("/v1.44/containers/cc/archive?path={path}");
            client.request(method, &path, Body::Empty).unwrap()
        };
        for path in [
            "/",
            "/.",
            "d",
            "/ld",
            "/ld/",
            "/ld/.",
            "/../d/x",
            "/dangling",
            "/etc/hosts",
        ] {
            let head = get("HEAD", path);
            assert_eq!(head.status, 200, "{path}");
            assert!(
                head.header("x-docker-container-path-stat").is_some(),
                "{path}"
            );
        }
        for (path, status, text) in [
            ("", 400, "bad parameter: pathcannot be empty"),
            (
                "/nope",
                404,
                "Could not find the file /nope in container cc",
            ),
            (
                "/dangling/",
                404,
                "Could not find the file /dangling/ in container cc",
            ),
            ("/d/x/", 500, "lstat /d/x/: not a directory"),
            ("/d/x/y", 500, "lstat /d/x/y: not a directory"),
            (
                "/loop/x",
                500,
                "lstat /loop/x: too many levels of symbolic links",
            ),
        ] {
            answers(&get("GET", path), status, text);
            assert_eq!(get("HEAD", path).status, status, "{path}");
        }
    });
}

/// Destinations and archives, and what a real engine answers.
fn unpacked() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let one = archive(&[("f", Regular, "new")]);
    vec![
        ("path=/ld", one.clone(), 200, ""),
        (
            "path=/nope",
            one.clone(),
            404,
            "Could not find the file /nope in container cc",
        ),
        (
            "path=/d/file",
            one.clone(),
            400,
            "extraction point is not a directory",
        ),
        (
            "path=/d/file/",
            one.clone(),
            500,
            "lstat /d/file/: not a directory",
        ),
        (
            "path=",
            one.clone(),
            400,
            "bad parameter: pathcannot be empty",
        ),
        ("path=/d", b"junk".to_vec(), 500, "unexpected EOF"),
        (
            "path=/d",
            vec![b'x'; 1024],
            500,
            "archive/tar: invalid tar header",
        ),
        ("path=/d", Vec::new(), 200, ""),
        (
            "path=/d&noOverwriteDirNonDir=1",
            archive(&[("file", Directory, "")]),
            500,
            "cannot overwrite non-directory \"file\" with directory \"/d\"",
        ),
        (
            "path=/d&noOverwriteDirNonDir=1",
            archive(&[("dir", Regular, "")]),
            500,
            "cannot overwrite directory \"dir\" with non-directory \"/d\"",
        ),
        (
            "path=/d",
            archive(&[("../up", Regular, "")]),
            500,
            "invalid entry name \"../up\"",
        ),
        (
            "path=/d",
            archive(&[("hard", Link, "/no/such")]),
            404,
            "Could not find the file /d in container cc",
        ),
        (
            "path=/d",
            archive(&[("to", Symlink, "/other"), ("to/a", Regular, "a")]),
            200,
            "",
        ),
        (
            "path=/d",
            archive(&[("out/b", Regular, "b"), (".wh.file", Regular, "")]),
            200,
            "",
        ),
        (
            "path=/d",
            archive(&[("dir", Regular, "now a file")]),
            200,
            "",
        ),
    ]
}

#[test]
fn archives_are_unpacked_as_docker_does() {
    with_both(|b| {
        container(
            b,
            "mkdir -p /d/dir /other; echo old > /d/file; ln -s /other /d/out; ln -s /d /ld",
        );
        for (query, tar, status, text) in unpacked() {
            answers(&put(b, query, &tar), status, text);
        }
        let one = archive(&[("f", Regular, "new")]);
        let missing = "/v1.44/containers/nope/archive?path=/";
        let body = Body::Bytes("application/x-tar", &one);
        let response = b.engine.client().request("PUT", missing, body).unwrap();
        answers(&response, 404, "No such container: nope");
        // Links in the destination lead somewhere in the destination only.
        assert_eq!(
            b.words_ok(&[
                "exec",
                "cc",
                "sh",
                "-c",
                "cd /d; cat f file dir other/a other/b; ls /other"
            ]),
            "newold\nnow a fileab"
        );
    });
}
