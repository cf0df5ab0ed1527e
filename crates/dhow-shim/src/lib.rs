//! The per-container supervisor: protocol, server and client.
