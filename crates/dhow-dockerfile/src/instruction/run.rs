//! `RUN`, its flags, and command lines in general.

use crate::flags::{Flags, Takes};
use crate::parse::Node;
use crate::suggest::suggest;
use crate::{Expander, Heredoc};

/// A command of `RUN`, `CMD` or `ENTRYPOINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// A program with its arguments, or one line for the shell.
    pub words: Vec<String>,
    /// Whether the stage's shell runs it.
    pub shell: bool,
    /// The heredocs announced in the line.
    pub heredocs: Vec<Heredoc>,
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: CommandLine,
    /// The values of `--mount`, to be read by [`Mount::parse`] when variables are known.
    pub mounts: Vec<String>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
    /// The values of `--device`, to be read by [`Device::parse`] when variables are known.
    pub devices: Vec<String>,
}

/// What network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The build's.
    #[default]
    Default,
    /// None.
    None,
    /// The host's.
    Host,
}

/// How far a command is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// As containers are.
    #[default]
    Sandbox,
    /// As privileged containers are; has to be allowed by the build.
    Insecure,
}

impl CommandLine {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            words: node.args.clone(),
            shell: !node.json,
            heredocs: node.raw.heredocs.clone(),
        }
    }
}

impl Run {
    pub(crate) fn of(node: &Node) -> Result<Self, String> {
        let known = [
            ("mount", Takes::Values),
            ("network", Takes::Value),
            ("security", Takes::Value),
            ("device", Takes::Values),
        ];
        let flags = Flags::read(&node.raw.flags, &known)?;
        let mounts = flags.values("mount");
        for mount in &mounts {
            check_from(mount)?;
        }
        let network = match flags.value("network") {
            None | Some("default") => Network::Default,
            Some("none") => Network::None,
            Some("host") => Network::Host,
            Some(other) => return Err(format!("invalid network mode {other:?}")),
        };
        let security = match flags.value("security") {
            None | Some("sandbox") => Security::Sandbox,
            Some("insecure") => Security::Insecure,
            Some(other) => return Err(format!("security {other:?} is not valid")),
        };
        Ok(Self {
            command: CommandLine::of(node),
            mounts,
            network,
            security,
            devices: flags.values("device"),
        })
    }
}

/// The graph of stages is made before variables are known.
fn check_from(mount: &str) -> Result<(), String> {
    for field in fields(mount)? {
        if let Some((key, value)) = field.split_once('=')
            && key.eq_ignore_ascii_case("from")
            && value.find('$').is_some_and(|at| at + 1 < value.len())
        {
            return Err(format!(
                "'{key}' doesn't support variable expansion, define alias stage instead"
            ));
        }
    }
    Ok(())
}

/// A `--mount` of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What kind it is.
    pub kind: MountKind,
    /// The stage, image or named context a bind or cache begins with.
    pub from: Option<String>,
    /// The path within that.
    pub source: String,
    /// Where it is mounted.
    pub target: String,
    /// Whether the command may not write to it.
    pub read_only: bool,
    /// The largest size of a tmpfs, in bytes; 0 is no limit.
    pub size: u64,
    /// The name of a cache, secret or agent.
    pub id: String,
    /// How builds that run at the same time share a cache.
    pub sharing: Option<MountSharing>,
    /// Whether the build fails without the secret or agent.
    pub required: bool,
    /// The permissions of a cache's directory, a secret's file or an agent's socket.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
    /// The variable that a secret is put into.
    pub env: Option<String>,
}

/// The kinds of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind,
    /// A directory that is kept between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// A file, or variable, that the client has.
    Secret,
    /// The socket of an ssh agent that the client has.
    Ssh,
}

/// How a cache is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountSharing {
    /// All use it at once.
    Shared,
    /// Each gets its own.
    Private,
    /// One after the other.
    Locked,
}

const KINDS: &[&str] = &["bind", "cache", "tmpfs", "secret", "ssh"];
const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

impl MountKind {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "bind" => Self::Bind,
            "cache" => Self::Cache,
            "tmpfs" => Self::Tmpfs,
            "secret" => Self::Secret,
            "ssh" => Self::Ssh,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

impl Mount {
    /// Reads a value of `--mount`.
    ///
    /// # Errors
    /// It is malformed, in BuildKit's words.
    pub fn parse(text: &str, expander: &Expander<'_>) -> Result<Self, String> {
        let mut mount = Self {
            kind: MountKind::Bind,
            from: None,
            source: String::new(),
            target: String::new(),
            read_only: false,
            size: 0,
            id: String::new(),
            sharing: None,
            required: false,
            mode: None,
            uid: None,
            gid: None,
            env: None,
        };
        let mut read_only = None;
        for field in fields(text)? {
            match field.split_once('=') {
                None => mount.switch(&field, &mut read_only)?,
                Some((key, value)) => {
                    let value = expander.expand(value).map_err(|error| error.to_string())?;
                    mount.set(key, &value, &field, &mut read_only)?;
                }
            }
        }
        mount.read_only =
            read_only.unwrap_or(!matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs));
        mount.check()?;
        Ok(mount)
    }

