//! The syntax of JSON, checked with the texts of Go's `encoding/json`, which Docker's clients know.

/// How deep objects and lists may be nested, as in Go... but for what a stack here can bear.
const DEPTH: usize = 120;

struct Scanner<'a> {
    rest: &'a [u8],
    depth: usize,
}

/// Checks that `bytes` begins with a JSON value and gives what comes after it.
pub(super) fn check(bytes: &[u8]) -> Result<&[u8], String> {
    let mut scanner = Scanner {
        rest: bytes,
        depth: 0,
    };
    scanner.skip_space();
    if scanner.rest.is_empty() {
        return Err("got EOF while reading request body".to_owned());
    }
    scanner.value()?;
    Ok(scanner.rest)
}

type Checked = Result<(), String>;

fn eof<T>() -> Result<T, String> {
    Err("unexpected EOF".to_owned())
}

fn unexpected<T>(byte: u8, context: &str) -> Result<T, String> {
    let shown = match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
        _ => format!("'{}'", char::from(byte)),
    };
    Err(format!("invalid character {shown} {context}"))
}

impl Scanner<'_> {
    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn next(&mut self) -> Result<u8, String> {
        let [byte, rest @ ..] = self.rest else {
            return eof();
        };
        self.rest = rest;
        Ok(*byte)
    }

    fn next_solid(&mut self) -> Result<u8, String> {
        self.skip_space();
        self.next()
    }

    fn value(&mut self) -> Checked {
        let byte = self.next_solid()?;
        self.value_from(byte)
    }

    fn value_from(&mut self, byte: u8) -> Checked {
        match byte {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => self.string(),
            b'-' => match self.next()? {
                digit @ b'0'..=b'9' => self.number(digit),
                other => unexpected(other, "in numeric literal"),
            },
            digit @ b'0'..=b'9' => self.number(digit),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            other => unexpected(other, "looking for beginning of value"),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Checked) -> Checked {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn object(&mut self) -> Checked {
        let mut first = true;
        loop {
            match self.next_solid()? {
                b'"' => self.string()?,
                b'}' if first => return Ok(()),
                other => return unexpected(other, "looking for beginning of object key string"),
            }
            first = false;
            match self.next_solid()? {
                b':' => self.value()?,
                other => return unexpected(other, "after object key"),
            }
            match self.next_solid()? {
                b',' => {}
                b'}' => return Ok(()),
                other => return unexpected(other, "after object key:value pair"),
            }
        }
    }

    fn list(&mut self) -> Checked {
        match self.next_solid()? {
            b']' => return Ok(()),
            byte => self.value_from(byte)?,
        }
        loop {
            match self.next_solid()? {
                b',' => self.value()?,
                b']' => return Ok(()),
                other => return unexpected(other, "after array element"),
            }
        }
    }

    fn string(&mut self) -> Checked {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.next()?;
                            if !digit.is_ascii_hexdigit() {
                                return unexpected(digit, r"in \u hexadecimal character escape");
                            }
                        }
                    }
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    other => return unexpected(other, "in string escape code"),
                },
                control @ 0..0x20 => return unexpected(control, "in string literal"),
                _ => {}
            }
        }
    }

    fn literal(&mut self, word: &str) -> Checked {
        for wanted in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != wanted {
                let wanted = char::from(wanted);
                return unexpected(byte, &format!("in literal {word} (expecting '{wanted}')"));
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Checked {
        if first != b'0' {
            self.digits();
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            match self.next()? {
                b'0'..=b'9' => self.digits(),
                other => return unexpected(other, "after decimal point in numeric literal"),
            }
        }
        if let [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            let mut byte = self.next()?;
            if matches!(byte, b'+' | b'-') {
                byte = self.next()?;
            }
            if !byte.is_ascii_digit() {
                return unexpected(byte, "in exponent of numeric literal");
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_gos() {
        for (text, error) in [
            ("", "got EOF while reading request body"),
            ("{", "unexpected EOF"),
            (
                "{bad",
                "invalid character 'b' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\":1 \"b\"}",
                "invalid character '\"' after object key:value pair",
            ),
            (
                "{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            ("[1 2]", "invalid character '2' after array element"),
            (
                "nope",
                "invalid character 'o' in literal null (expecting 'u')",
            ),
            ("tru", "unexpected EOF"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("-a", "invalid character 'a' in numeric literal"),
            (
                "1.x",
                "invalid character 'x' after decimal point in numeric literal",
            ),
            (
                "1ex",
                "invalid character 'x' in exponent of numeric literal",
            ),
            (r#""\q""#, "invalid character 'q' in string escape code"),
            (
                r#""\u00zz""#,
                r"invalid character 'z' in \u hexadecimal character escape",
            ),
            ("\"a\nb\"", r"invalid character '\n' in string literal"),
        ] {
            assert_eq!(check(text.as_bytes()), Err(error.to_owned()), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(check(deep.as_bytes()), Err("exceeded max depth".to_owned()));
    }

    #[test]
    fn values_end_where_they_end() {
        for (text, rest) in [
            ("{}", ""),
            (
                " [1, -2.5e+3, \"a\\u00e9\", null, {\"k\": [true, false]}] x",
                " x",
            ),
            ("01", "1"),
        ] {
            assert_eq!(check(text.as_bytes()), Ok(rest.as_bytes()), "{text}");
        }
    }
}
