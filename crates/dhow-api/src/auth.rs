//! Registry credentials.

wire! {"lowercase";
    /// Credentials as sent to `/auth` and, base64url-encoded, in `X-Registry-Auth`.
    pub struct AuthConfig {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub username: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub password: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub auth: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub email: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub serveraddress: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub identitytoken: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub registrytoken: String,
    }
}

wire! {"PascalCase";
    /// The answer to `/auth`.
    pub struct AuthResponse {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub identity_token: String,
        pub status: String,
    }
}
