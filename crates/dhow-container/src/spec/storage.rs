//! `--storage-opt`: how much a container may write.

use std::collections::BTreeMap;

use super::Invalid;

/// The least that makes sense: an empty layer takes some blocks itself.
const LEAST: u64 = 1 << 20;

/// The limit in bytes of what a container may write; none without the option `size`.
///
/// # Errors
/// An option is unknown or no size, in Docker's words; or the file system can't limit (`quotas`), as Docker says it.
pub fn storage_size(
    options: &BTreeMap<String, String>,
    quotas: bool,
) -> Result<Option<u64>, Invalid> {
    let mut limit = None;
    for (name, value) in options {
        if !name.eq_ignore_ascii_case("size") {
            return Err(Invalid(format!("Unknown option {name}")));
        }
        if !quotas {
            return Err(Invalid::new(
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
            ));
        }
        let size = bytes(value).ok_or_else(|| Invalid(format!("invalid size: '{value}'")))?;
        if size < LEAST {
            return Err(Invalid(format!(
                "invalid storage size '{value}': at least 1MiB is needed"
            )));
        }
        limit = Some(size);
    }
    Ok(limit)
}

/// A size as Docker reads it: a number, and a unit of powers of 1024 (`k`, `kb`, `KiB`).
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let power = match unit.strip_suffix('b').unwrap_or(unit) {
        "" => 0,
        other => {
            let letter = other.strip_suffix('i').unwrap_or(other);
            1 + ["k", "m", "g", "t", "p"]
                .iter()
                .position(|known| *known == letter)?
        }
    };
    let factor = 1_u64 << (10 * power);
    let (whole, part) = digits
        .trim_end()
        .split_once('.')
        .unwrap_or((digits.trim_end(), ""));
    let whole: u64 = whole.parse().ok()?;
    // Nine digits behind the point are more than anybody means.
    if part.len() > 9 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction = match part {
        "" => 0,
        part => {
            let ten = 10_u128.pow(u32::try_from(part.len()).ok()?);
            u64::try_from(u128::from(part.parse::<u64>().ok()?) * u128::from(factor) / ten).ok()?
        }
    };
    whole.checked_mul(factor)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_does() {
        for (text, wanted) in [
            ("10m", Some(10 << 20)),
            ("1.5G", Some(3 << 29)),
            ("2KiB", Some(2048)),
            ("120", Some(120)),
            ("3 mb", Some(3 << 20)),
            ("1b", Some(1)),
            ("", None),
            ("m", None),
            ("-1m", None),
            ("1x", None),
            ("1.2.3g", None),
            ("99999999999p", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_limited_is_refused() {
        let read = |name: &str, value: &str, quotas| {
            storage_size(&BTreeMap::from([(name.into(), value.into())]), quotas)
                .map_err(|error| error.0)
        };
        assert_eq!(read("size", "10G", true), Ok(Some(10 << 30)));
        assert_eq!(read("Size", "10G", true), Ok(Some(10 << 30)));
        assert!(read("size", "10G", false).unwrap_err().contains("'pquota'"));
        assert_eq!(read("x", "y", true).unwrap_err(), "Unknown option x");
        assert_eq!(read("size", "x", true).unwrap_err(), "invalid size: 'x'");
        assert!(read("size", "1k", true).is_err());
        assert_eq!(storage_size(&BTreeMap::new(), false), Ok(None));
    }
}
