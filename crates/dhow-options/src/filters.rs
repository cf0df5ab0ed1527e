//! `--filter key=value`.

/// Checks one value of `--filter`.
pub fn check(value: &str) -> Result<(), String> {
    if value.is_empty() || value.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".to_owned())
}
