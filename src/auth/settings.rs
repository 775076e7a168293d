//! How users sign in, as the operator has configured it.

use std::time::Duration;

use super::{fetch::JwksUrl, key::Key};

/// How users sign in.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// With a name. The value is the time for which a guest's token is valid.
    Guests(Duration),
    /// At an identity provider.
    Jwt(Box<JwtSettings>),
}

/// Which tokens of an identity provider are accepted.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// The keys that the provider signs with.
    pub keys: KeySource,
    /// The required `iss`; `None` accepts any.
    pub issuer: Option<String>,
    /// The name of this server, which `aud` must contain. With `None`, a token with an `aud` is
    /// refused, because it is meant for another server.
    pub audience: Option<String>,
    /// The tolerance for clocks that differ. It applies to `exp` and `nbf`.
    pub leeway: Duration,
}

/// Where the keys of an identity provider come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// One key, which does not change while the server runs.
    Fixed(Box<Key>),
    /// The key set that the provider publishes.
    Jwks(Box<JwksUrl>),
}
