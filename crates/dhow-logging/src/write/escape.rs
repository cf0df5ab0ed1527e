//! JSON strings exactly as Docker's log encoder writes them.

/// Appends `text` with everything escaped that Docker escapes; bytes that are not UTF-8 become `\ufffd` each.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while !rest.is_empty() {
        let taken = push_run(out, rest);
        rest = &rest[taken..];
    }
}

/// Appends `text` up to and without its first newline, escaped; says where the newline is.
pub(crate) fn push_escaped_line(out: &mut Vec<u8>, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        let clean = clean_length(&text[at..]);
        out.extend_from_slice(&text[at..at + clean]);
        at += clean;
        match text.get(at) {
            None => return None,
            Some(b'\n') => return Some(at),
            Some(_) => at += push_special(out, &text[at..]),
        }
    }
    None
}

fn push_run(out: &mut Vec<u8>, text: &[u8]) -> usize {
    let clean = clean_length(text);
    if clean > 0 {
        out.extend_from_slice(&text[..clean]);
        return clean;
    }
    push_special(out, text)
}

/// Must this byte be looked at, rather than copied?
const fn special(byte: u8) -> bool {
    byte.wrapping_sub(0x20) >= 0x60 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// How many bytes at the beginning can be copied as they are. The inner loop has no branches, so that it is
/// compiled to vector instructions.
fn clean_length(text: &[u8]) -> usize {
    const WIDTH: usize = 32;
    let mut clean = 0;
    for block in text.chunks_exact(WIDTH) {
        let any = block.iter().fold(0_u8, |any, byte| {
            any | u8::from(byte.wrapping_sub(0x20) >= 0x60)
                | u8::from(*byte == b'"')
                | u8::from(*byte == b'\\')
                | u8::from(*byte == b'<')
                | u8::from(*byte == b'>')
                | u8::from(*byte == b'&')
        });
        if any != 0 {
            break;
        }
        clean += WIDTH;
    }
    let tail = &text[clean..];
    clean
        + tail
            .iter()
            .position(|byte| special(*byte))
            .unwrap_or(tail.len())
}

/// Appends what stands for the special byte or character at the beginning; says how many bytes that was.
fn push_special(out: &mut Vec<u8>, text: &[u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let byte = text[0];
    if byte >= 0x80 {
        return push_characters(out, text);
    }
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => out.extend_from_slice(&[
            b'\\',
            b'u',
            b'0',
            b'0',
            HEX[usize::from(byte >> 4)],
            HEX[usize::from(byte & 15)],
        ]),
    }
    1
}

/// A run of bytes ≥ 0x80: characters of two to four bytes, or no UTF-8 at all.
fn push_characters(out: &mut Vec<u8>, text: &[u8]) -> usize {
    let run = text
        .iter()
        .position(|byte| *byte < 0x80)
        .unwrap_or(text.len());
    for chunk in text[..run].utf8_chunks() {
        push_valid(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    run
}

/// Appends valid characters; the line and paragraph separators are escaped (JavaScript takes them for newlines).
fn push_valid(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['\u{2028}', '\u{2029}']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let separator = rest.as_bytes()[at + 2];
        out.extend_from_slice(if separator == 0xa8 {
            b"\\u2028"
        } else {
            b"\\u2029"
        });
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        push_escaped(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_as_docker_does() {
        for (text, expected) in [
            (&b"plain"[..], "plain"),
            (b"", ""),
            (b"a\"b\\c", "a\\\"b\\\\c"),
            (b"\r\n", "\\r\\n"),
            (b"\t\x00\x1f\x7f", "\\u0009\\u0000\\u001f\x7f"),
            (b"<a&b>", "\\u003ca\\u0026b\\u003e"),
            ("größe €😀".as_bytes(), "größe €😀"),
            ("a\u{2028}b\u{2029}c".as_bytes(), "a\\u2028b\\u2029c"),
            (b"\xff", "\\ufffd"),
            (b"a\xe2\x82z", "a\\ufffd\\ufffdz"),
            (b"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"),
            (b"\xc0\xafok", "\\ufffd\\ufffdok"),
            (b"\xf0\x9f\x98", "\\ufffd\\ufffd\\ufffd"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }

    #[test]
    fn agrees_with_a_plain_encoder_on_noise() {
        let mut seed = 7_u64;
        for length in 0..600 {
            let text: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let byte = u8::try_from(seed >> 56).unwrap();
                    if seed & 0x7000 == 0 {
                        byte
                    } else {
                        b' ' + byte % 90
                    }
                })
                .collect();
            let decoded: String = serde_json::from_str(&format!("\"{}\"", escaped(&text))).unwrap();
            let mut expected = String::new();
            for chunk in text.utf8_chunks() {
                expected.push_str(chunk.valid());
                chunk
                    .invalid()
                    .iter()
                    .for_each(|_| expected.push('\u{fffd}'));
            }
            assert_eq!(decoded, expected);
        }
    }

    #[test]
    fn a_line_ends_at_its_newline() {
        let mut out = Vec::new();
        let long = [vec![b'x'; 70], b"<\nrest".to_vec()].concat();
        assert_eq!(push_escaped_line(&mut out, &long), Some(71));
        assert_eq!(out.len(), 76);
        assert_eq!(push_escaped_line(&mut out, b"no end"), None);
        assert_eq!(push_escaped_line(&mut out, b""), None);
    }
}
