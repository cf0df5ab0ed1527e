//! Odd configurations, manifests and indexes.

use serde_json::{Value, json};

use super::image::{Image, ImageBuilder};
use super::{Case, base};
use crate::images::architecture;

pub(super) fn cases() -> Vec<Case> {
    [configurations(), indexes()].concat()
}

fn with_config(name: &'static str, change: impl FnOnce(&mut Value)) -> Case {
    let builder = ImageBuilder::new().layer(base().finish());
    Case::new(name, builder.config(change).build())
}

fn remove(config: &mut Value, key: &str) {
    if let Some(all) = config.as_object_mut() {
        all.remove(key);
    }
}

fn configurations() -> Vec<Case> {
    let two = ImageBuilder::new().layer(base().finish()).layer("");
    vec![
        with_config("config-bare", |config| {
            for key in ["history", "created", "config"] {
                remove(config, key);
            }
        }),
        with_config("config-history-of-nothing", |config| {
            let entry = json!({"created_by": "ENV A=1", "empty_layer": true});
            config["history"] = json!([entry, {"created_by": "ADD"}, entry, entry]);
        }),
        with_config("config-history-too-short", |config| config["history"] = json!([])),
        with_config("config-strange-fields", |config| {
            config["unknown"] = json!({"deep": [1, 2, 3]});
            config["config"] = json!({
                "Cmd": null, "Entrypoint": [], "Env": ["A=1", "A=2", "NOVALUE"], "User": "1:2",
                "Labels": {"": "empty", "a b": "\u{1b}[31m"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
                "Healthcheck": {"Test": ["NONE"]}, "OnBuild": ["RUN x"], "StopSignal": "SIGWINCH", "Shell": ["/x"],
            });
        }),
        with_config("config-other-diff-id", |config| {
            config["rootfs"]["diff_ids"] = json!([format!("sha256:{}", "1".repeat(64))]);
        }),
        with_config("config-no-rootfs", |config| remove(config, "rootfs")),
        with_config("config-too-few-diff-ids", |config| config["rootfs"]["diff_ids"] = json!([])),
        with_config("config-broken-diff-id", |config| config["rootfs"]["diff_ids"] = json!(["sha256:short"])),
        Case::new(
            "config-too-many-layers",
            two.config(|config| {
                let first = config["rootfs"]["diff_ids"][0].clone();
                config["rootfs"]["diff_ids"] = json!([first]);
            })
            .build(),
        ),
        with_config("config-other-architecture", |config| config["architecture"] = json!("s390x")),
        Case::new(
            "manifest-annotated",
            ImageBuilder::new()
                .layer(base().finish())
                .manifest(json!({"annotations": {"a": "b"}, "artifactType": "application/x", "unknown": 1}))
                .build(),
        ),
    ]
}

fn of(name: &str) -> Image {
    let file = super::tar::Entry::file(name, name);
    ImageBuilder::new()
        .layer(base().with(file).finish())
        .build()
}

fn platform(architecture: &str) -> Value {
    json!({"platform": {"os": "linux", "architecture": architecture}})
}

fn indexes() -> Vec<Case> {
    let own = || (of("own"), platform(architecture()));
    let other = || (of("other"), platform("s390x"));
    let attestation = || {
        let unknown = json!({
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        });
        (of("attestation"), unknown)
    };
    vec![
        Case::new("index", Image::index(vec![other(), attestation(), own()])),
        Case::new("index-of-one", Image::index(vec![own()])),
        Case::new(
            "index-unlabelled",
            Image::index(vec![(of("own"), json!({}))]),
        ),
        Case::new(
            "index-twice",
            Image::index(vec![own(), (of("second"), platform(architecture()))]),
        ),
        Case::new("index-foreign", Image::index(vec![other(), attestation()])),
        Case::new("index-empty", Image::index(vec![])),
        Case::new(
            "index-nested",
            Image::index(vec![(Image::index(vec![own()]), json!({}))]),
        )
        .but("an index within an index is refused"),
    ]
}
