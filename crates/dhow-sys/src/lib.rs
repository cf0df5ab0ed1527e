//! The only unsafe code of Dhow: namespaces, mounts, descriptors, terminals and spawning.
//!
//! What `rustix` offers as a safe function is used from there directly by the other crates. This crate holds the
//! rest, each call wrapped as one safe function with its reason beside every `unsafe` block. Nothing here decides
//! anything: policy stands in the crates above.
//!
//! | module | what |
//! |---|---|
//! | [`clone`] | `clone3` with namespaces, a target cgroup and a pidfd, used as a richer `fork` |
//! | [`namespace`] | `unshare` and joining namespaces by descriptor |
//! | [`mount`] | `mount_setattr` and the other calls of the new mount interface that `rustix` lacks |
//! | [`overlay`] | overlay file systems as detached mounts |
//! | [`pty`] | pseudo terminals: allocation in a given devpts, window size, controlling terminal |
//! | [`fds`] | inheriting, duplicating and sweeping descriptors; passing them over unix sockets |
//! | [`exec`] | `execve` and what is set just before it: resource limits, personality, scheduling |
//! | [`identity`] | capabilities, user and group ids, keyrings |
//! | [`seccomp`] | loading a compiled filter |
//! | [`bpf`] | loading and attaching a device program of a v2 cgroup |
//! | [`signal`] | signal masks and signalfd |
//! | [`spawn`] | starting another program from a process with threads |
//! | [`memory`] | giving memory back |

#![allow(
    unsafe_code,
    reason = "this is the one crate that may; every block says why it is sound"
)]

pub mod bpf;
pub mod clone;
pub mod exec;
pub mod fds;
pub mod heap;
pub mod identity;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod overlay;
pub mod pty;
pub mod quota;
pub mod seccomp;
pub mod signal;
pub mod spawn;

mod call;
