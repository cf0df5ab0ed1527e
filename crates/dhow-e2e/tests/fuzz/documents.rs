//! References, manifests, indexes and image configs.

use dhow_oci::{Digest, ImageConfig, ManifestOrIndex, Platform, Reference};
use dhow_testkit::fuzz;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What is taken for a reference is written the same in all its forms, and read again from each.
#[test]
fn references_are_read_as_they_are_written() {
    let digested = format!("localhost:5000/a/b@{DIGEST}");
    let both = format!("registry.example.com/a/b_c.d-e:v1.0-x@{DIGEST}");
    let seeds: [&[u8]; 8] = [
        b"busybox",
        b"busybox:latest",
        b"docker.io/library/busybox:1.36",
        b"index.docker.io/a/b",
        b"[::1]:5000/x:y",
        b"a.b/c/d/e/f:g",
        digested.as_bytes(),
        both.as_bytes(),
    ];
    let words: [&[u8]; 5] = [
        b"docker.io/",
        b"library/",
        b":latest",
        b"@sha256:",
        b"localhost/",
    ];
    fuzz::run(20_000, &seeds, &words, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        let _ = text.parse::<Digest>();
        let _ = text.parse::<Platform>();
        let Ok(reference) = Reference::parse(text) else {
            return;
        };
        let canonical = reference.canonical();
        let again = Reference::parse(&canonical).unwrap();
        assert_eq!(again.canonical(), canonical);
        // `docker.io/docker.io/x`, and a name that looks like an id, become shorter than they may, as in Docker.
        let first = reference.path().split('/').next().unwrap_or_default();
        if let Ok(familiar) = Reference::parse(&reference.familiar())
            && !first.contains('.')
            && first != "localhost"
        {
            assert_eq!(familiar.canonical(), canonical, "{}", reference.familiar());
        }
        assert!(!reference.domain().contains('/') && !reference.path().contains(".."));
    });
}

/// Documents are refused or read; what was read can be written and read again.
#[test]
fn manifests_and_configs_are_refused_or_read() {
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":2}},
        "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{DIGEST}","size":0}}]}}"#
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
        {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{DIGEST}","size":2,
        "platform":{{"architecture":"amd64","os":"linux","variant":"v2"}},"annotations":{{"a":"b"}}}}]}}"#
    );
    let config = format!(
        r#"{{"created":"2026-01-02T03:04:05.5Z","architecture":"amd64","os":"linux","config":{{"User":"a",
        "ExposedPorts":{{"80/tcp":{{}}}},"Env":["A=b"],"Entrypoint":["/x"],"Cmd":["y"],"Volumes":{{"/v":{{}}}},
        "Labels":{{"a":"b"}},"StopSignal":"SIGTERM","Healthcheck":{{"Test":["CMD","x"],"Interval":1000000000}},
        "Shell":["sh"],"OnBuild":["RUN x"]}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},
        "history":[{{"created":"2026-01-02T03:04:05Z","created_by":"x","empty_layer":true}}]}}"#
    );
    let seeds = [manifest.as_bytes(), index.as_bytes(), config.as_bytes()];
    let words: [&[u8]; 6] = [b"null", b"[]", b"{}", b"1e999", b"\\ud800", b"\"size\":-1,"];
    fuzz::run(10_000, &seeds, &words, |input| {
        if let Ok(parsed) = ManifestOrIndex::parse(input, None) {
            let _ = parsed.media_type();
        }
        if let Ok(config) = serde_json::from_slice::<ImageConfig>(input) {
            let _ = config.platform();
            let written = serde_json::to_vec(&config).unwrap();
            let again: ImageConfig = serde_json::from_slice(&written).unwrap();
            assert_eq!(again.platform(), config.platform());
            assert_eq!(again.rootfs, config.rootfs);
        }
    });
}
