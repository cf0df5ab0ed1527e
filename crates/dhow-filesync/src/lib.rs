//! BuildKit's file synchronisation.
//!
//! The side that has a folder *sends*: it lists every file with its metadata ([`Stat`]), in the order of a walk, and gives
//! the content of those that it is asked for. The side that wants a copy *receives*: it compares the list with what it has
//! and asks for what differs. Both speak [`Packet`]s over any stream of messages.
pub use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
