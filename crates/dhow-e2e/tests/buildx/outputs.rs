//! What is made of a result on the client's side, and caches there.

use super::world::{build, cached, engine, folder, run};

const DOCKERFILE: &str = "FROM busybox AS made\nRUN mkdir /d && echo x > /d/f && ln -s f /d/l && chmod 750 /d/f\n\
                          FROM scratch\nCOPY --from=made /d /d\n";

#[test]
fn results_become_files() {
    use std::os::unix::fs::PermissionsExt;
    let Some(engine) = engine("outputs of buildx") else {
        return;
    };
    let folder = folder(&[("Dockerfile", DOCKERFILE)]);
    let here = folder.path();
    let _ = build(&engine, here, &["-o", "type=local,dest=out", "."]).ok();
    assert_eq!(
        std::fs::read_to_string(here.join("out/d/f")).unwrap(),
        "x\n"
    );
    assert_eq!(
        std::fs::read_link(here.join("out/d/l")).unwrap().to_str(),
        Some("f")
    );
    let mode = here
        .join("out/d/f")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o750);

    let _ = build(&engine, here, &["-o", "type=tar,dest=out.tar", "."]).ok();
    assert_eq!(names(&here.join("out.tar")), ["d/", "d/f", "d/l"]);
    let _ = build(&engine, here, &["-o", "type=oci,dest=oci.tar", "."]).ok();
    assert!(names(&here.join("oci.tar")).contains(&"index.json".to_owned()));
    let _ = build(
        &engine,
        here,
        &["-o", "type=docker,dest=docker.tar", "-t", "loaded:1", "."],
    )
    .ok();
    assert!(names(&here.join("docker.tar")).contains(&"manifest.json".to_owned()));
    let loaded = run(&engine, here, &["load", "-i", "docker.tar"]);
    assert!(loaded.ok().contains("loaded:1"), "{}", loaded.stdout);
    // Several at once, each to its place.
    let both = [
        "-o",
        "type=tar,dest=two.tar",
        "-o",
        "type=local,dest=two",
        "-t",
        "two",
        ".",
    ];
    let _ = build(&engine, here, &both).ok();
    assert_eq!(names(&here.join("two.tar")).len(), 3);
    assert!(here.join("two/d/f").is_file());
}

fn names(archive: &std::path::Path) -> Vec<String> {
    let file = std::fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(file);
    let entries = archive.entries().unwrap();
    let names = entries.map(|entry| entry.unwrap().path().unwrap().display().to_string());
    names.collect()
}

#[test]
fn a_cache_in_a_folder_of_the_client_is_used_again() {
    let Some(engine) = engine("a local cache with buildx") else {
        return;
    };
    let folder = folder(&[("Dockerfile", DOCKERFILE)]);
    let here = folder.path();
    let _ = build(
        &engine,
        here,
        &["--cache-to=type=local,dest=cache,mode=max", "."],
    )
    .ok();
    assert!(here.join("cache/index.json").is_file());
    let _ = run(&engine, here, &["buildx", "prune", "-af"]).ok();
    let cold = build(
        &engine,
        here,
        &["--cache-from=type=local,src=cache", "-t", "again", "."],
    );
    let _ = cold.ok();
    assert!(!cached(&cold.stderr).is_empty(), "{}", cold.stderr);
}
