//! A container that changes where its paths lead while they are copied.

use std::fs;

use dhow_e2e::{Bench, with_both};
use dhow_testkit::http::{Body, Client};

use super::wait_ready;

const ROUNDS: usize = 150;
const OUTSIDE: &str = "not of the container's";
const INSIDE: &str = "inside";

/// Runs a container in which `/race/spot` is, in turn, a folder with a file and a link to the same path as `outside`
/// has on the host.
fn racing(b: &Bench, outside: &str) {
    let script = format!(
        "mkdir -p /race/real /race/up; echo {INSIDE} > /race/real/secret; cd /race; ln -s {outside} link; \
         ln -s ../../../../../../..{outside} up/link; echo ready; while :; do mv real spot; mv spot real; \
         mv link spot; mv spot link; mv up/link spot; mv spot up/link; done"
    );
    let _ = b.words_ok(&["run", "-d", "--name", "cc", "busybox", "sh", "-c", &script]);
    wait_ready(b, "cc");
}

#[test]
fn no_swapped_link_leads_out_of_the_container() {
    with_both(|b| {
        let host = tempfile::tempdir().unwrap();
        let outside = host.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), OUTSIDE).unwrap();
        racing(b, &outside.display().to_string());
        let mut client = b.engine.client();
        let mut seen_inside = false;
        for _ in 0..ROUNDS {
            for path in ["/race/spot/secret", "/race/spot/", "/race", "/race/spot/."] {
                let path = format!("/v1.44/containers/cc/archive?path={path}");
                // A walk that something was taken away from may break off.
                let Ok(response) = client.request("GET", &path, Body::Empty) else {
                    client = b.engine.client();
                    continue;
                };
                let text = response.text();
                assert!(!text.contains(OUTSIDE), "{path} was read outside");
                seen_inside |= text.contains(INSIDE);
            }
            write_in(&mut client);
        }
        assert!(seen_inside, "nothing was copied at all");
        let names = fs::read_dir(&outside).unwrap().count();
        assert_eq!(names, 1, "something was written outside");
        let secret = fs::read_to_string(outside.join("secret")).unwrap();
        assert_eq!(secret, OUTSIDE, "something was overwritten outside");
    });
}

/// Copies files to where links may lead away from, by the destination and by names within the archive.
fn write_in(client: &mut Client) {
    for (path, names) in [
        ("/race/spot", ["secret", "planted"]),
        ("/race", ["spot/secret", "spot/planted"]),
    ] {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(INSIDE.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, INSIDE.as_bytes())
                .unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let path = format!("/v1.44/containers/cc/archive?path={path}");
        // Where nothing is found at the moment, that is the answer.
        let body = Body::Bytes("application/x-tar", &tar);
        let status = client.request("PUT", &path, body).unwrap().status;
        assert!(matches!(status, 200 | 400 | 404 | 500), "{status}");
    }
}
