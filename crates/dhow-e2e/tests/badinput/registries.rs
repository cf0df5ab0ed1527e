//! Registries and archives that say what cannot be, or what attacks the terminal: one error, and nothing stored.

use std::time::{Duration, Instant};

use dhow_testkit::corpus::{Entry, Hub, Image, ImageBuilder, Tar, Way, unpacked};
use dhow_testkit::faults::{Fault, FaultProxy};
use dhow_testkit::{Cli, Engine};
use serde_json::{Value, json};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().with(Entry::file(name, name)).finish()
}

fn plain() -> ImageBuilder {
    ImageBuilder::new().layer(layer("one")).layer(layer("two"))
}

/// The image with another manifest.
fn altered(image: Image, change: impl FnOnce(&mut Value)) -> Image {
    let top = image.blobs[&image.top].clone();
    let mut manifest: Value = serde_json::from_slice(&top.bytes).unwrap();
    change(&mut manifest);
    image.topped(&top.media_type, &manifest)
}

/// The image with other text for a manifest.
fn written(mut image: Image, text: &str) -> Image {
    let media_type = image.blobs[&image.top].media_type.clone();
    let descriptor = image.put(&media_type, text.as_bytes().to_vec());
    descriptor["digest"]
        .as_str()
        .unwrap()
        .clone_into(&mut image.top);
    image
}

