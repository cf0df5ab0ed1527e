//! Which devices a container may use: the rules of the specification, as both versions want them.

use super::Error;
use crate::spec::{LinuxDeviceCgroup, LinuxDeviceType};

/// One rule, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    pub(super) kind: Kind,
    /// `None` stands for all.
    pub(super) major: Option<u32>,
    /// `None` stands for all.
    pub(super) minor: Option<u32>,
    pub(super) access: Access,
}

/// What kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    All,
    Block,
    Character,
}

/// What may be done with it: bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access(pub(super) u8);

impl Access {
    pub(super) const MAKE: Self = Self(1);
    pub(super) const READ: Self = Self(2);
    pub(super) const WRITE: Self = Self(4);
    pub(super) const ALL: Self = Self(7);

    fn parse(text: &str) -> Result<Self, Error> {
        text.chars().try_fold(Self(0), |access, character| {
            let more = match character {
                'r' => Self::READ,
                'w' => Self::WRITE,
                'm' => Self::MAKE,
                _ => return Err(Error::Invalid(format!("invalid device access {text:?}"))),
            };
            Ok(Self(access.0 | more.0))
        })
    }

    fn text(self) -> String {
        let parts = [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::MAKE, 'm')];
        parts
            .iter()
            .filter(|(bit, _)| self.0 & bit.0 != 0)
            .map(|(_, text)| *text)
            .collect()
    }
}

/// What every container may do, whatever the specification says: make nodes, and use the harmless devices that every
/// `/dev` has and its terminals.
const ALWAYS: [(Kind, Option<u32>, Option<u32>, Access); 10] = [
    (Kind::Character, None, None, Access::MAKE),
    (Kind::Block, None, None, Access::MAKE),
    (Kind::Character, Some(1), Some(3), Access::ALL),
    (Kind::Character, Some(1), Some(5), Access::ALL),
    (Kind::Character, Some(1), Some(7), Access::ALL),
    (Kind::Character, Some(1), Some(8), Access::ALL),
    (Kind::Character, Some(1), Some(9), Access::ALL),
    (Kind::Character, Some(5), Some(0), Access::ALL),
    (Kind::Character, Some(5), Some(2), Access::ALL),
    (Kind::Character, Some(136), None, Access::ALL),
];

/// The rules of the specification, then what every container may do.
pub(super) fn rules(given: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>, Error> {
    let mut rules = given.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    // Everything before a rule about all devices is void; where that allows all, nothing needs to be added.
    if let Some(last) = rules.iter().rposition(is_about_all) {
        rules.drain(..last);
    }
    if let [only] = rules.as_slice()
        && is_about_all(only)
        && only.allow
    {
        return Ok(rules);
    }
    for (kind, major, minor, access) in ALWAYS {
        let rule = Rule {
            allow: true,
            kind,
            major,
            minor,
            access,
        };
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Ok(rules)
}

/// Whether a rule is about every access to every device.
pub(super) fn is_about_all(rule: &Rule) -> bool {
    rule.kind == Kind::All
        && rule.major.is_none()
        && rule.minor.is_none()
        && rule.access == Access::ALL
}

fn rule(given: &LinuxDeviceCgroup) -> Result<Rule, Error> {
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| Error::Invalid(format!("invalid device number {number}"))),
    };
    let kind = match given.typ() {
        None | Some(LinuxDeviceType::A) => Kind::All,
        Some(LinuxDeviceType::B) => Kind::Block,
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Kind::Character,
        Some(LinuxDeviceType::P) => {
            return Err(Error::Invalid("a device rule for the type p".into()));
        }
    };
    let access = match given.access() {
        Some(text) if !text.is_empty() => Access::parse(text)?,
        _ => Access::ALL,
    };
    Ok(Rule {
        allow: given.allow(),
        kind,
        major: number(given.major())?,
        minor: number(given.minor())?,
        access,
    })
}

/// What to write for v1: the file (`devices.allow` or `devices.deny`) and the line.
pub(super) fn lines(rule: &Rule) -> Vec<(&'static str, String)> {
    let file = if rule.allow {
        "devices.allow"
    } else {
        "devices.deny"
    };
    if is_about_all(rule) {
        return vec![(file, "a".into())];
    }
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let (major, minor, access) = (number(rule.major), number(rule.minor), rule.access.text());
    let kinds: &[char] = match rule.kind {
        Kind::All => &['b', 'c'],
        Kind::Block => &['b'],
        Kind::Character => &['c'],
    };
    kinds
        .iter()
        .map(|kind| (file, format!("{kind} {major}:{minor} {access}")))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(json: &str) -> Vec<Rule> {
        rules(&serde_json::from_str::<Vec<LinuxDeviceCgroup>>(json).unwrap()).unwrap()
    }

    #[test]
    fn a_closed_list_gets_the_default_devices() {
        let rules = parse(
            r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":200,"access":"rw"}]"#,
        );
        assert!(is_about_all(&rules[0]) && !rules[0].allow);
        let text: Vec<String> = rules
            .iter()
            .flat_map(lines)
            .map(|(file, line)| format!("{file} {line}"))
            .collect();
        assert_eq!(text[0], "devices.deny a");
        assert_eq!(text[1], "devices.allow c 10:200 rw");
        assert!(text.contains(&"devices.allow c *:* m".to_owned()));
        assert!(text.contains(&"devices.allow c 136:* rwm".to_owned()));
    }

    #[test]
    fn an_open_list_is_one_line() {
        let rules = parse(r#"[{"allow":false,"access":"rwm"},{"allow":true,"access":"rwm"}]"#);
        assert_eq!(lines(&rules[0]), [("devices.allow", "a".to_owned())]);
        assert_eq!(rules.len(), 1);
    }

    #[test]
    fn nonsense_is_refused() {
        let given: Vec<LinuxDeviceCgroup> =
            serde_json::from_str(r#"[{"allow":true,"type":"c","access":"x"}]"#).unwrap();
        assert!(rules(&given).is_err());
    }
}