    /// The kind of a value of `--mount` and where it is taken from (`from=`), which can be told before variables are known.
    ///
    /// # Errors
    /// It is malformed, in BuildKit's words.
    pub fn origin(text: &str) -> Result<(MountKind, Option<String>), String> {
        let mut kind = MountKind::Bind;
        let mut from = None;
        for field in fields(text)? {
            let Some((key, value)) = field.split_once('=') else {
                continue;
            };
            if key.eq_ignore_ascii_case("from") {
                from = Some(value.to_owned());
            } else if key.eq_ignore_ascii_case("type") {
                kind = MountKind::of(value).unwrap_or(kind);
            }
        }
        Ok((kind, from.filter(|from| !from.is_empty())))
    }

    fn switch(&mut self, field: &str, read_only: &mut Option<bool>) -> Result<(), String> {
        match field.to_lowercase().as_str() {
            "readonly" | "ro" => *read_only = Some(true),
            "readwrite" | "rw" => *read_only = Some(false),
            "required" => {
                self.only("required", &[MountKind::Secret, MountKind::Ssh])?;
                self.required = true;
            }
            _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
        }
        Ok(())
    }

    fn set(
        &mut self,
        key: &str,
        value: &str,
        field: &str,
        read_only: &mut Option<bool>,
    ) -> Result<(), String> {
        let key = key.to_lowercase();
        match key.as_str() {
            "type" => {
                self.kind = MountKind::of(value).ok_or_else(|| {
                    format!("unsupported mount type {value:?}{}", suggest(value, KINDS))
                })?;
            }
            "from" => self.from = Some(value.to_owned()),
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "readonly" | "ro" => *read_only = Some(boolean(&key, value)?),
            "readwrite" | "rw" => *read_only = Some(!boolean(&key, value)?),
            "required" => {
                self.only(&key, &[MountKind::Secret, MountKind::Ssh])?;
                self.required = boolean(&key, value)?;
            }
            "size" => {
                self.only(&key, &[MountKind::Tmpfs])?;
                self.size =
                    bytes(value).ok_or_else(|| format!("invalid value for {key}: {value}"))?;
            }
            "id" => value.clone_into(&mut self.id),
            "sharing" => {
                self.sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => MountSharing::Shared,
                    "private" => MountSharing::Private,
                    "locked" => MountSharing::Locked,
                    _ => return Err(format!("unsupported sharing value {value:?}")),
                });
            }
            "mode" => self.mode = Some(number(&key, value, 8)?),
            "uid" => self.uid = Some(number(&key, value, 10)?),
            "gid" => self.gid = Some(number(&key, value, 10)?),
            "env" => self.env = Some(value.to_owned()),
            _ => {
                return Err(format!(
                    "unexpected key '{key}' in '{field}'{}",
                    suggest(&key, KEYS)
                ));
            }
        }
        Ok(())
    }

    fn only(&self, key: &str, kinds: &[MountKind]) -> Result<(), String> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(format!(
            "unexpected key '{key}' for mount type '{}'",
            self.kind.name()
        ))
    }

    fn check(&self) -> Result<(), String> {
        let kind = self.kind.name();
        let owned = matches!(
            self.kind,
            MountKind::Cache | MountKind::Secret | MountKind::Ssh
        );
        for (key, given) in [
            ("mode", self.mode.is_some()),
            ("uid", self.uid.is_some()),
            ("gid", self.gid.is_some()),
        ] {
            if given && !owned {
                return Err(format!("{key} not allowed for {kind:?} type mounts"));
            }
        }
        if self.sharing.is_some() && self.kind != MountKind::Cache {
            return Err(format!("invalid cache sharing set for {kind} mount"));
        }
        if self.kind == MountKind::Secret {
            if self.from.is_some() {
                return Err("secret mount should not have a from".into());
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return Err("invalid secret mount. one of source, target required".into());
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return Err("both source and id can't be set".into());
            }
        }
        Ok(())
    }
}

/// A `--device` of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's CDI name: `vendor.com/class=name`.
    pub name: String,
    /// Whether the build fails without it.
    pub required: bool,
}

