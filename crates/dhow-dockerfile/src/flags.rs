//! Flags of instructions: `--name=value` between the keyword and the rest.

use crate::suggest::suggest;

/// Takes the words that begin with `--` off the front; returns them, quotes and escapes resolved, and the rest.
pub(crate) fn extract(line: &str, escape: char) -> (Vec<String>, String) {
    let mut flags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest.to_owned());
        }
        let (word, after) = word(rest, escape);
        rest = after;
        if word == "--" {
            return (flags, rest.trim_start().to_owned());
        }
        flags.push(word);
    }
}

/// The first word of `text`, and what follows it.
fn word(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if letter.is_whitespace() => return (word, &text[at..]),
            _ if letter == escape && quote != Some('\'') => {
                if let Some((_, next)) = letters.next() {
                    word.push(next);
                }
            }
            _ => word.push(letter),
        }
    }
    (word, "")
}

/// The flags of one instruction, checked against those it has.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    given: Vec<(String, String)>,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `--name=value`, once.
    Value,
    /// `--name=value`, as often as wanted.
    Values,
    /// `--name`, or `--name=true`.
    Switch,
}

impl Flags {
    /// Reads the flags `words` of an instruction that knows `known`.
    pub(crate) fn read(words: &[String], known: &[(&str, Takes)]) -> Result<Self, String> {
        let mut flags = Self::default();
        for word in words {
            let text = word.trim_start_matches("--");
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let Some((_, takes)) = known.iter().find(|(known, _)| *known == name) else {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                return Err(format!("unknown flag: --{name}{}", suggest(name, &names)));
            };
            if *takes != Takes::Values && flags.given.iter().any(|(given, _)| given == name) {
                return Err(format!("duplicate flag specified: --{name}"));
            }
            let value = match (takes, value) {
                (Takes::Switch, None) => "true".to_owned(),
                (Takes::Switch, Some(value)) => match value.to_ascii_lowercase().as_str() {
                    "true" => "true".to_owned(),
                    "false" => "false".to_owned(),
                    _ => {
                        return Err(format!(
                            "expecting boolean value for flag --{name}, not: {value}"
                        ));
                    }
                },
                (_, None) => return Err(format!("missing a value on flag: --{name}")),
                (_, Some(value)) => value.to_owned(),
            };
            flags.given.push((name.to_owned(), value));
        }
        Ok(flags)
    }

    /// The value of a flag that is given at most once.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.given
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The same, owned.
    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }

    /// All values of a flag.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let all = self.given.iter().filter(|(given, _)| given == name);
        all.map(|(_, value)| value.clone()).collect()
    }

    /// Whether a switch is on; nothing when it is not given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn flags_come_first_and_may_be_quoted() {
        let (flags, rest) = extract(r#"--a="x y" --b='z'\ w  -c --d"#, '\\');
        assert_eq!(flags, ["--a=x y", "--b=z w"]);
        assert_eq!(rest, "-c --d");
        assert_eq!(extract("-- --a", '\\'), (vec![], "--a".to_owned()));
    }

    #[test]
    fn wrong_flags_are_told() {
        let known = [
            ("from", Takes::Value),
            ("link", Takes::Switch),
            ("exclude", Takes::Values),
        ];
        let read = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            Flags::read(&words, &known)
        };
        let error = |words: &[&str]| read(words).unwrap_err();
        assert_eq!(
            error(&["--fron=a"]),
            "unknown flag: --fron (did you mean from?)"
        );
        assert_eq!(error(&["--from"]), "missing a value on flag: --from");
        assert_eq!(
            error(&["--from=a", "--from=b"]),
            "duplicate flag specified: --from"
        );
        assert_eq!(
            error(&["--link=x"]),
            "expecting boolean value for flag --link, not: x"
        );
        let flags = read(&["--exclude=a", "--exclude=b", "--link"]).unwrap();
        assert_eq!(flags.values("exclude"), ["a", "b"]);
        assert_eq!(flags.switch("link"), Some(true));
    }
}
