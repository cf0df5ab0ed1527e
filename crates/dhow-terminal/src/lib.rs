//! Raw mode, tables, progress bars and Go-template formats.