impl Device {
    /// Reads a value of `--device`.
    ///
    /// # Errors
    /// It is malformed, in BuildKit's words.
    pub fn parse(text: &str, expander: &Expander<'_>) -> Result<Self, String> {
        let mut device = Self {
            name: String::new(),
            required: false,
        };
        for field in fields(text)? {
            let field = expander.expand(&field).map_err(|error| error.to_string())?;
            match field.split_once('=') {
                Some(("name", value)) => value.clone_into(&mut device.name),
                Some(("required", value)) => device.required = boolean("required", value)?,
                None if field == "required" => device.required = true,
                _ if device.name.is_empty() => device.name = field,
                _ => return Err(format!("unexpected key in device: {field:?}")),
            }
        }
        if device.name.is_empty() {
            return Err("device name is required".into());
        }
        Ok(device)
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, String> {
    dhow_golang::parse_bool(value).map_err(|_| format!("invalid value for {key}: {value}"))
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, String> {
    u32::from_str_radix(value, radix).map_err(|_| format!("invalid value {value} for {key}"))
}

/// A size with a unit of 1024s: `64m`, `1.5g`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let exponent = match text[digits..].trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let size = number * 1024_f64.powi(exponent);
    // 2^53: beyond that a double has no room for single bytes.
    (0.0..9_007_199_254_740_992.0).contains(&size).then(|| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let whole = size as u64;
        whole
    })
}

/// The fields of a line of comma-separated values; a field in double quotes may have commas in it.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let wrong = |why: &str| format!("failed to parse csv mounts: parse error on line 1: {why}");
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, after) = match rest.split_once(',') {
                Some((field, after)) => (field, Some(after)),
                None => (rest, None),
            };
            if field.contains('"') {
                return Err(wrong("bare \" in non-quoted-field"));
            }
            fields.push(field.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Ok(fields),
            }
            continue;
        };
        let mut field = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next() {
                None => return Err(wrong("extraneous or missing \" in quoted-field")),
                Some((at, '"')) => match quoted[at + 1..].starts_with('"') {
                    true => {
                        letters.next();
                        field.push('"');
                    }
                    false => break at + 1,
                },
                Some((_, letter)) => field.push(letter),
            }
        };
        fields.push(field);
        match quoted[end..].strip_prefix(',') {
            Some(after) => rest = after,
            None if quoted[end..].is_empty() => return Ok(fields),
            None => return Err(wrong("extraneous or missing \" in quoted-field")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::Lexer;

    fn mount(text: &str) -> Result<Mount, String> {
        let expander = Expander {
            lexer: Lexer::new('\\'),
            variables: &(),
        };
        Mount::parse(text, &expander)
    }

    #[test]
    fn mounts_are_read() {
        let cache = mount("type=cache,target=/x,id=a,sharing=locked,mode=0700,uid=1").unwrap();
        assert_eq!(cache.kind, MountKind::Cache);
        assert_eq!(
            (cache.mode, cache.uid, cache.read_only),
            (Some(0o700), Some(1), false)
        );
        let bind = mount("target=/x,from=base,\"src=a,b\"").unwrap();
        assert_eq!((bind.source.as_str(), bind.read_only), ("a,b", true));
        assert!(!mount("rw,dst=/x").unwrap().read_only);
        assert_eq!(mount("type=tmpfs,target=/x,size=1.5k").unwrap().size, 1536);
        assert!(mount("type=secret,id=a,required").unwrap().required);
    }

    #[test]
    fn wrong_mounts_are_told() {
        // As the real builder answers.
        let table = [
            ("type=foo", "unsupported mount type \"foo\""),
            (
                "type=cach,target=/x",
                "unsupported mount type \"cach\" (did you mean cache?)",
            ),
            (
                "typ=cache",
                "unexpected key 'typ' in 'typ=cache' (did you mean type?)",
            ),
            (
                "type=cache,target=/x,sharing=foo",
                "unsupported sharing value \"foo\"",
            ),
            (
                "type=cache,target=/x,required=q",
                "unexpected key 'required' for mount type 'cache'",
            ),
            (
                "type=secret",
                "invalid secret mount. one of source, target required",
            ),
            ("target", "invalid field 'target' must be a key=value pair"),
            ("type=cache,target=/x,mode=9", "invalid value 9 for mode"),
            ("type=tmpfs,target=/x,size=q", "invalid value for size: q"),
            ("type=bind,target=/x,rw=q", "invalid value for rw: q"),
            (
                "type=secret,env=1",
                "invalid secret mount. one of source, target required",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(mount(text).unwrap_err(), expected, "{text}");
        }
    }
}
