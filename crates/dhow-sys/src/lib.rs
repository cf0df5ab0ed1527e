//! The only unsafe code of Dhow: namespaces, mounts, pidfds, descriptors, terminals and spawning.

pub mod overlay;
