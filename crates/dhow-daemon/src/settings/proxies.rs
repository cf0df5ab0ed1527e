//! Proxies for registries: from flags or `daemon.json` (`proxies`), else from the environment, as dockerd has it.

use dhow_distribution::Proxies;
use serde::Deserialize;

/// The key `proxies`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct Section {
    pub(super) http_proxy: Option<String>,
    pub(super) https_proxy: Option<String>,
    pub(super) no_proxy: Option<String>,
}

impl Section {
    /// Each from the first that says something: these settings, `others`, the variables of the environment.
    pub(super) fn proxies(
        self,
        others: Self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Proxies {
        let variable = |name: &str| {
            // As in Go: upper case before lower case.
            [name.to_uppercase(), name.to_lowercase()]
                .iter()
                .find_map(|name| environment(name).filter(|value| !value.is_empty()))
        };
        let pick = |own: Option<String>, other: Option<String>, name| {
            own.or(other).or_else(|| variable(name)).unwrap_or_default()
        };
        Proxies {
            http: pick(self.http_proxy, others.http_proxy, "http_proxy"),
            https: pick(self.https_proxy, others.https_proxy, "https_proxy"),
            except: pick(self.no_proxy, others.no_proxy, "no_proxy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_above_the_environment() {
        let environment = |name: &str| match name {
            "HTTP_PROXY" => Some("http://env".to_owned()),
            "http_proxy" => Some("http://lower".to_owned()),
            "https_proxy" => Some("http://secure".to_owned()),
            _ => None,
        };
        let file = Section {
            https_proxy: Some("http://file".into()),
            no_proxy: Some("a,b".into()),
            ..Section::default()
        };
        let flags = Section {
            no_proxy: Some("*".into()),
            ..Section::default()
        };
        let proxies = flags.proxies(file, environment);
        assert_eq!(proxies.http, "http://env");
        assert_eq!(proxies.https, "http://file");
        assert_eq!(proxies.except, "*");
        let none = Section::default().proxies(Section::default(), |_| None);
        assert_eq!(none, Proxies::default());
    }
}
