//! From wire types to the engine's validated ones and back, a file for each noun.
//!
//! Towards the engine a value that can't be is an error with Docker's text, and one that is not offered is refused;
//! nothing is dropped silently. Back nothing can fail.

pub(crate) mod build;
pub(crate) mod container;
pub(crate) mod event;
pub(crate) mod exec;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod resources;
pub(crate) mod stats;
pub(crate) mod summary;
pub(crate) mod system;
pub(crate) mod time;
pub(crate) mod volume;

use dhow_api::Map;

/// An absent map as an empty one.
pub(crate) fn map<V>(map: Option<Map<V>>) -> Map<V> {
    map.unwrap_or_default()
}

/// An empty list as `null`, as Go prints lists that were never made.
pub(crate) fn null_list<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// An empty map as `null`.
pub(crate) fn null_map<V: Clone>(map: &Map<V>) -> Option<Map<V>> {
    (!map.is_empty()).then(|| map.clone())
}
