//! RFC 3339 times as Go writes and reads them, without allocation.
