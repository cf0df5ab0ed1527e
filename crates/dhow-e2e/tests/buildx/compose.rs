//! `docker compose build`, which builds by buildx's bake.

use super::world::{engine, folder, run};

#[test]
fn a_project_is_built() {
    let Some(engine) = engine("compose build") else {
        return;
    };
    let folder = folder(&[
        (
            "compose.yaml",
            "name: shop\n\
             services:\n  \
             web:\n    build:\n      context: web\n      args: {WHO: compose}\n  \
             job:\n    image: shop-job:2\n    build:\n      context: .\n      dockerfile_inline: |\n        FROM busybox\n        RUN echo job > /j\n",
        ),
        (
            "web/Dockerfile",
            "FROM busybox\nARG WHO\nCOPY page /page\nRUN echo $WHO > /who\n",
        ),
        ("web/page", "hello\n"),
    ]);
    let built = run(
        &engine,
        folder.path(),
        &["compose", "--progress=plain", "build"],
    );
    let _ = built.ok();
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "shop-web", "cat", "/page", "/who"],
    );
    assert_eq!(ran.ok(), "hello\ncompose");
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "shop-job:2", "cat", "/j"],
    );
    assert_eq!(ran.ok(), "job");
}
