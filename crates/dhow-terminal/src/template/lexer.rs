//! Splits a template into text and, inside `{{` and `}}`, tokens.

/// A token inside an action.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// `.Name`, without the dot.
    Field(String),
    Dot,
    /// `$x`, with the dollar sign.
    Variable(String),
    Word(String),
    Text(String),
    Number(String),
    Char(char),
    Pipe,
    Open,
    Close,
    Comma,
    Declare,
    Assign,
}

/// A token, where it stands, how it is written, and whether a space precedes it.
#[derive(Debug, Clone)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) at: usize,
    pub(crate) source: String,
    pub(crate) spaced: bool,
}

/// A piece of a template.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String),
    Action { at: usize, tokens: Vec<Spanned> },
}

/// A lexical error: the offset and Go's text.
pub(crate) type Failure = (usize, String);

pub(crate) fn split(text: &str) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    loop {
        let rest = &text[at..];
        let open = rest.find("{{");
        let mut plain = &rest[..open.unwrap_or(rest.len())];
        if trim_next {
            plain = plain.trim_start_matches(is_space);
        }
        let Some(open) = open else {
            push_text(&mut pieces, plain);
            return Ok(pieces);
        };
        let mut inside = at + open + 2;
        if trims_left(&text[inside..]) {
            plain = plain.trim_end_matches(is_space);
            inside += 2;
        }
        push_text(&mut pieces, plain);
        let end = if text[inside..]
            .trim_start_matches(is_space)
            .starts_with("/*")
        {
            comment(text, inside)?
        } else {
            let mut lexer = Lexer {
                text,
                at: inside,
                tokens: Vec::new(),
                depth: 0,
            };
            let end = lexer.action()?;
            pieces.push(Piece::Action {
                at: inside,
                tokens: lexer.tokens,
            });
            end
        };
        trim_next = text.as_bytes()[end] == b'-';
        at = if trim_next { end + 3 } else { end + 2 };
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Whether `- ` follows the opening braces.
fn trims_left(inside: &str) -> bool {
    inside.starts_with('-') && inside[1..].starts_with(is_space)
}

/// The offset of the closing braces (or of their trim marker) of a comment.
fn comment(text: &str, inside: usize) -> Result<usize, Failure> {
    let end = text[inside..]
        .find("*/")
        .ok_or((inside, "unclosed comment".to_owned()))?;
    let after = inside + end + 2;
    let rest = &text[after..];
    if rest.starts_with("}}") {
        return Ok(after);
    }
    let spaces = rest.len() - rest.trim_start_matches(is_space).len();
    if spaces > 0 && rest[spaces..].starts_with("-}}") {
        return Ok(after + spaces);
    }
    Err((after, "comment ends before closing delimiter".to_owned()))
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Spanned>,
    depth: usize,
}

impl Lexer<'_> {
    /// Reads tokens up to the closing braces; returns their offset, or that of their trim marker.
    fn action(&mut self) -> Result<usize, Failure> {
        let mut spaced = false;
        loop {
            let rest = &self.text[self.at..];
            let Some(first) = rest.chars().next() else {
                return Err((self.at, "unclosed action".to_owned()));
            };
            if is_space(first) {
                self.at += 1;
                spaced = true;
                continue;
            }
            if rest.starts_with("}}") || (spaced && rest.starts_with("-}}")) {
                return if self.depth == 0 {
                    Ok(self.at)
                } else {
                    Err((self.at, "unclosed left paren".to_owned()))
                };
            }
            let start = self.at;
            let token = self.token(rest, first)?;
            let source = self.text[start..self.at].to_owned();
            self.tokens.push(Spanned {
                token,
                at: start,
                source,
                spaced,
            });
            spaced = false;
        }
    }

    fn token(&mut self, rest: &str, first: char) -> Result<Token, Failure> {
        let next_digit = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        match first {
            '|' => Ok(self.take(1, Token::Pipe)),
            ',' => Ok(self.take(1, Token::Comma)),
            '=' => Ok(self.take(1, Token::Assign)),
            ':' if rest.starts_with(":=") => Ok(self.take(2, Token::Declare)),
            ':' => Err((self.at, "expected :=".to_owned())),
            '(' => {
                self.depth += 1;
                Ok(self.take(1, Token::Open))
            }
            ')' => {
                self.depth = self
                    .depth
                    .checked_sub(1)
                    .ok_or((self.at, "unexpected right paren".to_owned()))?;
                Ok(self.take(1, Token::Close))
            }
            '"' => self.quoted(rest),
            '`' => {
                let end = rest[1..].find('`');
                let end = end.ok_or((self.at, "unterminated raw quoted string".to_owned()))?;
                Ok(self.take(end + 2, Token::Text(rest[1..=end].to_owned())))
            }
            '\'' => self.character(rest),
            '.' if !next_digit => {
                let name = word(&rest[1..]);
                let token = if name.is_empty() {
                    Token::Dot
                } else {
                    Token::Field(name.into())
                };
                Ok(self.take(1 + name.len(), token))
            }
            '$' => {
                let name = word(&rest[1..]);
                Ok(self.take(1 + name.len(), Token::Variable(format!("${name}"))))
            }
            '0'..='9' | '.' => Ok(self.number(rest)),
            '+' | '-' if next_digit || rest[1..].starts_with('.') => Ok(self.number(rest)),
            c if c.is_alphabetic() || c == '_' => {
                let name = word(rest);
                Ok(self.take(name.len(), Token::Word(name.to_owned())))
            }
            c => Err((
                self.at,
                format!("unexpected {c:?} in command").replace('\'', ""),
            )),
        }
    }

    fn take(&mut self, bytes: usize, token: Token) -> Token {
        self.at += bytes;
        token
    }

    fn number(&mut self, rest: &str) -> Token {
        let body = &rest[1..];
        let length = body
            .char_indices()
            .find(|&(at, c)| {
                let exponent_sign = matches!(c, '+' | '-') && body[..at].ends_with(['e', 'E']);
                !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent_sign)
            })
            .map_or(body.len(), |(at, _)| at);
        let text = rest[..=length].to_owned();
        self.take(length + 1, Token::Number(text))
    }

    fn quoted(&mut self, rest: &str) -> Result<Token, Failure> {
        let unterminated = (self.at, "unterminated quoted string".to_owned());
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => return Err(unterminated),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let text = unquote(&rest[1..at])
                        .ok_or_else(|| (self.at, "invalid syntax".to_owned()))?;
                    return Ok(self.take(at + 1, Token::Text(text)));
                }
                _ => {}
            }
        }
        Err(unterminated)
    }

    fn character(&mut self, rest: &str) -> Result<Token, Failure> {
        let failure = (self.at, "unterminated character constant".to_owned());
        let start = if rest[1..].starts_with('\\') { 3 } else { 1 };
        let end = rest
            .get(start..)
            .and_then(|r| r.find('\''))
            .ok_or(failure.clone())?
            + start;
        let text = unquote(&rest[1..end]).ok_or(failure.clone())?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) => Ok(self.take(end + 1, Token::Char(c))),
            _ => Err(failure),
        }
    }
}

fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    &rest[..end.unwrap_or(rest.len())]
}

/// Resolves Go's escapes.
fn unquote(body: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let code = |rest: &mut std::str::Chars<'_>, digits: usize| {
            let text = rest.as_str().get(..digits)?;
            *rest = rest.as_str()[digits..].chars();
            char::from_u32(u32::from_str_radix(text, 16).ok()?)
        };
        out.push(match rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' => '\\',
            '"' => '"',
            '\'' => '\'',
            'x' => code(&mut rest, 2)?,
            'u' => code(&mut rest, 4)?,
            'U' => code(&mut rest, 8)?,
            _ => return None,
        });
    }
    Some(out)
}
