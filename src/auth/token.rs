//! Reading a token: its header, its signature, its claims, and whether they hold at a moment.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{BadToken, key::Key};
use crate::domain::{Timestamp, TokenId};

/// The last second of the year 9999.
const MOMENT_MAX: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// What a token says about how it is signed. Where a key could be had (`jku`, `jwk`, `x5u`, `x5c`) is not even read: whoever
/// forged the token wrote that too.
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

#[derive(Deserialize)]
struct RawHead {
    alg: String,
    kid: Option<String>,
    /// Whether it is there, whatever it is: null is no list of headers either.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

impl Head {
    pub(super) fn read(token: &str) -> Result<Self, BadToken> {
        let mut parts = token.split('.');
        let (Some(head), Some(_), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadToken::Malformed);
        };
        let head = BASE64_URL_SAFE_NO_PAD
            .decode(head)
            .map_err(|_| BadToken::Malformed)?;
        let head: RawHead = serde_json::from_slice(&head).map_err(|_| BadToken::Malformed)?;
        if head.crit {
            return Err(BadToken::Critical);
        }
        // `none` is no algorithm here.
        let algorithm = head.alg.parse().map_err(|_| BadToken::Algorithm)?;
        Ok(Self {
            algorithm,
            kid: head.kid,
        })
    }
}

/// What a token says, once its signature was found good.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn verify(token: &str, head: &Head, key: &Key) -> Result<Self, BadToken> {
        if !key.is_for(head.algorithm) {
            return Err(BadToken::Algorithm);
        }
        let mut validation = Validation::new(head.algorithm);
        // The claims are looked at below: the moment is the caller's, and each refusal has a reason of its own.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode(token, &key.decoding, &validation);
        let decoded = decoded.map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => BadToken::Signature,
            ErrorKind::InvalidAlgorithm => BadToken::Algorithm,
            _ => BadToken::Malformed,
        });
        Ok(Self(decoded?.claims))
    }

    /// A claim that is text; none where it is missing, null or empty.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, BadToken> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(BadToken::Claim(name)),
        }
    }

    /// A claim that is a moment, in seconds since 1970, whole or not. One that has no date is the first or the last that
    /// has one.
    pub(super) fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, BadToken> {
        let moment = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(seconds), _) => Timestamp::from_seconds(seconds),
                (None, Some(seconds)) => Timestamp::from_fractional_seconds(seconds),
                (None, None) => return Err(BadToken::Claim(name)),
            },
            Some(_) => return Err(BadToken::Claim(name)),
        };
        Ok(Some(moment.clamp(Timestamp(0), MOMENT_MAX)))
    }

    /// Whether a claim is `true`, and nothing like it.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    /// Which token this is: by its issuer and `jti`; one without is known by what was signed. The signature is left out:
    /// some can be rewritten without the key and stay good.
    pub(super) fn token_id(&self, token: &str) -> Result<TokenId, BadToken> {
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
        let hash = <[u8; 32]>::from(hash.finalize());
        Ok(TokenId(*hash.first_chunk().expect("32 bytes hold 16")))
    }

    /// Whether the token is for one of whom it names; one that names nobody is for everybody.
    fn is_for(&self, audience: Option<&str>) -> Result<bool, BadToken> {
        let unreadable = BadToken::Claim("aud");
        let named: Vec<&str> = match self.0.get("aud") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(one)) => vec![one],
            // Somebody is named by what cannot be read, too.
            Some(Value::Array(many)) => many
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .ok_or(unreadable)?,
            Some(_) => return Err(unreadable),
        };
        Ok(match audience {
            Some(audience) => named.contains(&audience),
            // RFC 7519, 4.1.3: who does not find himself among those named must refuse.
            None => named.is_empty(),
        })
    }
}

/// What the claims must say.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) leeway: Duration,
}

impl Rules {
    /// The `exp` of a token that is good until this moment: when to have another one.
    pub(super) fn without_leeway(&self, until: Timestamp) -> Timestamp {
        until.minus(self.leeway)
    }

    /// What a server's own tokens must say: nothing but `exp`.
    pub(super) const OWN: Self = Self {
        issuer: None,
        audience: None,
        leeway: Duration::ZERO,
    };

    /// Until when the token is good, if it is good at this moment.
    pub(super) fn check(&self, claims: &Claims, now: Timestamp) -> Result<Timestamp, BadToken> {
        if let Some(issuer) = &self.issuer
            && claims.text("iss")? != Some(issuer)
        {
            return Err(BadToken::Issuer);
        }
        if !claims.is_for(self.audience.as_deref())? {
            return Err(BadToken::Audience);
        }
        if claims
            .moment("nbf")?
            .is_some_and(|from| from.minus(self.leeway) > now)
        {
            return Err(BadToken::Early);
        }
        let until = claims.moment("exp")?.ok_or(BadToken::Claim("exp"))?;
        let until = until.plus(self.leeway);
        if until <= now {
            Err(BadToken::Expired)
        } else {
            Ok(until)
        }
    }
}
