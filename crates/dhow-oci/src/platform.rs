//! Platforms: parsing, normalising, and which image runs on which machine (as containerd's `platforms.Only`).

use std::fmt;
use std::str::FromStr;

use dhow_errdefs::{Classify, ErrorKind};
use serde::{Deserialize, Serialize};

/// An operating system on a CPU.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The CPU architecture, in Go's words.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The operating system's version.
    #[serde(
        default,
        rename = "os.version",
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Features the operating system must have.
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The architecture's variant: `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that names no platform; the texts are containerd's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A `*` in it.
    #[error("{0:?}: wildcards not yet supported: invalid argument")]
    Wildcard(String),
    /// The first part has characters it may not have.
    #[error(
        "{part:?} is an invalid OS component of {specifier:?}: OSAndVersion specifier component must match \
         {pattern:?}: invalid argument"
    )]
    Os {
        /// The part.
        part: String,
        /// The whole.
        specifier: String,
        /// What it must match.
        pattern: &'static str,
    },
    /// Another part has characters it may not have.
    #[error(
        "{part:?} is an invalid component of {specifier:?}: platform specifier component must match {pattern:?}: \
         invalid argument"
    )]
    Component {
        /// The part.
        part: String,
        /// The whole.
        specifier: String,
        /// What it must match.
        pattern: &'static str,
    },
    /// One word that is neither.
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    /// Too many parts.
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    Parts(String),
}

impl Classify for PlatformError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

const OS_PATTERN: &str = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)((?:\+[A-Za-z0-9_.-]+)*)\))?$";
const PART_PATTERN: &str = r"^[A-Za-z0-9_.-]+$";

const KNOWN_OS: [&str; 15] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "solaris",
    "windows",
];
const KNOWN_ARCH: [&str; 20] = [
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64",
    "mips", "mipsle", "mips64", "mips64le", "ppc", "riscv", "riscv64", "s390", "s390x", "wasm",
];

impl Platform {
    /// `os/architecture` without anything more.
    #[must_use]
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: None,
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// The machine this program was built for.
    #[must_use]
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self {
            variant: variant.map(str::to_owned),
            ..Self::new("linux", architecture)
        }
    }

    /// The same platform in the canonical words.
    #[must_use]
    pub fn normalise(&self) -> Self {
        let (architecture, variant) =
            normalise_arch(&self.architecture, self.variant.as_deref().unwrap_or(""));
        Self {
            os: normalise_os(&self.os),
            architecture,
            variant: Some(variant).filter(|v| !v.is_empty()),
            os_version: self.os_version.clone().filter(|v| !v.is_empty()),
            os_features: self.os_features.clone(),
        }
    }

    /// Whether an image for `image` runs where `self` is asked for.
    #[must_use]
    pub fn matches(&self, image: &Self) -> bool {
        self.rank(image).is_some()
    }

    /// How well `image` fits where `self` is asked for: 0 best, `None` not at all.
    #[must_use]
    pub fn rank(&self, image: &Self) -> Option<usize> {
        let image = image.normalise();
        let wanted = self.normalise();
        if wanted.os != image.os {
            return None;
        }
        if let (Some(wanted), Some(has)) = (&wanted.os_version, &image.os_version)
            && wanted != has
        {
            return None;
        }
        wanted.accepted().iter().position(|(arch, variant)| {
            *arch == image.architecture && *variant == image.variant.as_deref().unwrap_or("")
        })
    }

    /// Whether the two are the same platform, not merely runnable on it (as containerd's `OnlyStrict`).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (self.normalise(), other.normalise());
        a.os == b.os && a.architecture == b.architecture && a.variant == b.variant
    }

    /// Architecture and variant of everything that runs here, best first; `self` is normalised.
    fn accepted(&self) -> Vec<(&str, String)> {
        let variant = self.variant.clone().unwrap_or_default();
        let mut list = vec![(self.architecture.as_str(), variant.clone())];
        match self.architecture.as_str() {
            "amd64" => {
                let version = variant
                    .strip_prefix('v')
                    .and_then(|v| v.parse::<u32>().ok());
                if let Some(version) = version.filter(|v| *v > 1) {
                    list.extend((2..version).rev().map(|v| ("amd64", format!("v{v}"))));
                    list.push(("amd64", String::new()));
                }
                list.push(("386", String::new()));
            }
            "arm" => list.extend(older_arm(&variant).map(|v| ("arm", v))),
            "arm64" => {
                if !variant.is_empty() {
                    list.push(("arm64", String::new()));
                }
                list.push(("arm", "v8".into()));
                list.extend(older_arm("v8").map(|v| ("arm", v)));
            }
            _ => {}
        }
        list
    }
}

fn older_arm(variant: &str) -> impl Iterator<Item = String> + use<> {
    let version = variant
        .strip_prefix('v')
        .and_then(|v| v.parse::<u32>().ok())
        .unwrap_or(7);
    (5..version.min(9)).rev().map(|v| format!("v{v}"))
}

