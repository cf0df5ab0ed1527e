//! Directories kept open.
