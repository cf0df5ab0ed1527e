//! Errors of the system, as Go words them.

/// An error of the system in Go's words: lower case, without its number. Any other error keeps its letters.
#[must_use]
pub fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        // "Is a directory", but not "EOF" or "TLS …".
        Some(first) if error.raw_os_error().is_some() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn texts_are_gos() {
        for (error, text) in [
            (Error::from_raw_os_error(2), "no such file or directory"),
            (Error::from_raw_os_error(30), "read-only file system"),
            (Error::other("EOF"), "EOF"),
            (Error::other(""), ""),
        ] {
            assert_eq!(io_text(&error), text);
        }
    }
}
