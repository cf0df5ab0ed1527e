//! What Docker's users see of the language Docker is written in.
//!
//! Flags, options, filters and settings are read as Go's library reads them, and people and scripts know the texts
//! of its errors: `strconv.ParseBool: parsing "x": invalid syntax`, `time: unknown unit "x" in duration "5x"`,
//! `open /x: no such file or directory`. Whoever reads such a value or says such a text does it through this crate.
//!
//! ```
//! assert_eq!(dhow_golang::parse_duration("1m30s"), Ok(90_000_000_000));
//! let error = dhow_golang::parse_bool("x").unwrap_err();
//! assert_eq!(error.to_string(), r#"strconv.ParseBool: parsing "x": invalid syntax"#);
//! ```

mod duration;
mod io;
mod number;

pub use duration::{DurationError, format_duration, parse_duration};
pub use io::io_text;
pub use number::{NumberError, atoi, parse_bool, parse_int, parse_uint, quote};
