//! What older API versions did differently: pure functions over requests and responses, and nowhere else.
//!
//! One file a noun. The wire types have the shapes of the newest version; for older ones these functions put back what
//! was dropped since, and take away what was not there yet. Each names the version in which the change came; Docker's
//! API history has the same lists. What depends on the version and is one comparison in a query (whether a parameter
//! is known yet) is `ApiVersion::before` in the route itself.

pub(crate) mod container;
pub(crate) mod create;
pub(crate) mod disk_usage;
pub(crate) mod event;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod system;
pub(crate) mod volume;

use serde_json::{Map, Value};

/// The object at `key` of an object.
fn inner<'a>(object: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(key).and_then(Value::as_object_mut)
}

/// Puts `value` where nothing stands yet.
fn fill(object: &mut Map<String, Value>, key: &str, value: Value) {
    object.entry(key).or_insert(value);
}

#[cfg(test)]
/// The versions at which every difference is tested.
const TESTED: [u16; 6] = [24, 40, 44, 51, 52, 56];
