//! Volume names.

use std::fmt::Write as _;

/// Whether a volume may have this name: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at least two characters, as Docker has it.
pub(crate) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && name.len() <= 255
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// A name for an anonymous volume: 64 hex digits from 32 random bytes.
pub(crate) fn anonymous(random: &[u8; 32]) -> String {
    random
        .iter()
        .fold(String::with_capacity(64), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_names() {
        for (name, valid) in [
            ("data", true),
            ("a.b-c_d", true),
            ("0x", true),
            ("x", false),
            ("", false),
            (".hidden", false),
            ("-x", false),
            ("bad name", false),
            ("a/b", false),
            ("..", false),
            ("ünï", false),
        ] {
            assert_eq!(is_valid(name), valid, "{name}");
        }
        assert!(!is_valid(&"a".repeat(256)));
    }

    #[test]
    fn anonymous_names_are_valid() {
        let name = anonymous(&[0xab; 32]);
        assert_eq!(name, "ab".repeat(32));
        assert!(is_valid(&name));
    }
}
