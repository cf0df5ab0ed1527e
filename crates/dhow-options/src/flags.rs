//! Flags in the manner of `pflag`, driven by tables.
//!
//! A [`Flag`] is an entry of a `const` table from which parsing, help and completion all work. [`parse`] reads a
//! command line against the tables: `--name value`, `--name=value`, `-n value`, `-nvalue`, bundles (`-it`),
//! `--switch=false`, `--` and, unless a command is `interspersed`, no flags after the first argument.

use dhow_golang::{NumberError, parse_bool, parse_duration, parse_int, parse_uint};

/// How a flag's value is read and how often it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
pub type Check = fn(&str) -> Result<(), String>;

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Its long name, without dashes.
    pub name: &'static str,
    /// Its letter, where it has one.
    pub short: Option<char>,
    /// How its value is read.
    pub kind: Kind,
    /// The kind of value as help shows it; empty for switches.
    pub value: &'static str,
    /// Help, with the default where help shows one.
    pub usage: &'static str,
    /// Its value where it is not given.
    pub default: &'static str,
    /// Whether help says nothing of it.
    pub hidden: bool,
    /// The flag this is another name of.
    pub alias_of: &'static str,
    /// What else a value must be.
    pub check: Option<Check>,
}

impl Flag {
    /// A switch.
    pub const fn switch(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Switch, "", usage)
    }

    /// A flag that takes a text.
    pub const fn text(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Text, "string", usage)
    }

    /// A flag that may be repeated.
    pub const fn list(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::List, "list", usage)
    }

    /// A flag that takes an integer.
    pub const fn int(name: &'static str, usage: &'static str) -> Self {
        Self::new(name, Kind::Int(64), "int", usage)
    }

    /// A flag of any kind; `value` is that kind as help shows it.
    #[must_use]
    pub const fn new(
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

    /// With a letter.
    #[must_use]
    pub const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// With a value where it is not given.
    #[must_use]
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// With a check of each value.
    #[must_use]
    pub const fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Not shown by help.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Another name, not shown by help, of the flag `of`.
    #[must_use]
    pub const fn alias(name: &'static str, of: &Self) -> Self {
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
        let number = |error: NumberError| error.to_string();
        let outcome = match self.kind {
            Kind::Switch => parse_bool(value).map(drop).map_err(number),
            Kind::Int(bits) => parse_int(value, 0, bits).map(drop).map_err(number),
            Kind::Uint(bits) => parse_uint(value, 0, bits).map(drop).map_err(number),
            Kind::Duration => parse_duration(value).map(drop).map_err(|e| e.to_string()),
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
pub struct Parsed {
    values: Vec<(&'static str, String)>,
    flags: Vec<Flag>,
    /// What is no flag.
    pub arguments: Vec<String>,
}

impl Parsed {
    /// Whether the flag was given at all.
    #[must_use]
    pub fn changed(&self, name: &str) -> bool {
        self.values.iter().any(|(known, _)| *known == name)
    }

    /// Whether no flag was given.
    #[must_use]
    pub fn nothing_changed(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether a switch is on.
    pub fn switch(&self, name: &str) -> bool {
        parse_bool(self.text(name)).unwrap_or(false)
    }

    /// The last value given, or the default.
    pub fn text(&self, name: &str) -> &str {
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
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
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

    /// The number of an [`Kind::Int`] flag; 0 where it has none.
    pub fn int(&self, name: &str) -> i64 {
        parse_int(self.text(name), 0, 64).unwrap_or(0)
    }

    /// The number of a [`Kind::Uint`] flag; 0 where it has none.
    pub fn uint(&self, name: &str) -> u64 {
        parse_uint(self.text(name), 0, 64).unwrap_or(0)
    }

    /// A duration in nanoseconds.
    pub fn duration(&self, name: &str) -> i64 {
        parse_duration(self.text(name)).unwrap_or(0)
    }

    /// The argument at that place; the empty text where there is none.
    pub fn argument(&self, at: usize) -> &str {
        self.arguments.get(at).map_or("", String::as_str)
    }
}

/// What a command line turned out to be.
#[derive(Debug)]
pub enum Outcome {
    /// Flags and arguments.
    Parsed(Parsed),
    /// `--help` was asked for; `true` if by the deprecated `-h`.
    Help(bool),
}

/// Reads `args` against `tables`.
///
/// # Errors
/// pflag's texts: `unknown flag: --foo`, `unknown shorthand flag: 'x' in -x`, `flag needs an argument: --foo`.
pub fn parse(tables: &[&[Flag]], interspersed: bool, args: &[String]) -> Result<Outcome, String> {
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
        if name == "help" && value.is_none_or(|value| parse_bool(value) == Ok(true)) {
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

#[cfg(test)]
mod tests;
