//! Keys that sign tokens. The server signs only guests' tokens. `switchboard token` signs tokens
//! for scripts.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkcs8::{PrivateKeyInfo, SecretDocument};
use serde::Serialize;

use super::key::{EC, ED25519, KeyError, P256, P384, RSA, SECRET_BYTES_MIN};

/// A key that signs tokens with one algorithm.
#[derive(Debug)]
pub struct Signer {
    header: Header,
    key: EncodingKey,
}

impl Signer {
    fn new(algorithm: Algorithm, key: EncodingKey) -> Result<Self, KeyError> {
        // The library checks a key only when the key is used.
        jsonwebtoken::crypto::sign(b"", &key, algorithm).map_err(|_| KeyError::Damaged)?;
        Ok(Self {
            header: Header::new(algorithm),
            key,
        })
    }

    /// Signs with a shared secret: HS256.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Self::new(Algorithm::HS256, EncodingKey::from_secret(secret))
    }

    /// Signs with a private key in PEM: `PRIVATE KEY` (RSA, P-256, P-384, Ed25519) or
    /// `RSA PRIVATE KEY`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (kind, document) =
            SecretDocument::from_pem(text.trim()).map_err(|_| KeyError::NotPem)?;
        let der = document.as_bytes();
        match kind {
            "RSA PRIVATE KEY" => Self::new(Algorithm::RS256, EncodingKey::from_rsa_der(der)),
            "PRIVATE KEY" => Self::from_info(der),
            "EC PRIVATE KEY" => Err(KeyError::Kind(
                kind.to_owned(),
                "convert it: openssl pkcs8 -topk8 -nocrypt -in FILE",
            )),
            _ => Err(KeyError::Kind(
                kind.to_owned(),
                "give a PRIVATE KEY without a passphrase",
            )),
        }
    }

    /// A signer from the contents of `PRIVATE KEY` (PKCS #8).
    fn from_info(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfo::try_from(der).map_err(|_| KeyError::Damaged)?;
        match (info.algorithm.oid, info.algorithm.parameters_oid().ok()) {
            (RSA, _) => Self::new(
                Algorithm::RS256,
                EncodingKey::from_rsa_der(info.private_key),
            ),
            (EC, Some(P256)) => Self::new(Algorithm::ES256, EncodingKey::from_ec_der(der)),
            (EC, Some(P384)) => Self::new(Algorithm::ES384, EncodingKey::from_ec_der(der)),
            (ED25519, _) => Self::new(Algorithm::EdDSA, EncodingKey::from_ed_der(der)),
            _ => Err(KeyError::Algorithm),
        }
    }

    /// Adds a `kid` to the header of each token, so that a server finds the key in a key set.
    #[must_use]
    pub fn named(mut self, kid: Option<String>) -> Self {
        self.header.kid = kid;
        self
    }

    /// Signs a token with these claims.
    pub fn sign(&self, claims: &impl Serialize) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .expect("`new` has signed with this key")
    }
}
