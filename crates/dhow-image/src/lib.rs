//! Image records, unpacking, import and export.