fn hostile() -> Vec<(&'static str, Image)> {
    let sized = |size: Value| altered(plain().build(), |m| m["layers"][0]["size"] = size);
    let config_sized = |size: Value| altered(plain().build(), |m| m["config"]["size"] = size);
    let digest = |text: &str| {
        let text = json!(text);
        altered(plain().build(), move |m| m["layers"][0]["digest"] = text)
    };
    let one = layer("same");
    let many = (0..10_000).fold(ImageBuilder::new(), |image, _| image.layer(&one));
    let text = |text: &str| written(plain().build(), text);
    let deep = |open: &str| text(&open.repeat(1_000_000));
    vec![
        ("layers-10000", many.build()),
        ("size-too-small", sized(json!(5))),
        ("size-too-large", sized(json!(500_000))),
        ("size-none", sized(json!(0))),
        ("size-negative", sized(json!(-1))),
        ("size-broken", sized(json!(10.5))),
        ("size-of-everything", sized(json!(u64::MAX))),
        ("size-beyond-any-disk", sized(json!(1_u64 << 62))),
        ("config-size", config_sized(json!(3))),
        ("config-size-huge", config_sized(json!(1_u64 << 40))),
        ("digest-of-nothing", digest("")),
        (
            "digest-unknown-kind",
            digest("md5:d41d8cd98f00b204e9800998ecf8427e"),
        ),
        (
            "digest-climbs",
            digest("sha256:../../../../../../etc/passwd"),
        ),
        (
            "digest-missing",
            digest(&format!("sha256:{}", "0".repeat(64))),
        ),
        ("manifest-of-nothing", text("")),
        ("manifest-null", text("null")),
        ("manifest-list", text("[]")),
        ("manifest-deep-lists", deep("[")),
        ("manifest-deep-maps", deep("{\"a\":")),
        (
            "manifest-without-config",
            altered(plain().build(), |m| m["config"] = json!(null)),
        ),
        (
            "manifest-without-layers",
            altered(plain().build(), |m| m["layers"] = json!("none")),
        ),
        (
            "layers-foreign",
            altered(plain().build(), |m| {
                m["layers"][1]["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
                m["layers"][1]["urls"] = json!(["http://localhost:1/x"]);
                m["layers"][1]["digest"] = json!(format!("sha256:{}", "1".repeat(64)));
            }),
        ),
        (
            "layers-encrypted",
            altered(plain().build(), |m| {
                m["layers"][1]["mediaType"] =
                    json!("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
            }),
        ),
        ("round-in-circles", circle()),
    ]
}

/// An index in an index in an index, for a hundred times.
fn circle() -> Image {
    (0..100).fold(plain().build(), |image, _| {
        Image::index(vec![(image, json!({}))])
    })
}

/// Each is refused, pulled or loaded, soon and without leaving an image; only what a transfer that broke off could go on
/// with is kept.
#[test]
fn impossible_images_are_refused() {
    if !dhow_testkit::root_or_skip("hostile registries") {
        return;
    }
    let engine = Engine::start();
    let hub = Hub::start(Some(engine.pid()));
    for (name, image) in hostile() {
        let reference = hub.offer(name, &image);
        for way in [Way::Pull(&reference), Way::Load(&image)] {
            let begun = Instant::now();
            let outcome = unpacked(&engine, way);
            let took = begun.elapsed();
            let how = if matches!(way, Way::Pull(_)) {
                "pulled"
            } else {
                "loaded"
            };
            assert!(outcome.is_err(), "{name} was {how}");
            assert!(took < Duration::from_secs(30), "{name} took {took:?}");
        }
        let images = engine.client().get("/v1.44/images/json?all=1").unwrap();
        assert_eq!(images.text().trim(), "[]", "{name}");
    }
    let checked = Cli::Dhow.run(&engine, &["system", "fsck", "--deep"]);
    assert_eq!(checked.ok(), "everything is in order");
}

/// What a registry says of an error is shown, not obeyed.
#[test]
fn a_registry_gives_no_orders_to_the_terminal() {
    if !dhow_testkit::root_or_skip("hostile registries") {
        return;
    }
    let engine = Engine::start();
    let attack = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31mred\rover";
    let body = json!({"errors": [{"code": attack, "message": attack, "detail": attack}]});
    for status in [400, 403, 404, 500] {
        let text = body.to_string().into_bytes();
        let proxy = FaultProxy::start(Some(engine.pid()), "localhost:1", move |_| {
            Fault::Answer(
                status,
                vec![("X-Evil".into(), "\u{1b}[2J".into())],
                text.clone(),
            )
        });
        let name = format!("{}/evil/app:1", proxy.host());
        let output = Cli::Dhow.run(&engine, &["pull", &name]);
        assert_ne!(output.code, 0);
        let said = output.stdout + &output.stderr;
        assert!(harmless(&said), "{said:?}");
    }
    assert!(harmless(&engine.log()), "{:?}", engine.log());
}

/// What an image says of itself is shown in tables as text.
#[test]
fn an_image_gives_no_orders_to_the_terminal() {
    if !dhow_testkit::root_or_skip("hostile registries") {
        return;
    }
    let engine = Engine::start();
    let hub = Hub::start(Some(engine.pid()));
    let attack = "\u{1b}]0;owned\u{7}\u{1b}[2J\rover";
    let image = plain().config(|config| {
        config["author"] = json!(attack);
        config["config"]["Labels"] = json!({ attack: attack });
        config["config"]["Cmd"] = json!([attack]);
        config["history"] =
            json!([{"created_by": attack, "comment": attack}, {"created_by": attack}]);
    });
    let name = hub.offer("evil", &image.build());
    let _ = Cli::Dhow.run(&engine, &["pull", &name]).ok();
    let _ = Cli::Dhow
        .run(&engine, &["create", "--name", "evil", &name])
        .ok();
    for line in [
        "history --no-trunc",
        "images --no-trunc",
        "ps -a --no-trunc",
        "inspect",
        "image inspect",
    ] {
        let mut words: Vec<&str> = line.split(' ').collect();
        if matches!(words[0], "history" | "inspect" | "image") {
            words.push(&name);
        }
        let shown = on_a_terminal(&engine, &words);
        assert!(harmless(&shown.replace("\r\n", "\n")), "{line}: {shown:?}");
    }
}

/// Runs a command whose output is a terminal.
fn on_a_terminal(engine: &Engine, words: &[&str]) -> String {
    let command = Cli::Dhow.command(engine.socket(), engine.home());
    let mut line = command.get_program().display().to_string();
    let own = command.get_args().map(|word| word.display().to_string());
    for word in own.chain(words.iter().map(|word| (*word).to_owned())) {
        line += &format!(" '{word}'");
    }
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            script.env(name, value);
        }
    }
    let output = dhow_testkit::Output::of(&mut script, b"");
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout
}

/// Whether there are no control characters but line feeds and tabs.
fn harmless(text: &str) -> bool {
    !text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
}
