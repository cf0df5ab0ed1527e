//! Searching a registry's index: `/v1/search`, which is all that is left of the first protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use url::form_urlencoded;

use crate::fetch::read_bounded;
use crate::host::Endpoint;
use crate::transport::Request;
use crate::{Credentials, Error, Registry};

/// As much as an index may answer.
const LARGEST_ANSWER: usize = 4 << 20;
/// Where Docker Hub's index is.
const HUB_INDEX: &str = "index.docker.io";

/// A repository that a search has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its name, as it is pulled.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// How many people like it.
    pub star_count: i64,
    /// Whether the index vouches for it.
    pub is_official: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Found>,
}

impl Registry {
    /// Searches the index that `term` names before its first slash, or Docker Hub's, for at most `limit` repositories.
    ///
    /// # Errors
    /// If the term has a scheme, or the index cannot be reached, refuses or answers what is no result.
    pub async fn search(
        &self,
        term: &str,
        limit: usize,
        credentials: &Credentials,
    ) -> Result<Vec<Found>, Error> {
        if term.contains("://") {
            return Err(Error::Config {
                what: "invalid repository name".to_owned(),
                reason: format!("repository name ({term}) should not have a scheme"),
            });
        }
        let (host, words) = index_of(term);
        let endpoint = Endpoint {
            host: host.to_owned(),
            ..Endpoint::of_domain(host, self.transport().config())
        };
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("q", words)
            .append_pair("n", &limit.to_string())
            .finish();
        let request = Request::new(Method::GET, format!("/v1/search?{query}"));
        let request = request.header(http::header::ACCEPT, "application/json");
        let authorization = basic(credentials);
        let response = self
            .transport()
            .send(&endpoint, &request, authorization.as_ref())
            .await
            .map_err(unreachable)?;
        let url = response.url().to_string();
        if response.status() != StatusCode::OK {
            return Err(Error::Search {
                code: response.status().as_u16(),
            });
        }
        let bytes = read_bounded(response, LARGEST_ANSWER, "the index's answer").await?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| Error::Protocol {
            url,
            reason: format!("error decoding registry search results: {error}"),
        })?;
        Ok(answer.results)
    }
}

/// The index's host and the words to search for.
fn index_of(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((host, words)) if host == "docker.io" || host == HUB_INDEX => {
            (HUB_INDEX, words.trim_start_matches("library/"))
        }
        Some((host, words)) if host.contains(['.', ':']) || host == "localhost" => (host, words),
        _ => (HUB_INDEX, term.trim_start_matches("library/")),
    }
}

fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    if credentials.username.is_empty() {
        return None;
    }
    let pair = format!("{}:{}", credentials.username, credentials.password);
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A search that gets no answer is told without what a pull would say first.
fn unreachable(error: Error) -> Error {
    match error {
        Error::Request {
            method,
            url,
            reason,
        } => Error::Unreachable {
            method,
            url,
            reason,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::RegistryConfig;

    #[test]
    fn the_index_is_that_of_the_terms_registry() {
        for (term, host, words) in [
            ("redis", HUB_INDEX, "redis"),
            ("library/redis", HUB_INDEX, "redis"),
            ("bitnami/redis", HUB_INDEX, "bitnami/redis"),
            ("docker.io/library/redis", HUB_INDEX, "redis"),
            ("localhost:5000/my/app", "localhost:5000", "my/app"),
            ("reg.example/app", "reg.example", "app"),
        ] {
            assert_eq!(index_of(term), (host, words), "{term}");
        }
    }

    /// Answers one request with `answer`; gives back the address and, joined, what was asked.
    fn index(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap();
                // The first attempt is TLS, which servers of plain HTTP answer like this.
                if buffer[0] == 0x16 {
                    stream
                        .write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                        .unwrap();
                    continue;
                }
                stream.write_all(answer.as_bytes()).unwrap();
                return String::from_utf8_lossy(&buffer[..read]).into_owned();
            }
        });
        (address, serving)
    }

    #[tokio::test]
    async fn an_index_is_searched() {
        let (address, serving) = index(
            "HTTP/1.1 200 OK\r\nContent-Length: 120\r\nConnection: close\r\n\r\n\
             {\"num_results\":1,\"results\":[{\"name\":\"my/app\",\"description\":\"d\",\"star_count\":7,\"is_official\":true,\"is_automated\":false}]}",
        );
        let registry = Registry::new(RegistryConfig::default()).unwrap();
        let me = Credentials {
            username: "u".into(),
            password: "p".into(),
            ..Credentials::anonymous()
        };
        let found = registry.search(&format!("{address}/my app"), 3, &me).await;
        let asked = serving.join().unwrap();
        assert!(
            asked.starts_with("GET /v1/search?q=my+app&n=3 HTTP/1.1\r\n"),
            "{asked}"
        );
        assert!(asked.contains("authorization: Basic dTpw\r\n"), "{asked}");
        let expected = Found {
            name: "my/app".into(),
            description: "d".into(),
            star_count: 7,
            is_official: true,
        };
        assert_eq!(found.unwrap(), [expected]);
    }

    #[tokio::test]
    async fn an_index_that_is_none_has_dockers_text() {
        let (address, serving) =
            index("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let registry = Registry::new(RegistryConfig::default()).unwrap();
        let anonymous = Credentials::anonymous();
        let error = registry
            .search(&format!("{address}/x"), 25, &anonymous)
            .await;
        serving.join().unwrap();
        assert_eq!(error.unwrap_err().to_string(), "Unexpected status code 404");
        let error = registry.search("https://x/y", 25, &anonymous).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "invalid repository name: repository name (https://x/y) should not have a scheme"
        );
    }
}
