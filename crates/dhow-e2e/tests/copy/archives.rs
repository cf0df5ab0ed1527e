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

/// An archive of the file `packed`, which says `hello`, by bzip2.
const BZIP2: &[u8] = &[
    0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xde, 0xb3, 0x47, 0xe2, 0x00, 0x00,
    0x30, 0x5b, 0x80, 0xc9, 0x90, 0x40, 0x00, 0x6d, 0x80, 0x00, 0x10, 0x6e, 0x4c, 0xde, 0x00, 0x08,
    0x08, 0x20, 0x00, 0x54, 0x42, 0x09, 0x84, 0x1a, 0x60, 0x4d, 0xa6, 0x9a, 0x82, 0x4a, 0x6a, 0x0d,
    0x32, 0x34, 0x7a, 0x80, 0x00, 0xf1, 0x2d, 0xf9, 0x15, 0x88, 0x27, 0xd6, 0x17, 0x14, 0xbe, 0x51,
    0x41, 0x00, 0xe5, 0xa9, 0x50, 0x9a, 0x02, 0x1d, 0x90, 0xce, 0xe4, 0xe4, 0xf6, 0xb9, 0x40, 0x47,
    0x7f, 0x88, 0x93, 0x4d, 0x30, 0xcb, 0xd1, 0x13, 0xc1, 0x1f, 0xc5, 0xdc, 0x91, 0x4e, 0x14, 0x24,
    0x37, 0xac, 0xd1, 0xf8, 0x80,
];

/// The same by xz.
const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
    0x1c, 0x00, 0x00, 0x00, 0x10, 0xcf, 0x58, 0xcc, 0xe0, 0x07, 0xff, 0x00, 0x43, 0x5d, 0x00, 0x38,
    0x18, 0x48, 0x99, 0xcd, 0x5c, 0x1b, 0x57, 0x3c, 0xd9, 0xc3, 0xb8, 0x97, 0xd1, 0xee, 0x56, 0x3d,
    0x23, 0xa9, 0x02, 0x22, 0x9e, 0x90, 0xbe, 0xa9, 0x75, 0x57, 0x41, 0x47, 0xc8, 0x61, 0x99, 0x10,
    0xd0, 0x1a, 0xa8, 0x49, 0xb8, 0x6b, 0x0c, 0xfc, 0xb7, 0x4a, 0x0e, 0xe7, 0x4e, 0xe5, 0x98, 0x00,
    0x37, 0xd3, 0x54, 0x6c, 0x92, 0x26, 0xc1, 0x51, 0xf5, 0x78, 0x57, 0xa1, 0xaf, 0x98, 0xac, 0x28,
    0x4b, 0x00, 0x00, 0x00, 0xc1, 0xcb, 0xf1, 0xcf, 0xc6, 0x72, 0x47, 0x57, 0x00, 0x01, 0x5f, 0x80,
    0x10, 0x00, 0x00, 0x00, 0xf2, 0x89, 0x72, 0xdf, 0xb1, 0xc4, 0x67, 0xfb, 0x02, 0x00, 0x00, 0x00,
    0x00, 0x04, 0x59, 0x5a,
];

/// Archives may be compressed with whatever tar knows: into a container, and as images.
#[test]
fn archives_are_decompressed() {
    with_both(|b| {
        container(b, "mkdir /bzip2 /xz /cut");
        for (name, tar) in [("bzip2", BZIP2), ("xz", XZ)] {
            assert_eq!(put(b, &format!("path=/{name}"), tar).status, 200, "{name}");
            let file = b.ok(&format!("cp cc:/{name}/packed -"));
            assert!(file.contains("hello\n"), "{name}: {file}");
            let cut = put(b, "path=/cut", &tar[..tar.len() / 2]);
            assert_ne!(cut.status, 200, "{name}");

            let path = format!("/v1.44/images/create?fromSrc=-&repo=packed&tag={name}");
            let body = Body::Bytes("application/x-tar", tar);
            let imported = b.engine.client().request("POST", &path, body).unwrap();
            assert_eq!(imported.status, 200, "{name}: {}", imported.text());
            let made = b.ok(&format!("create --name {name} packed:{name} x"));
            let file = b.ok(&format!("cp {made}:/packed -"));
            assert!(file.contains("hello\n"), "{name}: {file}");
        }
    });
}
