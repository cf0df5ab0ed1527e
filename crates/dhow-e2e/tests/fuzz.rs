//! Mutated input for everything that reads what strangers wrote; see [`dhow_testkit::fuzz`] for how to run more of it.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod fuzz {
    mod archives;
    mod bodies;
    mod documents;
    mod streams;
    mod templates;
}
