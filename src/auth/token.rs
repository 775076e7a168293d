//! Reads a token: its header, its signature and its claims, and whether it is valid at a moment.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{error::TokenError, key::Key};
use crate::domain::{Timestamp, TokenId};

/// The last second of the year 9999.
const MOMENT_MAX: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// The header of a token: how it is signed.
///
/// Members that offer a key (`jku`, `jwk`, `x5u`, `x5c`) are not read. In a forged token, they come
/// from the forger (A2).
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

/// The members of the header that are read.
#[derive(Deserialize)]
struct RawHead {
    alg: String,
    kid: Option<String>,
    /// Whether `crit` is present, with any value. Even null refuses the token.
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
}

fn is_present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

impl Head {
    /// Reads the header. The signature is not verified here.
    pub(super) fn read(token: &str) -> Result<Self, TokenError> {
        let mut parts = token.split('.');
        let (Some(head), Some(_), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let head = BASE64_URL_SAFE_NO_PAD
            .decode(head)
            .map_err(|_| TokenError::Malformed)?;
        let head: RawHead = serde_json::from_slice(&head).map_err(|_| TokenError::Malformed)?;
        if head.crit {
            return Err(TokenError::Critical);
        }
        // `none` is not an algorithm of the library, so it is refused here.
        let algorithm = head.alg.parse().map_err(|_| TokenError::Algorithm)?;
        Ok(Self {
            algorithm,
            kid: head.kid,
        })
    }
}

/// The claims of a token whose signature was verified.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Verifies the signature and reads the claims. Whether they make the token valid is decided by
    /// [`TokenRules::check`].
    pub(super) fn verify(token: &str, head: &Head, key: &Key) -> Result<Self, TokenError> {
        if !key.is_for(head.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let mut validation = Validation::new(head.algorithm);
        // `TokenRules::check` does this: it has the caller's clock, and a reason for each refusal.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode(token, &key.decoding, &validation);
        let decoded = decoded.map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
            _ => TokenError::Malformed,
        });
        Ok(Self(decoded?.claims))
    }

    /// A claim that is text. `None` if it is missing, null or empty.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, TokenError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(TokenError::Claim(name)),
        }
    }

    /// A claim that is a moment, in seconds since 1970, with or without a fraction. Values out of
    /// range are clamped to the years 1970 to 9999.
    pub(super) fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
        let moment = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(seconds), _) => Timestamp::from_seconds(seconds),
                (None, Some(seconds)) => Timestamp::from_fractional_seconds(seconds),
                (None, None) => return Err(TokenError::Claim(name)),
            },
            Some(_) => return Err(TokenError::Claim(name)),
        };
        Ok(Some(moment.clamp(Timestamp(0), MOMENT_MAX)))
    }

    /// The id under which the token is revoked: a hash of its issuer and `jti`. Without a `jti` it
    /// is a hash of the signed text.
    ///
    /// The signature is not part of the hash. Some signatures can be rewritten without the key and
    /// stay valid, which would give the same token another id.
    pub(super) fn token_id(&self, token: &str) -> Result<TokenId, TokenError> {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        let mut hash = Sha256::new();
        match self.text("jti")? {
            Some(jti) => {
                let issuer = self.text("iss")?.unwrap_or_default();
                hash.update(issuer.len().to_be_bytes());
                hash.update(issuer);
                hash.update(jti);
            }
            None => hash.update(signed),
        }
        Ok(id_of(hash))
    }

    /// Whether `aud` allows this server. A token without an audience is for every server.
    fn is_for(&self, audience: Option<&str>) -> Result<bool, TokenError> {
        let unreadable = TokenError::Claim("aud");
        let named: Vec<&str> = match self.0.get("aud") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(one)) => vec![one],
            // An element that is not text also names an audience, so the token is refused.
            Some(Value::Array(many)) => many
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .ok_or(unreadable)?,
            Some(_) => return Err(unreadable),
        };
        Ok(match audience {
            Some(audience) => named.contains(&audience),
            // RFC 7519, section 4.1.3: a server that is not named in `aud` must refuse the token.
            None => named.is_empty(),
        })
    }
}

/// The id of a token with this hash: the first half of the hash.
pub(super) fn id_of(hash: Sha256) -> TokenId {
    let hash = <[u8; 32]>::from(hash.finalize());
    TokenId(*hash.first_chunk().expect("32 bytes hold 16"))
}

/// The rules that the claims must follow.
#[derive(Clone, Debug)]
pub(super) struct TokenRules {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) leeway: Duration,
}

impl TokenRules {
    /// The `exp` of a token that is accepted until this moment. The client should have another
    /// token by then.
    pub(super) fn without_leeway(&self, until: Timestamp) -> Timestamp {
        until.minus(self.leeway)
    }

    /// The rules for tokens that this server signs: only `exp` is required.
    pub(super) const OWN: Self = Self {
        issuer: None,
        audience: None,
        leeway: Duration::ZERO,
    };

    /// When the token expires, leeway included, if it is valid now.
    pub(super) fn check(&self, claims: &Claims, now: Timestamp) -> Result<Timestamp, TokenError> {
        if let Some(issuer) = &self.issuer
            && claims.text("iss")? != Some(issuer)
        {
            return Err(TokenError::Issuer);
        }
        if !claims.is_for(self.audience.as_deref())? {
            return Err(TokenError::Audience);
        }
        if claims
            .moment("nbf")?
            .is_some_and(|from| from.minus(self.leeway) > now)
        {
            return Err(TokenError::Early);
        }
        let until = claims.moment("exp")?.ok_or(TokenError::Claim("exp"))?;
        let until = until.plus(self.leeway);
        if until <= now {
            Err(TokenError::Expired)
        } else {
            Ok(until)
        }
    }
}
