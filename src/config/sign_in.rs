//! Flags for signing in: the identity provider, and the keys that sign tokens.

use std::{fmt, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

use crate::{
    auth::{JwksUrl, JwtSettings, Key, KeySource, SignIn, Signer},
    limit::duration,
    transport::TokenHeader,
};

/// The maximum clock difference. With a larger one, expired tokens would be accepted for too long.
const LEEWAY_MAX: Duration = Duration::from_secs(10 * 60);

/// The signer of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Everybody may sign in with a name; this server issues the token.
    Guest,
    /// An identity provider issues tokens; this server verifies them.
    Jwt,
}

/// A secret. Its `Debug` output does not show it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The secret in plain text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How users sign in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sign-in")]
pub struct SignInFlags {
    /// Who issues tokens
    #[arg(
        long,
        env = "SWITCHBOARD_AUTH",
        default_value = "guest",
        value_name = "MODE"
    )]
    pub auth: AuthMode,
    /// The header with the token: `Bearer TOKEN`, or, in another header than Authorization, also
    /// the token alone. Choose another header if a proxy uses Authorization for a scheme of its own
    #[arg(
        long,
        env = "SWITCHBOARD_AUTH_HEADER",
        default_value = "Authorization",
        value_name = "NAME"
    )]
    pub auth_header: TokenHeader,
    /// With jwt: the secret shared with the provider (HS256, at least 32 bytes). Prefer the
    /// environment variable: flags are visible in process lists
    #[arg(
        long,
        env = "SWITCHBOARD_JWT_SECRET",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// With jwt: the provider's public key in PEM (RSA, P-256, P-384 or Ed25519), or the path of a
    /// file that holds it
    #[arg(
        long,
        env = "SWITCHBOARD_JWT_PUBLIC_KEY",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "PEM"
    )]
    pub jwt_public_key: Option<String>,
    /// With jwt: the URL of the provider's key set, https://… (http://… on loopback only)
    #[arg(
        long,
        env = "SWITCHBOARD_JWKS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub jwks_url: Option<Secret>,
    /// With jwt: the required value of the claim `iss`
    #[arg(long, env = "SWITCHBOARD_JWT_ISSUER", value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// With jwt: an audience that the claim `aud` must contain. If not given, tokens that have an
    /// audience are refused
    #[arg(long, env = "SWITCHBOARD_JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// With jwt: the tolerated clock difference to the provider, at most 10m [default: 30s]
    #[arg(long, env = "SWITCHBOARD_JWT_LEEWAY", value_parser = duration, value_name = "TIME")]
    pub jwt_leeway: Option<Duration>,
}

/// The tolerated clock difference unless a flag sets it.
const LEEWAY: Duration = Duration::from_secs(30);

impl SignInFlags {
    /// How users sign in. Reads the files that the flags name and the system's trusted
    /// certificates. The error is one line for the operator.
    pub fn choice(&self, session_lifetime: Duration) -> Result<SignIn, String> {
        match self.auth {
            AuthMode::Guest => {
                self.refuse_jwt_flags()?;
                Ok(SignIn::Guests(session_lifetime))
            }
            AuthMode::Jwt => Ok(SignIn::Jwt(Box::new(self.settings()?))),
        }
    }

