//! Numbers and truth values, as Go's `strconv` reads them.

/// A text that is no number, or not one of the wanted size; the texts are those of Go's `strconv.NumError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It is no number at all.
    #[error("strconv.{function}: parsing {}: invalid syntax", quote(text))]
    Syntax {
        /// Go's function.
        function: &'static str,
        /// What was read.
        text: String,
    },
    /// It has more bits than wanted.
    #[error("strconv.{function}: parsing {}: value out of range", quote(text))]
    Range {
        /// Go's function.
        function: &'static str,
        /// What was read.
        text: String,
    },
}

/// A truth value (`strconv.ParseBool`).
///
/// # Errors
/// It is none of `1 t T TRUE true True 0 f F FALSE false False`.
pub fn parse_bool(text: &str) -> Result<bool, NumberError> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(Number("ParseBool", text).syntax()),
    }
}

/// A decimal number (`strconv.Atoi`).
///
/// # Errors
/// It is no number, or one of more than 64 bits.
pub fn atoi(text: &str) -> Result<i64, NumberError> {
    Number("Atoi", text).signed(10, 64)
}

/// A number of at most `bits` bits (`strconv.ParseInt`); with base 0, `0x`, `0o`, `0` and `0b` say theirs.
///
/// # Errors
/// It is no number, or one of more bits.
pub fn parse_int(text: &str, base: u32, bits: u32) -> Result<i64, NumberError> {
    Number("ParseInt", text).signed(base, bits)
}

/// A number without a sign of at most `bits` bits (`strconv.ParseUint`); base 0 as with [`parse_int`].
///
/// # Errors
/// It is no number, or one of more bits.
pub fn parse_uint(text: &str, base: u32, bits: u32) -> Result<u64, NumberError> {
    let number = Number("ParseUint", text);
    let magnitude = magnitude(text, base).ok_or_else(|| number.syntax())?;
    match u64::try_from(magnitude) {
        Ok(value) if magnitude < 1_i128 << bits => Ok(value),
        _ => Err(number.range()),
    }
}

/// A text in Go's double quotes (`strconv.Quote`).
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\x07' => quoted += "\\a",
            '\x08' => quoted += "\\b",
            '\x0c' => quoted += "\\f",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            '\x0b' => quoted += "\\v",
            c if c.is_ascii_control() => quoted += &format!("\\x{:02x}", u32::from(c)),
            c if c.is_control() => quoted += &format!("\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Go's function and the text it reads.
#[derive(Clone, Copy)]
struct Number<'a>(&'static str, &'a str);

impl Number<'_> {
    fn syntax(self) -> NumberError {
        let text = self.1.to_owned();
        let function = self.0;
        NumberError::Syntax { function, text }
    }

    fn range(self) -> NumberError {
        let text = self.1.to_owned();
        let function = self.0;
        NumberError::Range { function, text }
    }

    fn signed(self, base: u32, bits: u32) -> Result<i64, NumberError> {
        let (negative, digits) = match self.1.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, self.1.strip_prefix('+').unwrap_or(self.1)),
        };
        let magnitude = magnitude(digits, base).ok_or_else(|| self.syntax())?;
        let number = if negative { -magnitude } else { magnitude };
        let limit = 1_i128 << (bits - 1);
        match i64::try_from(number) {
            Ok(value) if (-limit..limit).contains(&number) => Ok(value),
            _ => Err(self.range()),
        }
    }
}

/// Digits with the prefix of their base; huge numbers become the largest there are.
fn magnitude(text: &str, base: u32) -> Option<i128> {
    let (radix, digits) = match text.as_bytes() {
        _ if base != 0 => (base, text),
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, text),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    Some(i128::from_str_radix(digits, radix).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_bases_are_gos() {
        for (text, base, bits, number) in [
            ("0", 0, 64, 0),
            ("-12", 10, 8, -12),
            ("+7", 10, 64, 7),
            ("010", 10, 64, 10),
            ("010", 0, 64, 8),
            ("-0x1F", 0, 64, -31),
            ("0b101", 0, 64, 5),
            ("0o17", 0, 64, 15),
            ("-128", 10, 8, -128),
            ("9223372036854775807", 10, 64, i64::MAX),
            ("-9223372036854775808", 10, 64, i64::MIN),
        ] {
            assert_eq!(parse_int(text, base, bits), Ok(number), "{text}");
        }
        assert_eq!(parse_uint("18446744073709551615", 10, 64), Ok(u64::MAX));
        assert_eq!(parse_uint("65535", 10, 16), Ok(65_535));
    }

    #[test]
    fn errors_are_gos() {
        let text = |outcome: Result<i64, NumberError>| outcome.map_err(|error| error.to_string());
        for (outcome, expected) in [
            (
                text(parse_int("x", 0, 64)),
                r#"strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                text(parse_int("128", 0, 8)),
                r#"strconv.ParseInt: parsing "128": value out of range"#,
            ),
            (
                text(parse_int("--1", 10, 64)),
                r#"strconv.ParseInt: parsing "--1": invalid syntax"#,
            ),
            (
                text(atoi("")),
                r#"strconv.Atoi: parsing "": invalid syntax"#,
            ),
            (
                text(atoi(&"9".repeat(60))),
                &format!(
                    "strconv.Atoi: parsing \"{}\": value out of range",
                    "9".repeat(60)
                ),
            ),
            (
                text(parse_uint("-1", 10, 64).map(|_| 0)),
                r#"strconv.ParseUint: parsing "-1": invalid syntax"#,
            ),
            (
                text(parse_uint("+1", 10, 64).map(|_| 0)),
                r#"strconv.ParseUint: parsing "+1": invalid syntax"#,
            ),
            (
                text(parse_uint("65536", 10, 16).map(|_| 0)),
                r#"strconv.ParseUint: parsing "65536": value out of range"#,
            ),
            (
                text(parse_bool("yes\"").map(i64::from)),
                r#"strconv.ParseBool: parsing "yes\"": invalid syntax"#,
            ),
        ] {
            assert_eq!(outcome, Err(expected.to_owned()));
        }
    }

    #[test]
    fn quotes_are_gos() {
        for (text, quoted) in [
            ("", r#""""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
            ("\x01\x7f\u{85}", r#""\x01\x7f\u0085""#),
            ("grün µ", r#""grün µ""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
