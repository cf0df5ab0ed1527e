//! Addresses as options name them, taken apart as Go does, with its texts.

/// `scheme://authority/path`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: &'a str,
    /// `host:port`, each of which may be missing.
    pub(crate) authority: &'a str,
    /// With its slash.
    pub(crate) path: &'a str,
}

impl<'a> Url<'a> {
    /// Takes an address apart.
    ///
    /// # Errors
    /// Go's text: the port is no number.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
            return Ok(Self {
                scheme,
                authority: "",
                path: "",
            });
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let host_end = authority.rfind(']').map_or(0, |place| place + 1);
        if let Some((_, port)) = authority[host_end..].rsplit_once(':')
            && !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(format!(
                "parse \"{text}\": invalid port \":{port}\" after host"
            ));
        }
        Ok(Self {
            scheme,
            authority,
            path,
        })
    }
}

/// Splits `host:port`; without a port there is `None`.
///
/// # Errors
/// Go's text: too many colons, or a bracket that is missing.
pub(crate) fn host_port(address: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = address.strip_prefix('[') {
        let Some((host, rest)) = rest.split_once(']') else {
            return Err(format!("address {address}: missing ']' in address"));
        };
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("address {address}: missing port in address")),
        };
    }
    match address.split_once(':') {
        None => Ok((address, None)),
        Some((_, rest)) if rest.contains(':') => {
            Err(format!("address {address}: too many colons in address"))
        }
        Some((host, port)) => Ok((host, Some(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, expected) in [
            ("udp://h:1/p?q", ("udp", "h:1", "/p")),
            ("unix:///a/b", ("unix", "", "/a/b")),
            ("tcp://", ("tcp", "", "")),
            ("tcp://[::1]:5", ("tcp", "[::1]:5", "")),
            ("foo", ("", "", "")),
            ("localhost:1", ("localhost", "", "")),
        ] {
            let (scheme, authority, path) = expected;
            let url = Url {
                scheme,
                authority,
                path,
            };
            assert_eq!(Url::parse(text), Ok(url));
        }
    }

    #[test]
    fn ports_are_found() {
        assert_eq!(host_port("h"), Ok(("h", None)));
        assert_eq!(host_port("h:1"), Ok(("h", Some("1"))));
        assert_eq!(host_port(":1"), Ok(("", Some("1"))));
        assert_eq!(host_port("[::1]:2"), Ok(("::1", Some("2"))));
        assert_eq!(host_port("[::1]"), Ok(("::1", None)));
        assert_eq!(
            host_port("::1"),
            Err("address ::1: too many colons in address".into())
        );
    }
}