fn normalise_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "" => "linux".into(),
        "macos" => "darwin".into(),
        other => other.into(),
    }
}

fn normalise_arch(arch: &str, variant: &str) -> (String, String) {
    let (arch, variant) = (arch.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (arch, variant) = match (arch.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        (arch, variant) => (arch, variant),
    };
    (arch.to_owned(), variant.to_owned())
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(specifier: &str) -> Result<Self, PlatformError> {
        if specifier.contains('*') {
            return Err(PlatformError::Wildcard(specifier.into()));
        }
        let parts: Vec<&str> = specifier.splitn(4, '/').collect();
        let (os, os_version) = parse_os(parts[0], specifier)?;
        if let Some(part) = parts[1..]
            .iter()
            .find(|p| p.is_empty() || !p.chars().all(is_part))
        {
            return Err(PlatformError::Component {
                part: (*part).into(),
                specifier: specifier.into(),
                pattern: PART_PATTERN,
            });
        }
        let mut platform = match parts[..] {
            [_] if KNOWN_OS.contains(&os.as_str()) => Self { os, ..Self::host() },
            [word] => {
                let (architecture, variant) = normalise_arch(word, "");
                if !KNOWN_ARCH.contains(&architecture.as_str()) {
                    return Err(PlatformError::Unknown(specifier.into()));
                }
                Self {
                    variant: Some(variant),
                    ..Self::new("linux", architecture)
                }
            }
            [_, arch] => {
                let (architecture, variant) = normalise_arch(arch, "");
                Self {
                    variant: Some(variant),
                    ..Self::new(os, architecture)
                }
            }
            [_, arch, variant] => {
                let (architecture, mut variant) = normalise_arch(arch, variant);
                if architecture == "arm64" && variant.is_empty() {
                    variant = "v8".into();
                }
                Self {
                    variant: Some(variant),
                    ..Self::new(os, architecture)
                }
            }
            _ => return Err(PlatformError::Parts(specifier.into())),
        };
        if parts.len() < 3
            && platform.architecture == "arm"
            && platform.variant.as_deref() == Some("v7")
        {
            platform.variant = None;
        }
        platform.variant = platform.variant.filter(|v| !v.is_empty());
        platform.os_version = os_version;
        Ok(platform)
    }
}

fn parse_os(part: &str, specifier: &str) -> Result<(String, Option<String>), PlatformError> {
    let error = || PlatformError::Os {
        part: part.into(),
        specifier: specifier.into(),
        pattern: OS_PATTERN,
    };
    let (os, version) = match part.split_once('(') {
        Some((os, rest)) => (os, Some(rest.strip_suffix(')').ok_or_else(error)?)),
        None => (part, None),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if os.is_empty() || !os.chars().all(word) || !version.unwrap_or("").chars().all(is_part) {
        return Err(error());
    }
    Ok((
        normalise_os(os),
        version.filter(|v| !v.is_empty()).map(str::to_owned),
    ))
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.os.is_empty() {
            return f.write_str("unknown");
        }
        write!(f, "{}", self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn parses_as_containerd() {
        let table = [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64/v8"),
            ("linux/armhf", "linux/arm"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("arm64", "linux/arm64"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ];
        for (text, want) in table {
            assert_eq!(platform(text).to_string(), want, "{text}");
        }
        assert_eq!(platform("linux").os, "linux");
    }

    #[test]
    fn refuses_as_containerd() {
        let table = [
            (
                "foo",
                "\"foo\": unknown operating system or architecture: invalid argument",
            ),
            (
                "linux/*",
                "\"linux/*\": wildcards not yet supported: invalid argument",
            ),
            (
                "a/b/c/d",
                "\"a/b/c/d\": cannot parse platform specifier: invalid argument",
            ),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<Platform>().unwrap_err().to_string(), want);
        }
        assert!(matches!(
            "li nux/x".parse::<Platform>(),
            Err(PlatformError::Os { .. })
        ));
        assert!(matches!(
            "linux/".parse::<Platform>(),
            Err(PlatformError::Component { .. })
        ));
        assert!(matches!(
            "".parse::<Platform>(),
            Err(PlatformError::Os { .. })
        ));
    }

    #[test]
    fn preference_order() {
        let rank = |wanted: &str, image: &str| platform(wanted).rank(&platform(image));
        assert_eq!(rank("linux/arm64", "linux/arm64/v8"), Some(0));
        assert_eq!(rank("linux/arm64", "linux/arm/v7"), Some(2));
        assert_eq!(rank("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64", "linux/386"), Some(1));
        assert_eq!(rank("linux/amd64/v3", "linux/amd64"), Some(2));
        assert_eq!(rank("linux/amd64", "linux/amd64/v3"), None);
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
        assert_eq!(rank("linux/amd64", "linux/arm64"), None);
    }
}
