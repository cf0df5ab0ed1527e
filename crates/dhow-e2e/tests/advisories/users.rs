//! Who a process in a container is.

use crate::bed::{image, ok, on_an_engine, run};

/// CVE-2022-36109: a process that is not in its primary group's list of further groups can shed the group and reach
/// files that the group is kept out of.
#[test]
fn the_primary_group_cannot_be_shed() {
    on_an_engine(|b| {
        let groups = "grep ^Groups /proc/self/status";
        for user in ["0", "1000", "1000:2000", "12:34"] {
            let script =
                format!("{groups} | tr '\\t ' '\\n\\n' | grep -qx $(id -g) && echo listed");
            assert_eq!(ok(b, &["-u", user], &script), "listed", "{user}");
        }
        let _ = b.ok("run -d --name one -u 1000 busybox sleep 1000");
        let script = "tr '\\t ' '\\n\\n' < /proc/self/status | grep -cx 1000 > /dev/null && grep ^Groups /proc/self/status";
        let shown = b.words_ok(&["exec", "one", "sh", "-c", script]);
        assert!(shown.contains("1000"), "{shown}");
    });
}

/// CVE-2024-40635: a user id that overflows becomes root.
#[test]
fn a_user_id_that_overflows_is_refused() {
    on_an_engine(|b| {
        for user in [
            "4294967296",
            "4294967296:0",
            "2147483648",
            "18446744073709551616:1",
            "0:4294967296",
        ] {
            image(b, "overflow", &[&format!("USER {user}")], |_| {});
            let output = b.run("run --rm overflow id -u");
            assert!(
                output.code >= 125,
                "{user}: {} {}",
                output.stdout,
                output.stderr
            );
            assert!(
                output.stderr.contains("uids and gids must be in range"),
                "{user}: {}",
                output.stderr
            );
        }
    });
}

/// CVE-2022-24769 and CVE-2022-29162: capabilities in the inheritable set are raised by programs with file
/// capabilities, beyond what the container's bounding set was meant to give.
#[test]
fn nothing_is_inheritable() {
    on_an_engine(|b| {
        let sets = "grep -E '^Cap(Inh|Amb)' /proc/self/status | cut -f2 | sort -u";
        for options in [
            &["--privileged"][..],
            &["--cap-add", "ALL"],
            &["-u", "1000"],
        ] {
            assert_eq!(ok(b, options, sets), "0000000000000000", "{options:?}");
        }
        let _ = b.ok("run -d --name one busybox sleep 1000");
        for options in ["--privileged", "-u=1000", "-u=0"] {
            let shown = b.words_ok(&["exec", options, "one", "sh", "-c", sets]);
            assert_eq!(shown, "0000000000000000", "exec {options}");
        }
    });
}

/// The default for `no-new-privileges` goes for execs as well; it did not here once.
#[test]
fn an_exec_cannot_gain_what_its_container_cannot() {
    if !dhow_testkit::root_or_skip("a test of advisories") {
        return;
    }
    let engine = dhow_testkit::Engine::start_with(dhow_testkit::EngineOptions {
        arguments: vec!["--no-new-privileges".into()],
        ..dhow_testkit::EngineOptions::default()
    });
    engine.import_busybox();
    let b = dhow_e2e::Bench {
        cli: dhow_testkit::Cli::Dhow,
        engine,
    };
    let _ = b.ok("run -d --name one busybox sleep 1000");
    let flag = "grep NoNewPrivs /proc/self/status | cut -f2";
    assert_eq!(ok(&b, &[], flag), "1");
    assert_eq!(b.words_ok(&["exec", "one", "sh", "-c", flag]), "1");
    let output = run(&b, &["--security-opt", "no-new-privileges=false"], flag);
    assert_eq!(output.stdout.trim(), "0", "{}", output.stderr);
}
