//! Flags in the manner of `pflag`, driven by tables.
//!
//! A [`Flag`] is an entry of a `const` table from which parsing, help and completion all work. [`parse`] reads a
//! command line against the tables: `--name value`, `--name=value`, `-n value`, `-nvalue`, bundles (`-it`),
//! `--switch=false`, `--` and, unless a command is `interspersed`, no flags after the first argument.

use crate::options::duration;

/// How a flag's value is read and how often it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On by being named; takes a value only after `=`.
    Switch,
    /// The last one given counts.
    Text,
    /// Every one given counts.
    List,
    /// Every one given counts, and each may hold several, separated by commas.
    Strings,
    /// A signed integer of that many bits.
    Int(u32),
    /// An unsigned integer of that many bits.
    Uint(u32),
    /// Go's durations: `1m30s`.
    Duration,
}

/// Checks one value; the error becomes part of `invalid argument … for … flag`.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    /// The kind of value as help shows it; empty for switches.
    pub(crate) value: &'static str,
    /// Help, with the default where help shows one.
    pub(crate) usage: &'static str,
    pub(crate) default: &'static str,
    pub(crate) hidden: bool,
    /// The flag this is another name of.
    pub(crate) alias_of: &'static str,
    pub(crate) check: Option<Check>,
}

impl Flag {
    /// A switch.
    pub(crate) const fn switch(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Switch, "", usage)
    }

    /// A flag that takes a text.
    pub(crate) const fn text(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Text, "string", usage)
    }

    /// A flag that may be repeated.
    pub(crate) const fn list(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::List, "list", usage)
    }

    /// A flag that takes an integer.
    pub(crate) const fn int(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Int(64), "int", usage)
    }

    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        value: &'static str,
        usage: &'static str,
    ) -> Self {
        Self {
            name,
            short: None,
            kind,
            value,
            usage,
            default: "",
            hidden: false,
            alias_of: "",
            check: None,
        }
    }

    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    pub(crate) const fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(crate) const fn alias(name: &'static str, of: &Self) -> Self {
        let mut flag = *of;
        flag.name = name;
        flag.short = None;
        flag.alias_of = of.name;
        flag.hidden = true;
        flag
    }

    /// `-m, --memory`, as errors name the flag.
    fn spelled(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }

    fn validate(&self, value: &str) -> Result<(), String> {
        let outcome = match self.kind {
            Kind::Switch => boolean(value).map(drop),
            Kind::Int(bits) => signed(value, bits).map(drop),
            Kind::Uint(bits) => unsigned(value, bits).map(drop),
            Kind::Duration => duration::parse(value).map(drop),
            Kind::Text | Kind::List | Kind::Strings => Ok(()),
        };
        outcome
            .and_then(|()| self.check.map_or(Ok(()), |check| check(value)))
            .map_err(|error| {
                format!(
                    "invalid argument {value:?} for {:?} flag: {error}",
                    self.spelled()
                )
            })
    }
}

/// The flags and arguments of one command line.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parsed {
    values: Vec<(&'static str, String)>,
    flags: Vec<Flag>,
    /// What is no flag.
    pub(crate) arguments: Vec<String>,
}

impl Parsed {
    /// Whether the flag was given at all.
    pub(crate) fn changed(&self, name: &str) -> bool {
        self.values.iter().any(|(known, _)| *known == name)
    }

    /// Whether no flag was given.
    pub(crate) fn nothing_changed(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        boolean(self.text(name)).unwrap_or(false)
    }

    /// The last value given, or the default.
    pub(crate) fn text(&self, name: &str) -> &str {
        let given = self.values.iter().rev().find(|(known, _)| *known == name);
        match given {
            Some((_, value)) => value,
            None => self
                .flags
                .iter()
                .find(|flag| flag.name == name)
                .map_or("", |flag| flag.default),
        }
    }

    /// All values given, in order.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let flag = self.flags.iter().find(|flag| flag.name == name);
        let commas = flag.is_some_and(|flag| flag.kind == Kind::Strings);
        let given = self
            .values
            .iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value);
        if commas {
            given
                .flat_map(|value| value.split(','))
                .map(str::to_owned)
                .collect()
        } else {
            given.cloned().collect()
        }
    }

    pub(crate) fn int(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// A duration in nanoseconds.
    pub(crate) fn duration(&self, name: &str) -> i64 {
        duration::parse(self.text(name)).unwrap_or(0)
    }

    pub(crate) fn argument(&self, at: usize) -> &str {
        self.arguments.get(at).map_or("", String::as_str)
    }
}

/// What a command line turned out to be.
#[derive(Debug)]
pub(crate) enum Outcome {
    Parsed(Parsed),
    /// `--help` was asked for; `true` if by the deprecated `-h`.
    Help(bool),
}

