//! Images made of containers.

use dhow_e2e::with_both;
use serde_json::json;

#[test]
fn a_commit_has_what_the_container_changed_and_no_more() {
    with_both(|b| {
        let _ = b.words_ok(&[
            "run", "-d", "--name", "cc", "-e", "A=1", "--label", "l=x", "-v", "/vol", "busybox",
            "sleep", "1000",
        ]);
        let script = "echo f > /f; ln /f /g; rm /bin/yes; rm -r /home; mkdir /home; touch /home/n; echo v > /vol/v; chmod 700 /root";
        let _ = b.words_ok(&["exec", "cc", "sh", "-c", script]);
        let id = b.words_ok(&[
            "commit",
            "-a",
            "me",
            "-m",
            "why",
            "-c",
            "ENV B=2",
            "-c",
            "CMD [\"cat\", \"/f\"]",
            "-c",
            "EXPOSE 80",
            "cc",
            "made:1",
        ]);
        let config = "{{.Id}}|{{.Author}}|{{.Comment}}|{{json .Config.Env}}|{{json .Config.Cmd}}|{{json .Config.Labels}}|\
                      {{json .Config.ExposedPorts}}|{{json .Config.Volumes}}|{{len .RootFS.Layers}}";
        assert_eq!(
            b.words_ok(&["image", "inspect", "-f", config, "made:1"]),
            format!(
                "{id}|me|why|[\"A=1\",\"B=2\"]|[\"cat\",\"/f\"]|{{\"l\":\"x\"}}|{{\"80/tcp\":{{}}}}|{{\"/vol\":{{}}}}|2"
            )
        );
        assert_eq!(
            b.words_ok(&[
                "history",
                "--format",
                "{{.CreatedBy}}|{{.Comment}}",
                "made:1"
            ])
            .lines()
            .next(),
            Some("sleep 1000|why")
        );
        assert_eq!(b.ok("run --rm made:1"), "f");
        let found = "ls /vol /home; stat -c %a /root; stat -c %h /f; ls /bin/yes 2>&1; ls -A /etc | grep -c host";
        assert_eq!(
            b.words_ok(&["run", "--rm", "made:1", "sh", "-c", found]),
            "/home:\nn\n\n/vol:\n700\n2\nls: /bin/yes: No such file or directory\n2"
        );
        assert_eq!(
            b.words_ok(&["inspect", "-f", "{{.State.Status}}", "cc"]),
            "running"
        );
        let _ = b.ok("rm -f -v cc");
        let _ = b.ok("rmi made:1");
    });
}

#[test]
fn a_commit_is_told_and_freezes_the_container_only_when_asked_to() {
    with_both(|b| {
        let _ = b.ok("run -d --name cc busybox sleep 1000");
        for (arguments, events) in [
            (&["commit", "cc", "made:2"][..], "pause commit unpause"),
            (&["commit", "--pause=false", "cc", "made:2"], "commit"),
        ] {
            let mut client = b.engine.client();
            let mut now = || {
                let info = client.get("/v1.44/info").unwrap().json();
                info["SystemTime"].as_str().unwrap_or_default().to_owned()
            };
            let before = now();
            let _ = b.words_ok(arguments);
            let after = now();
            let told = b.words_ok(&[
                "events",
                "--since",
                &before,
                "--until",
                &after,
                "--filter",
                "type=container",
                "--format",
                "{{.Action}}",
            ]);
            assert_eq!(
                told.split_whitespace().collect::<Vec<_>>().join(" "),
                events
            );
        }
        let _ = b.ok("rm -f cc");
        let _ = b.ok("rmi -f made:2");
        let _ = b.ok("image prune -f");
    });
}

#[test]
fn the_requests_configuration_is_merged_into_the_containers() {
    with_both(|b| {
        let _ = b.words_ok(&[
            "create",
            "--name",
            "cc",
            "-e",
            "A=1",
            "--entrypoint",
            "sleep",
            "busybox",
            "1000",
        ]);
        let mut client = b.engine.client();
        let mut post = |query: &str, body: Option<serde_json::Value>| {
            let response = client
                .post(&format!("/v1.44/commit?{query}"), body.as_ref())
                .unwrap();
            (response.status, response.json())
        };
        let body = json!({"Cmd": ["true"], "ExposedPorts": {"99/tcp": {}}});
        let (status, answer) = post("container=cc&repo=made&tag=3", Some(body));
        assert_eq!(status, 201, "{answer}");
        assert_eq!(
            b.words_ok(&[
                "image",
                "inspect",
                "-f",
                "{{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Config.Env}}",
                "made:3"
            ]),
            "[\"true\"] [\"sleep\"] [\"A=1\"]"
        );
        let (status, _) = post(
            "container=cc&repo=made&tag=4&changes=ENTRYPOINT+%5B%22q%22%5D",
            None,
        );
        assert_eq!(status, 201);
        assert_eq!(
            b.words_ok(&[
                "image",
                "inspect",
                "-f",
                "{{json .Config.Cmd}} {{json .Config.Entrypoint}}",
                "made:4"
            ]),
            "null [\"q\"]"
        );
        let _ = b.ok("rm cc");
        let _ = b.ok("rmi made:3 made:4");
    });
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    with_both(|b| {
        let _ = b.ok("create --name cc busybox true");
        for (query, status, text) in [
            ("container=nope", 404, "No such container: nope"),
            ("repo=made", 400, "invalid name or ID supplied: \"\""),
            ("container=cc&repo=made&tag=a/b", 400, "invalid tag format"),
            (
                "container=cc&repo=MADE",
                400,
                "invalid reference format: repository name (library/MADE) must be lowercase",
            ),
            (
                "container=cc&changes=RUN+x",
                400,
                "RUN is not a valid change command",
            ),
            (
                "container=cc&changes=FOO+x",
                400,
                "FOO is not a valid change command",
            ),
            (
                "container=cc&changes=ENV",
                400,
                "ENV requires at least one argument",
            ),
        ] {
            let path = format!("/v1.44/commit?{query}");
            let response = b.engine.client().post(&path, None).unwrap();
            let (found, answer) = (response.status, response.json());
            assert_eq!(
                (found, answer["message"].as_str()),
                (status, Some(text)),
                "{query}"
            );
        }
        let _ = b.ok("rm cc");
    });
}
