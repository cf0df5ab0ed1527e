//! Real registries: pull, push, TLS, passwords, and what goes wrong.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::{Bench, with_both};
use dhow_testkit::{Cli, Engine, Registry, RegistryKind, images};

#[test]
fn a_pulled_image_runs() {
    with_both(|b| {
        let registry = Registry::start_beside(RegistryKind::Plain, b.engine.pid());
        registry.fill(&images::busybox_layout(), "tools/box:1");
        let name = format!("{}/tools/box:1", registry.host());
        let first = b.words_ok(&["pull", &name]);
        assert!(
            first.contains(&format!("Status: Downloaded newer image for {name}")),
            "{first}"
        );
        let again = b.words_ok(&["pull", &name]);
        assert!(
            again.contains(&format!("Status: Image is up to date for {name}")),
            "{again}"
        );
        assert_eq!(
            b.words_ok(&["run", "--rm", &name, "echo", "pulled"]),
            "pulled"
        );
        assert!(b.words_ok(&["rmi", &name]).contains("Untagged:"));
    });
}

#[test]
fn a_pushed_image_comes_back() {
    with_both(|b| {
        let registry = Registry::start_beside(RegistryKind::Plain, b.engine.pid());
        let name = format!("{}/own/box:2", registry.host());
        let _ = b.words_ok(&["tag", "busybox", &name]);
        let pushed = b.words_ok(&["push", &name]);
        assert!(pushed.contains("2: digest: sha256:"), "{pushed}");
        let _ = b.words_ok(&["rmi", &name, "busybox"]);
        assert_eq!(
            b.words_ok(&["run", "--rm", "--quiet", &name, "echo", "back"]),
            "back"
        );
    });
}

#[test]
fn all_tags_of_a_repository_are_pulled() {
    with_both(|b| {
        let registry = Registry::start_beside(RegistryKind::Plain, b.engine.pid());
        for tag in ["1", "2"] {
            registry.fill(&images::busybox_layout(), &format!("tools/box:{tag}"));
        }
        let name = format!("{}/tools/box", registry.host());
        let pulled = b.words_ok(&["pull", "-a", &name]);
        let lines: Vec<&str> = pulled.lines().collect();
        for tag in ["1", "2"] {
            let first = format!("{tag}: Pulling from tools/box");
            assert!(lines.contains(&first.as_str()), "{pulled}");
            assert_eq!(
                b.words_ok(&["run", "--rm", &format!("{name}:{tag}"), "echo", "in"]),
                "in"
            );
        }
        let status: Vec<_> = lines.iter().filter(|l| l.starts_with("Status: ")).collect();
        assert_eq!(
            status,
            [&format!("Status: Downloaded newer image for {name}").as_str()]
        );
        let again = b.words_ok(&["pull", "--all-tags", &name]);
        assert!(
            again.contains(&format!("Status: Image is up to date for {name}")),
            "{again}"
        );
        let tagged = b.words(&["pull", "-a", &format!("{name}:1")]);
        assert_eq!(tagged.stderr.trim(), "tag can't be used with --all-tags/-a");
        let missing = b.words(&["pull", "-a", &format!("{name}es")]);
        assert!(
            missing.stderr.contains("not found: name unknown"),
            "{}",
            missing.stderr
        );
    });
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    with_both(|b| {
        let registry = Registry::start_beside(RegistryKind::Plain, b.engine.pid());
        let missing = b.words(&["pull", &format!("{}/none:1", registry.host())]);
        assert_eq!(missing.code, 1);
        assert!(missing.stderr.contains("not found"), "{}", missing.stderr);
        let unreachable = b.run("pull localhost:1/none:1");
        assert_eq!(unreachable.code, 1);
        assert!(
            unreachable.stderr.contains("connection refused"),
            "{}",
            unreachable.stderr
        );
        let wrong = b.run("pull Wrong/Name");
        assert!(
            wrong.stderr.contains(
                "invalid reference format: repository name (Wrong/Name) must be lowercase"
            ) || wrong.stderr.contains("must be lowercase"),
            "{}",
            wrong.stderr
        );
        assert_eq!(b.ok("images -q").lines().count(), 1);
    });
}

#[test]
fn a_password_is_asked_for_and_kept_by_login() {
    with_both(|b| {
        let registry = Registry::start_beside(RegistryKind::Password, b.engine.pid());
        registry.fill(&images::busybox_layout(), "closed/box:1");
        let name = format!("{}/closed/box:1", registry.host());
        let refused = b.words(&["pull", &name]);
        assert_eq!(refused.code, 1);
        assert!(
            refused.stderr.contains("no basic auth credentials")
                || refused.stderr.contains("authoriz"),
            "{}",
            refused.stderr
        );
        let login = [
            "login",
            "-u",
            Registry::USER,
            "--password-stdin",
            &registry.host(),
        ];
        let wrong = b.cli.run_with_input(&b.engine, &login, b"wrong");
        assert_eq!(wrong.code, 1, "{}", wrong.stdout);
        let output = b
            .cli
            .run_with_input(&b.engine, &login, Registry::PASSWORD.as_bytes());
        assert!(output.ok().contains("Login Succeeded"), "{}", output.stdout);
        let _ = b.words_ok(&["pull", "-q", &name]);
        assert_eq!(b.words_ok(&["run", "--rm", &name, "echo", "in"]), "in");
    });
}

