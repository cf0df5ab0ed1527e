//! The registry client: resolve, authenticate, pull, push.
