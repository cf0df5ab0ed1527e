//! The options of log files.

use crate::options::{Options, integer, size, text, truth};
use crate::{Error, LogConfig};

/// When a log file is full, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileOptions {
    /// Rotate before a line when the file has at least so many bytes; `None`: never.
    pub(super) max_size: Option<u64>,
    /// How many files there are at most.
    pub(super) max_file: u32,
    /// Compress the rotated ones.
    pub(super) compress: bool,
}

/// Docker's default size of a file of `local`.
const LOCAL_SIZE: u64 = 20 * 1024 * 1024;
/// Docker's default number of files of `local`.
const LOCAL_FILES: i64 = 5;

impl FileOptions {
    /// Reads them from a log's options, with the texts of Docker.
    pub(super) fn of(config: &LogConfig) -> Result<Self, Error> {
        let options = &config.options;
        match config.driver.as_str() {
            "" | "json-file" => Self::json_file(options),
            "local" => Self::local(options, ["max-size", "max-file", "compress"]),
            _ => Self::local(
                options,
                ["cache-max-size", "cache-max-file", "cache-compress"],
            ),
        }
        .map_err(Error::Driver)
    }

    fn json_file(options: &Options) -> Result<Self, String> {
        let max_size = match options.get("max-size") {
            Some(text) => match size(text, 1000.0)? {
                0 => return Err("max-size must be a positive number".into()),
                size => Some(size),
            },
            None => None,
        };
        let max_file = match options.get("max-file") {
            Some(text) => integer(text)?,
            None => 1,
        };
        if max_file < 1 {
            return Err("max-file cannot be less than 1".into());
        }
        let compress = match options.get("compress") {
            Some(text) => truth(text)?,
            None => false,
        };
        if compress && (max_file < 2 || max_size.is_none()) {
            return Err(
                "compress cannot be true when max-file is less than 2 or max-size is not set"
                    .into(),
            );
        }
        Ok(Self {
            max_size,
            max_file: u32::try_from(max_file).unwrap_or(u32::MAX),
            compress,
        })
    }

    fn local(
        options: &Options,
        [size_name, files_name, compress_name]: [&str; 3],
    ) -> Result<Self, String> {
        let max_size = match text(options, size_name) {
            "" => LOCAL_SIZE,
            value => size(value, 1024.0)
                .map_err(|text| format!("invalid value for {size_name}: {value}: {text}"))?,
        };
        let max_file = match text(options, files_name) {
            "" => LOCAL_FILES,
            value => integer(value)
                .map_err(|text| format!("invalid value for {files_name}: {value}: {text}"))?,
        };
        let compress = match text(options, compress_name) {
            "" => true,
            value => truth(value)
                .map_err(|text| format!("error reading {compress_name} log option: {text}"))?,
        };
        if max_file < 0 {
            return Err("max file count cannot be less than 1".into());
        }
        if compress && max_file <= 1 {
            return Err("compression cannot be enabled when max file count is 1".into());
        }
        Ok(Self {
            max_size: Some(max_size.max(1)),
            max_file: u32::try_from(max_file.max(1)).unwrap_or(u32::MAX),
            compress,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(driver: &str, pairs: &[&str]) -> String {
        let pair = |pair: &&str| {
            let (key, value) = pair.split_once('=').unwrap_or_default();
            (key.to_string(), value.to_string())
        };
        let config = LogConfig {
            driver: driver.into(),
            options: pairs.iter().map(pair).collect(),
            ..LogConfig::default()
        };
        FileOptions::of(&config)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    /// As a real engine (28.5) said when it started a container.
    #[test]
    fn wrong_values_have_dockers_texts() {
        let compress =
            "compress cannot be true when max-file is less than 2 or max-size is not set";
        for (driver, options, text) in [
            (
                "json-file",
                &["max-size=0"][..],
                "max-size must be a positive number",
            ),
            ("json-file", &["max-size=x"], "invalid size: 'x'"),
            ("", &["max-size=-1"], "invalid size: '-1'"),
            ("", &["max-size=1q"], "invalid suffix: 'q'"),
            ("", &["max-size="], "invalid size: ''"),
            ("", &["max-file=0"], "max-file cannot be less than 1"),
            (
                "",
                &["max-file=x"],
                "strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                "",
                &["compress=x"],
                "strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            ("", &["compress=true"], compress),
            ("", &["compress=true", "max-file=2"], compress),
            ("", &["compress=true", "max-file=2", "max-size=10"], ""),
            (
                "local",
                &["max-size=x"],
                "invalid value for max-size: x: invalid size: 'x'",
            ),
            (
                "local",
                &["max-file=x"],
                "invalid value for max-file: x: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                "local",
                &["compress=x"],
                "error reading compress log option: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            (
                "local",
                &["max-file=1"],
                "compression cannot be enabled when max file count is 1",
            ),
            ("local", &["max-file=1", "compress=false"], ""),
            ("local", &["max-size=0"], ""),
            // Docker passes these over.
            (
                "gelf",
                &["cache-max-size=x"],
                "invalid value for cache-max-size: x: invalid size: 'x'",
            ),
        ] {
            assert_eq!(refused(driver, options), text, "{driver} {options:?}");
        }
    }
}
