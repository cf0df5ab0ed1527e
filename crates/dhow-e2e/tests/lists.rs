//! Lists and their filters, by both command lines.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::{Bench, with_both};

/// The names that `ps -a` shows with these filters, oldest first.
fn names(b: &Bench, filters: &[&str]) -> String {
    let mut words = vec!["ps", "-a", "--format", "{{.Names}}"];
    words.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
    let shown = b.words_ok(&words);
    shown.lines().rev().collect::<Vec<_>>().join(" ")
}

#[test]
fn containers_are_chosen_by_every_filter() {
    if !dhow_testkit::root_or_skip("containers_are_chosen_by_every_filter") {
        return;
    }
    with_both(|b| {
        let _ =
            b.ok("run -d --name la --label l=1 -p 127.0.0.1::80 --expose 90 busybox sleep 1000");
        let _ = b.ok("create --name lb --label l=2 -v lvol:/data busybox true");
        let _ = b.words(&["run", "--name", "lc", "busybox", "sh", "-c", "exit 3"]);
        let _ = b.ok("network create lnet");
        let _ = b.ok("create --name ld --network lnet busybox true");
        let id = b.words_ok(&["inspect", "--format", "{{.Id}}", "lb"]);
        let id = format!("id={}", &id[..10]);
        for (filters, wanted) in [
            (&["name=^/l.$"][..], "la lb lc ld"),
            (&["name=^la$"], "la"),
            (&["name=a$", "name=b$"], "la lb"),
            (&["ancestor=busybox"], "la lb lc ld"),
            (&["ancestor=nosuch"], ""),
            (&["before=lc"], "la lb"),
            (&["since=lc"], "ld"),
            (&["exited=3"], "lc"),
            (&["expose=90"], "la"),
            (&["expose=80-95/tcp"], "la"),
            (&["expose=90/udp"], ""),
            (&["health=none"], "la lb lc ld"),
            (&[&*id], "lb"),
            (&["is-task=true"], ""),
            (&["label=l"], "la lb"),
            (&["label=l=1"], "la"),
            (&["label=l=1", "label=x"], ""),
            (&["network=lnet"], "ld"),
            (&["status=running"], "la"),
            (&["status=created", "status=exited"], "lb lc ld"),
            (&["volume=lvol"], "lb"),
            (&["volume=/data"], "lb"),
        ] {
            assert_eq!(names(b, filters), wanted, "{filters:?}");
        }
        assert_eq!(
            b.words_ok(&["ps", "-n", "2", "--format", "{{.Names}}"]),
            "ld\nlc"
        );
        assert_eq!(b.words_ok(&["ps", "-l", "--format", "{{.Names}}"]), "ld");
        for (filter, text) in [
            ("nosuch=1", "invalid filter 'nosuch'"),
            (
                "exited=x",
                "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                "publish=x",
                "error while looking up for publish x: strconv.ParseUint: parsing \"x\": invalid syntax",
            ),
            ("is-task=x", "invalid filter 'is-task=[x]'"),
            ("since=nosuch", "No such container: nosuch"),
        ] {
            let refused = b.run(&format!("ps --filter {filter}"));
            assert_eq!(refused.code, 1, "{filter}");
            let wanted = format!("Error response from daemon: {text}");
            assert_eq!(refused.stderr.trim(), wanted, "{filter}");
        }
        // A network is dangling when nobody runs on it.
        let dangling = "network ls -q --filter name=^lnet$ --filter dangling=true";
        assert_eq!(b.ok(dangling).lines().count(), 1);
        let _ = b.ok("rm -f la lb lc ld");
        let _ = b.ok("network rm lnet");
        let _ = b.ok("volume rm lvol");
    });
}