#[test]
fn a_private_authority_is_trusted_when_its_certificate_is_there() {
    with_both(|b| {
        let registry = Registry::start_beside(RegistryKind::Tls, b.engine.pid());
        registry.fill(&images::busybox_layout(), "safe/box:1");
        let name = format!("{}/safe/box:1", registry.outer_host());
        let refused = b.words(&["pull", &name]);
        assert_eq!(refused.code, 1);
        let text = refused.stderr.to_lowercase();
        assert!(
            text.contains("certificate") || text.contains("x509"),
            "{}",
            refused.stderr
        );
    });
    if !dhow_testkit::root_or_skip("a registry with TLS") {
        return;
    }
    let engine = Engine::start();
    let registry = Registry::start_beside(RegistryKind::Tls, engine.pid());
    registry.fill(&images::busybox_layout(), "safe/box:1");
    let folder = std::path::Path::new("/etc/dhow/certs.d").join(registry.outer_host());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(registry.authority(), folder.join("ca.crt")).unwrap();
    let output = Cli::Dhow.run(
        &engine,
        &[
            "pull",
            "-q",
            &format!("{}/safe/box:1", registry.outer_host()),
        ],
    );
    std::fs::remove_dir_all(&folder).unwrap();
    let _ = output.ok();
}

#[test]
fn a_spoiled_layer_is_refused_and_leaves_nothing() {
    with_both(|b: &Bench| {
        let registry = Registry::start_beside(RegistryKind::Plain, b.engine.pid());
        registry.fill(&images::busybox_layout(), "spoiled/box:1");
        spoil(&registry.storage());
        let _ = b.ok("rmi busybox");
        let output = b.words(&["pull", &format!("{}/spoiled/box:1", registry.host())]);
        assert_eq!(output.code, 1, "{}", output.stdout);
        assert_eq!(b.ok("images -q"), "");
        let layers = b.engine.root().join("data/layers");
        let left: Vec<_> = std::fs::read_dir(&layers)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect();
        let staged = left
            .iter()
            .filter(|p| p.is_dir() && std::fs::read_dir(p).is_ok_and(|d| d.count() > 0))
            .count();
        assert_eq!(staged, 0, "{left:?}");
    });
}

/// Changes one byte in the middle of the registry's largest blob.
fn spoil(storage: &std::path::Path) {
    let mut largest = (0, std::path::PathBuf::new());
    let mut pending = vec![storage.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let size = entry.metadata().unwrap().len();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else if size > largest.0 {
                largest = (size, entry.path());
            }
        }
    }
    let mut bytes = std::fs::read(&largest.1).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&largest.1, bytes).unwrap();
}

#[test]
fn save_and_load_carry_an_image() {
    with_both(|b| {
        let archive = b.engine.root().join("image.tar");
        let file = archive.display().to_string();
        let _ = b.words_ok(&["save", "-o", &file, "busybox"]);
        let id = b.ok("images -q --no-trunc busybox");
        let _ = b.ok("rmi busybox");
        assert!(
            b.words_ok(&["load", "-i", &file])
                .contains("Loaded image: busybox:latest")
        );
        assert_eq!(b.ok("images -q --no-trunc busybox"), id);
        assert_eq!(b.ok("run --rm busybox echo loaded"), "loaded");
        assert!(!b.ok("history busybox").is_empty());
    });
}

#[test]
fn the_debian_image_goes_through_its_whole_life() {
    with_both(|b| {
        let registry = Registry::start_beside(RegistryKind::Plain, b.engine.pid());
        registry.fill(&images::debian_layout(), "debian:12");
        let name = format!("{}/debian:12", registry.host());
        let _ = b.words_ok(&["pull", "-q", &name]);
        let script = "cat /etc/debian_version; exec sleep 1000";
        let _ = b.words_ok(&["run", "-d", "--name", "deb", &name, "bash", "-c", script]);
        assert!(b.ok("exec deb dpkg -l bash").contains("bash"));
        assert!(b.ok("logs deb").starts_with("12"), "{}", b.ok("logs deb"));
        assert_eq!(b.ok("stop -t 1 deb"), "deb");
        assert_eq!(b.ok("rm deb"), "deb");
    });
}

/// A registry that fetches what it is asked for from another stands in for that one, as `hosts.toml` says.
#[test]
fn a_mirror_fetches_what_it_lacks() {
    with_both(|b| {
        let upstream = Registry::start_beside(RegistryKind::Plain, b.engine.pid());
        upstream.fill(&images::busybox_layout(), "team/box:1");
        let mirror = Registry::start_mirror(&upstream);
        let name = format!("mirrored-{}.test", std::process::id());
        let folder = std::path::Path::new("/etc/dhow/certs.d").join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        let hosts = format!("[host.\"http://{}\"]\n", mirror.host());
        std::fs::write(folder.join("hosts.toml"), hosts).unwrap();
        let image = format!("{name}/team/box:1");
        let first = b.words(&["pull", &image]);
        let _ = b.words(&["rmi", &image]);
        let second = b.words(&["pull", "-q", &image]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((first.code, second.code), (0, 0), "{first:?} {second:?}");
        assert_eq!(b.words_ok(&["run", "--rm", &image, "echo", "in"]), "in");
    });
}