    /// Refuses flags that have no effect in guest mode: the operator expects them to have one.
    fn refuse_jwt_flags(&self) -> Result<(), String> {
        let given = [
            ("--jwt-secret", self.jwt_secret.is_some()),
            ("--jwt-public-key", self.jwt_public_key.is_some()),
            ("--jwks-url", self.jwks_url.is_some()),
            ("--jwt-issuer", self.jwt_issuer.is_some()),
            ("--jwt-audience", self.jwt_audience.is_some()),
            ("--jwt-leeway", self.jwt_leeway.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(format!(
                "{flag} is for --auth jwt; without it, guests sign in"
            )),
            None => Ok(()),
        }
    }

    fn settings(&self) -> Result<JwtSettings, String> {
        let leeway = self.jwt_leeway.unwrap_or(LEEWAY);
        if leeway > LEEWAY_MAX {
            return Err("--jwt-leeway: at most 10 minutes".to_owned());
        }
        let empty = [
            ("--jwt-issuer", &self.jwt_issuer),
            ("--jwt-audience", &self.jwt_audience),
        ];
        if let Some((flag, _)) = empty
            .into_iter()
            .find(|(_, text)| text.as_deref() == Some(""))
        {
            return Err(format!("{flag} is empty"));
        }
        Ok(JwtSettings {
            keys: self.keys()?,
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
            leeway,
        })
    }

    fn keys(&self) -> Result<KeySource, String> {
        match (&self.jwt_secret, &self.jwt_public_key, &self.jwks_url) {
            (Some(secret), None, None) => {
                let key = Key::secret(secret.reveal().as_bytes())
                    .map_err(|error| format!("--jwt-secret: {error}"))?;
                Ok(KeySource::Fixed(Box::new(key)))
            }
            (None, Some(given), None) => {
                let key = Key::from_pem(&pem("--jwt-public-key", given)?);
                Ok(KeySource::Fixed(Box::new(
                    key.map_err(|error| format!("--jwt-public-key: {error}"))?,
                )))
            }
            (None, None, Some(url)) => {
                let url =
                    JwksUrl::parse(url.reveal()).map_err(|error| format!("--jwks-url: {error}"))?;
                Ok(KeySource::Jwks(Box::new(url)))
            }
            (None, None, None) => Err(
                "--auth jwt needs a key: one of --jwt-secret, --jwt-public-key and --jwks-url"
                    .to_owned(),
            ),
            _ => Err(
                "give one of --jwt-secret, --jwt-public-key and --jwks-url, not several".to_owned(),
            ),
        }
    }
}

/// The key with which `switchboard token` signs in place of an identity provider.
#[derive(Args, Clone, Debug)]
pub struct SigningFlags {
    /// With jwt: the private key to sign with in PEM, or the path of a file that holds it
    #[arg(
        long,
        env = "SWITCHBOARD_JWT_PRIVATE_KEY",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "PEM"
    )]
    pub jwt_private_key: Option<Secret>,
    /// With jwt: the id of the private key in the provider's key set, the token's `kid`
    #[arg(long, env = "SWITCHBOARD_JWT_KEY_ID", value_name = "KID")]
    pub jwt_key_id: Option<String>,
}

impl SigningFlags {
    /// The key to sign with. The error is one line for the operator.
    pub fn signer(&self, sign_in: &SignInFlags) -> Result<Signer, String> {
        let signer = match (&sign_in.jwt_secret, &self.jwt_private_key) {
            (Some(secret), None) => Signer::secret(secret.reveal().as_bytes())
                .map_err(|error| format!("--jwt-secret: {error}"))?,
            (None, Some(given)) => {
                let signer = Signer::from_pem(&pem("--jwt-private-key", given.reveal())?);
                signer.map_err(|error| format!("--jwt-private-key: {error}"))?
            }
            (None, None) => {
                return Err(
                    "with --auth jwt, give --jwt-secret or --jwt-private-key to sign with"
                        .to_owned(),
                );
            }
            (Some(_), Some(_)) => {
                return Err("give one of --jwt-secret and --jwt-private-key, not both".to_owned());
            }
        };
        Ok(signer.named(self.jwt_key_id.clone()))
    }

    /// Whether any of these flags was given.
    pub fn are_given(&self) -> bool {
        self.jwt_private_key.is_some() || self.jwt_key_id.is_some()
    }
}

/// The PEM text that was given, or the content of the file that was named. Errors do not repeat the
/// value: it may be part of a key.
fn pem(flag: &str, given: &str) -> Result<String, String> {
    if given.contains("-----BEGIN") {
        return Ok(given.to_owned());
    }
    std::fs::read_to_string(given)
        .map_err(|error| format!("{flag}: neither PEM nor a file that can be read: {error}"))
}
