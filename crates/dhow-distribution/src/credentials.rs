//! What a user shows to a registry.

use std::fmt;

/// A user's name and password, or a token in their place; all empty for nobody in particular.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: String,
    /// A refresh token, got from an earlier login, to get access tokens with.
    pub identity_token: String,
    /// A bearer token to be sent to the registry as it is.
    pub registry_token: String,
}

impl Credentials {
    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// A name and a password.
    #[must_use]
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            ..Self::default()
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Debug for Credentials {
    /// Secrets never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_secrets() {
        let text = format!("{:?}", Credentials::basic("me", "hunter2"));
        assert!(text.contains("me") && !text.contains("hunter2"), "{text}");
    }
}
