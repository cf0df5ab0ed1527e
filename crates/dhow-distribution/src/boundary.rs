//! Where a registry may send us, and what of an address may be told.

use std::net::IpAddr;

use url::{Host, Url};

/// Whether what `from` answers may lead to `to`: nobody else sends us to what only this machine can reach, its loopback
/// and link-local addresses (where clouds tell machines their secrets).
pub(crate) fn may_lead(from: &Url, to: &Url) -> bool {
    is_own(from) || !is_own(to)
}

/// Whether only this machine reaches it.
fn is_own(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => is_own_address(address.into()),
        Some(Host::Ipv6(address)) => is_own_address(address.to_canonical()),
        None => true,
    }
}

fn is_own_address(address: IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    local || address.is_loopback() || address.is_unspecified()
}

/// What parameters of an address are called whose values let others in.
const SECRET: [&str; 8] = [
    "auth",
    "credential",
    "key",
    "passw",
    "policy",
    "secret",
    "sig",
    "token",
];

/// The address as it may stand in errors and logs: without what lets others in.
pub(crate) fn shown(url: &Url) -> String {
    let is_secret = |name: &str| SECRET.iter().any(|word| name.to_lowercase().contains(word));
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // What has a user's name has a host, so this can't fail.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
    }
    let Some(query) = url.query() else {
        return url.into();
    };
    let hidden = |part: &str| match part.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=REDACTED"),
        _ => part.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(hidden).collect();
    url.set_query(Some(&query.join("&")));
    url.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nobody_leads_into_this_machine_from_outside() {
        let outside = Url::parse("https://registry.example/v2/").unwrap();
        let inside = Url::parse("http://localhost:5000/v2/").unwrap();
        for own in [
            "http://127.0.0.1/x",
            "http://127.1/x",
            "http://2130706433/",
            "http://0.0.0.0:80/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::]/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/",
        ] {
            let own = Url::parse(own).unwrap();
            assert!(!may_lead(&outside, &own), "{own}");
            assert!(may_lead(&inside, &own), "{own}");
        }
        for elsewhere in [
            "https://storage.example/",
            "http://10.0.0.1/",
            "http://localhost.example/",
        ] {
            let elsewhere = Url::parse(elsewhere).unwrap();
            assert!(may_lead(&outside, &elsewhere) && may_lead(&inside, &elsewhere));
        }
    }

    #[test]
    fn what_lets_others_in_is_not_shown() {
        for (url, expected) in [
            ("https://me:pw@host/a", "https://host/a"),
            ("https://host/a?ns=b&scope=c", "https://host/a?ns=b&scope=c"),
            (
                "https://host/a?X-Amz-Signature=1&x=2&sig=3",
                "https://host/a?X-Amz-Signature=REDACTED&x=2&sig=REDACTED",
            ),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        }
    }
}
