//! Whose namespaces a container uses.

use std::fmt;
use std::str::FromStr;

use super::Invalid;

/// Makes a type go to disk as the string it displays.
macro_rules! as_string {
    ($($name:ty),+) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use as_string;

/// What a container is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// The default bridge network (`default`, `bridge` or nothing).
    #[default]
    Default,
    /// The bridge network, by its name.
    Bridge,
    /// The host's own network namespace.
    Host,
    /// A namespace with nothing but loopback.
    None,
    /// The namespace of another container, by name or id.
    Container(String),
    /// A network of the user's, by name or id.
    Network(String),
}

impl NetworkMode {
    /// The name of the network to connect to, if it is one.
    #[must_use]
    pub fn network(&self) -> Option<&str> {
        match self {
            Self::Default | Self::Bridge => Some("bridge"),
            Self::Host => Some("host"),
            Self::None => Some("none"),
            Self::Container(_) => None,
            Self::Network(name) => Some(name),
        }
    }

    /// Whether the container gets a network namespace of its own.
    #[must_use]
    pub fn is_private(&self) -> bool {
        !matches!(self, Self::Host | Self::Container(_))
    }

    /// Whether this is a network made by the user.
    #[must_use]
    pub fn is_user_defined(&self) -> bool {
        matches!(self, Self::Network(_))
    }
}

impl FromStr for NetworkMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "" | "default" => Self::Default,
            "bridge" => Self::Bridge,
            "host" => Self::Host,
            "none" => Self::None,
            "container" => {
                return Err(Invalid::new(
                    "Invalid network mode: invalid container format container:<name|id>",
                ));
            }
            _ => match text.strip_prefix("container:") {
                Some("") => {
                    return Err(Invalid::new(
                        "Invalid network mode: invalid container format container:<name|id>",
                    ));
                }
                Some(other) => Self::Container(other.to_owned()),
                None => Self::Network(text.to_owned()),
            },
        })
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Bridge => f.write_str("bridge"),
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Container(other) => write!(f, "container:{other}"),
            Self::Network(name) => f.write_str(name),
        }
    }
}

/// Whose IPC namespace (and `/dev/shm`) a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IpcMode {
    /// What the engine's default is.
    #[default]
    Default,
    /// A namespace without `/dev/shm`.
    None,
    /// A namespace of its own, which nobody may join.
    Private,
    /// A namespace of its own, which others may join.
    Shareable,
    /// The host's.
    Host,
    /// Another container's, by name or id.
    Container(String),
}

impl FromStr for IpcMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "" => Self::Default,
            "none" => Self::None,
            "private" => Self::Private,
            "shareable" => Self::Shareable,
            "host" => Self::Host,
            _ => match text.strip_prefix("container:") {
                Some(other) if !other.is_empty() => Self::Container(other.to_owned()),
                _ => return Err(Invalid::new(format!("invalid IPC mode: {text}"))),
            },
        })
    }
}

impl fmt::Display for IpcMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::None => f.write_str("none"),
            Self::Private => f.write_str("private"),
            Self::Shareable => f.write_str("shareable"),
            Self::Host => f.write_str("host"),
            Self::Container(other) => write!(f, "container:{other}"),
        }
    }
}

/// Whose PID namespace a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PidMode {
    /// One of its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another container's, by name or id.
    Container(String),
}

impl FromStr for PidMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "" | "private" => Self::Private,
            "host" => Self::Host,
            _ => match text.strip_prefix("container:") {
                Some(other) if !other.is_empty() => Self::Container(other.to_owned()),
                _ => return Err(Invalid::new(format!("invalid PID mode: {text}"))),
            },
        })
    }
}

impl fmt::Display for PidMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => Ok(()),
            Self::Host => f.write_str("host"),
            Self::Container(other) => write!(f, "container:{other}"),
        }
    }
}

/// Whose UTS namespace (host name) a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UtsMode {
    /// One of its own.
    #[default]
    Private,
    /// The host's.
    Host,
}

impl FromStr for UtsMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" | "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err(Invalid::new(format!("invalid UTS mode: {text}"))),
        }
    }
}

impl fmt::Display for UtsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "",
            Self::Host => "host",
        })
    }
}

/// Whose user namespace a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsernsMode {
    /// What the engine's default is; there is no remapping yet, so the host's.
    #[default]
    Default,
    /// The host's.
    Host,
}

impl FromStr for UsernsMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" => Ok(Self::Default),
            "host" => Ok(Self::Host),
            _ => Err(Invalid::new(format!("invalid USER mode: {text}"))),
        }
    }
}

impl fmt::Display for UsernsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "",
            Self::Host => "host",
        })
    }
}

/// Whose cgroup namespace a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupnsMode {
    /// The engine's default: private on cgroup v2, the host's on v1.
    #[default]
    Default,
    /// One of its own.
    Private,
    /// The host's.
    Host,
}

impl FromStr for CgroupnsMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" => Ok(Self::Default),
            "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err(Invalid::new(format!(
                "invalid cgroup namespace mode: {text}"
            ))),
        }
    }
}

impl fmt::Display for CgroupnsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "",
            Self::Private => "private",
            Self::Host => "host",
        })
    }
}

as_string!(
    NetworkMode,
    IpcMode,
    PidMode,
    UtsMode,
    UsernsMode,
    CgroupnsMode
);