/// Reads `args` against `tables`.
///
/// # Errors
/// pflag's texts: `unknown flag: --foo`, `unknown shorthand flag: 'x' in -x`, `flag needs an argument: --foo`.
pub(crate) fn parse(
    tables: &[&[Flag]],
    interspersed: bool,
    args: &[String],
) -> Result<Outcome, String> {
    let flags: Vec<Flag> = tables
        .iter()
        .flat_map(|table| table.iter().copied())
        .collect();
    let mut reader = Reader {
        args,
        next: 0,
        parsed: Parsed {
            flags,
            ..Parsed::default()
        },
        help: None,
    };
    while let Some(argument) = args.get(reader.next) {
        reader.next += 1;
        if argument == "--" {
            reader
                .parsed
                .arguments
                .extend_from_slice(&args[reader.next..]);
            break;
        } else if let Some(long) = argument.strip_prefix("--") {
            reader.long(long)?;
        } else if argument.len() > 1 && argument.starts_with('-') {
            reader.shorts(&argument[1..])?;
        } else {
            reader.parsed.arguments.push(argument.clone());
            if !interspersed {
                reader
                    .parsed
                    .arguments
                    .extend_from_slice(&args[reader.next..]);
                break;
            }
        }
        if let Some(deprecated) = reader.help {
            return Ok(Outcome::Help(deprecated));
        }
    }
    Ok(Outcome::Parsed(reader.parsed))
}

struct Reader<'a> {
    args: &'a [String],
    next: usize,
    parsed: Parsed,
    help: Option<bool>,
}

impl Reader<'_> {
    fn long(&mut self, long: &str) -> Result<(), String> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: --{long}"));
        }
        if name == "help" && value.is_none_or(|value| boolean(value) == Ok(true)) {
            self.help = Some(false);
            return Ok(());
        }
        let Some(flag) = self
            .parsed
            .flags
            .iter()
            .find(|flag| flag.name == name)
            .copied()
        else {
            return Err(format!("unknown flag: --{name}"));
        };
        let value = match value {
            Some(value) => value.to_owned(),
            None if flag.kind == Kind::Switch => "true".to_owned(),
            None => self
                .following()
                .ok_or_else(|| format!("flag needs an argument: --{name}"))?,
        };
        self.set(&flag, value)
    }

    fn shorts(&mut self, bundle: &str) -> Result<(), String> {
        let mut rest = bundle;
        while let Some(short) = rest.chars().next() {
            rest = &rest[short.len_utf8()..];
            let flag = self
                .parsed
                .flags
                .iter()
                .find(|flag| flag.short == Some(short))
                .copied();
            let Some(flag) = flag else {
                if short == 'h' {
                    self.help = Some(true);
                    return Ok(());
                }
                return Err(format!(
                    "unknown shorthand flag: {short:?} in -{short}{rest}"
                ));
            };
            if let Some(value) = rest.strip_prefix('=') {
                return self.set(&flag, value.to_owned());
            }
            if flag.kind == Kind::Switch {
                self.set(&flag, "true".to_owned())?;
                continue;
            }
            let value = if rest.is_empty() {
                let missing = || format!("flag needs an argument: {short:?} in -{short}{rest}");
                self.following().ok_or_else(missing)?
            } else {
                rest.to_owned()
            };
            return self.set(&flag, value);
        }
        Ok(())
    }

    fn following(&mut self) -> Option<String> {
        let value = self.args.get(self.next).cloned();
        self.next += 1;
        value
    }

    fn set(&mut self, flag: &Flag, value: String) -> Result<(), String> {
        flag.validate(&value)?;
        let name = if flag.alias_of.is_empty() {
            flag.name
        } else {
            flag.alias_of
        };
        self.parsed.values.push((name, value));
        Ok(())
    }
}

pub(crate) fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {value:?}: invalid syntax"
        )),
    }
}

/// Go's `strconv.ParseInt` with base 0.
pub(crate) fn signed(value: &str, bits: u32) -> Result<i64, String> {
    let failure = |reason: &str| format!("strconv.ParseInt: parsing {value:?}: {reason}");
    let (negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let magnitude = magnitude(digits).ok_or_else(|| failure("invalid syntax"))?;
    let number = if negative { -magnitude } else { magnitude };
    let limit = 1_i128 << (bits - 1);
    if number >= limit || number < -limit {
        return Err(failure("value out of range"));
    }
    i64::try_from(number).map_err(|_| failure("value out of range"))
}

/// Go's `strconv.ParseUint` with base 0.
pub(crate) fn unsigned(value: &str, bits: u32) -> Result<u64, String> {
    let failure = |reason: &str| format!("strconv.ParseUint: parsing {value:?}: {reason}");
    let number = magnitude(value).ok_or_else(|| failure("invalid syntax"))?;
    if number >= 1_i128 << bits {
        return Err(failure("value out of range"));
    }
    u64::try_from(number).map_err(|_| failure("value out of range"))
}

/// Digits with Go's base prefixes; huge numbers become the largest there are.
fn magnitude(digits: &str) -> Option<i128> {
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    Some(i128::from_str_radix(digits, radix).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests;
