//! Checking credentials.

use http::{Method, StatusCode};

use crate::auth::{Refusal, Subject};
use crate::fetch::status_text;
use crate::host::Endpoint;
use crate::transport::Request;
use crate::{Credentials, Error, Registry};

/// A login that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// What to tell the user: `Login Succeeded`.
    pub status: String,
    /// A refresh token to be kept in place of the password, if the registry gave one.
    pub identity_token: String,
}

impl Registry {
    /// Checks credentials with the registry at `server` (`https://index.docker.io/v1/` or nothing is Docker Hub).
    ///
    /// # Errors
    /// [`Error::Login`] when they are refused; else when the registry can't be reached.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<LoggedIn, Error> {
        let bare = server
            .trim_start_matches("https://")
            .trim_start_matches("http://");
        let domain = match bare.split('/').next().unwrap_or_default() {
            "" | "index.docker.io" | "registry-1.docker.io" => "docker.io",
            host => host,
        };
        let subject = Subject {
            endpoint: Endpoint::of_domain(domain, self.transport().config()),
            credentials: credentials.clone(),
            scopes: Vec::new(),
        };
        self.authorizer().forget(&subject);
        let request = Request::new(Method::GET, "/v2/");
        let first = self
            .transport()
            .send(&subject.endpoint, &request, None)
            .await?;
        let url = first.url().to_string();
        let refused = |status: String| Error::Login {
            url: url.clone(),
            status,
        };
        if first.status() != StatusCode::UNAUTHORIZED {
            return accepted(&first, String::new()).map_err(refused);
        }
        let answer = self
            .authorizer()
            .answer(self.transport(), &subject, first.headers())
            .await;
        let granted = match answer {
            Ok(granted) => granted,
            Err(Refusal::Failed(error)) => {
                return Err(match *error {
                    Error::Token { status, .. } => refused(status),
                    other => other,
                });
            }
            Err(_) => return Err(refused(status_text(first.status()))),
        };
        let second = self
            .transport()
            .send(&subject.endpoint, &request, Some(&granted.header))
            .await?;
        let result = accepted(&second, granted.refresh_token).map_err(refused);
        if result.is_err() {
            self.authorizer().forget(&subject);
        }
        result
    }
}

fn accepted(response: &reqwest::Response, identity_token: String) -> Result<LoggedIn, String> {
    if response.status().is_success() {
        return Ok(LoggedIn {
            status: "Login Succeeded".into(),
            identity_token,
        });
    }
    Err(status_text(response.status()))
}
