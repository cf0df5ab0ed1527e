//! Address prefixes (CIDR).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address with a prefix length, such as `172.17.0.1/16`; the host bits are kept (`--bip` needs them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Not an address prefix; the texts are those of Go's `netip.ParsePrefix`, which Docker's users see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("netip.ParsePrefix({text:?}): {reason}")]
pub struct PrefixError {
    text: String,
    reason: String,
}

impl Prefix {
    /// An IPv4 prefix; `None` when `len` is above 32.
    #[must_use]
    pub fn v4(addr: Ipv4Addr, len: u8) -> Option<Self> {
        (len <= 32).then_some(Self {
            addr: IpAddr::V4(addr),
            len,
        })
    }

    /// The address as it was written, host bits and all.
    #[must_use]
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The number of leading bits that name the network.
    #[must_use]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether the prefix covers every address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same prefix with its host bits cleared.
    #[must_use]
    pub fn network(&self) -> Self {
        let addr = match self.addr {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask32(self.len))),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & mask128(self.len)).into()),
        };
        Self {
            addr,
            len: self.len,
        }
    }

    /// Whether `addr` is in this prefix.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()) & mask32(self.len) == 0,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()) & mask128(self.len) == 0,
            _ => false,
        }
    }

    /// Whether the two prefixes share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let wider = if self.len <= other.len {
            (self, other)
        } else {
            (other, self)
        };
        wider.0.contains(wider.1.addr)
    }

    /// First and last address as numbers, for IPv4.
    pub(crate) fn range_v4(&self) -> Option<(u32, u32)> {
        match self.addr {
            IpAddr::V4(v4) => {
                let mask = mask32(self.len);
                Some((v4.to_bits() & mask, v4.to_bits() | !mask))
            }
            IpAddr::V6(_) => None,
        }
    }
}

fn mask32(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

fn mask128(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let error = |reason: &str| PrefixError {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (addr, len) = text.rsplit_once('/').ok_or_else(|| error("no '/'"))?;
        let addr: IpAddr = addr
            .parse()
            .map_err(|_| error(&format!("ParseAddr({addr:?}): unable to parse IP")))?;
        let plain = !len.is_empty() && len.len() <= 3 && len.bytes().all(|b| b.is_ascii_digit());
        let len: u8 = match len.parse() {
            Ok(len) if plain => len,
            _ => return Err(error(&format!("bad bits after slash: {len:?}"))),
        };
        if len > if addr.is_ipv4() { 32 } else { 128 } {
            return Err(error("prefix length out of range"));
        }
        Ok(Self { addr, len })
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn network_clears_the_host_bits() {
        for (given, network) in [
            ("172.17.0.1/16", "172.17.0.0/16"),
            ("10.1.2.3/32", "10.1.2.3/32"),
            ("9.9.9.9/0", "0.0.0.0/0"),
            ("fd00::5/64", "fd00::/64"),
        ] {
            assert_eq!(prefix(given).network(), prefix(network), "{given}");
        }
    }

    #[test]
    fn overlap_is_symmetric() {
        for (a, b, overlap) in [
            ("10.0.0.0/8", "10.9.0.0/16", true),
            ("10.0.0.0/24", "10.0.1.0/24", false),
            ("0.0.0.0/0", "192.168.1.0/24", true),
            ("10.0.0.0/8", "fd00::/8", false),
        ] {
            assert_eq!(prefix(a).overlaps(&prefix(b)), overlap, "{a} {b}");
            assert_eq!(prefix(b).overlaps(&prefix(a)), overlap, "{b} {a}");
        }
    }

    #[test]
    fn errors_are_those_of_go() {
        for (text, message) in [
            ("nonsense", r#"netip.ParsePrefix("nonsense"): no '/'"#),
            (
                "10.0.0.0/33",
                r#"netip.ParsePrefix("10.0.0.0/33"): prefix length out of range"#,
            ),
            (
                "10.0.0.0/+4",
                r#"netip.ParsePrefix("10.0.0.0/+4"): bad bits after slash: "+4""#,
            ),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap_err().to_string(), message);
        }
    }
}
