//! Checking credentials.

/// A login that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// What to tell the user: `Login Succeeded`.
    pub status: String,
    /// A refresh token to be kept in place of the password, if the registry gave one.
    pub identity_token: String,
}
