//! Container log drivers: writers and readers.
