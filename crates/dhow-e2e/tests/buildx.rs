//! The official buildx and compose plugins against the engine, with the `docker` driver: builds, their progress, what they
//! give, the cache and the history.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod buildx {
    mod answers;
    mod builds;
    mod compose;
    mod contexts;
    mod kept;
    mod outputs;
    mod world;
}
