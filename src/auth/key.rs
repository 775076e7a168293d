//! Keys that verify signatures.
//!
//! A key verifies only the algorithms of its kind (A2). In particular, a public key is never used
//! as a shared secret.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto::rust_crypto};
use pkcs8::{Document, ObjectIdentifier, SubjectPublicKeyInfoRef};
use serde::Deserialize;

/// Minimum length of a secret for HS256, in bytes: the length of its hash (RFC 7518, section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Allowed lengths of an RSA key, in bits. RFC 7518, section 3.3 demands the minimum; the maximum
/// is that of the library.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

const OF_SECRET: &[Algorithm] = &[Algorithm::HS256];
const OF_RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const OF_P256: &[Algorithm] = &[Algorithm::ES256];
const OF_P384: &[Algorithm] = &[Algorithm::ES384];
const OF_ED25519: &[Algorithm] = &[Algorithm::EdDSA];

pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a key cannot be used. The messages are for the operator and contain nothing of the key (A3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The secret is too short. Choose a longer one.
    #[error("the secret has {0} bytes; it needs at least {SECRET_BYTES_MIN}")]
    ShortSecret(usize),
    /// The text has no PEM block. Give the text from `-----BEGIN` to `-----END`, or the path of a
    /// file that contains it.
    #[error("this is not PEM")]
    NotPem,
    /// The PEM block does not contain a supported key. The second value says how to get one.
    #[error("PEM of the kind {0:?} is not supported; {1}")]
    Kind(String, &'static str),
    /// The algorithm is not supported. Use another kind of key.
    #[error("keys of this algorithm are not supported; use RSA, P-256, P-384 or Ed25519")]
    Algorithm,
    /// The RSA key is too short or too long.
    #[error("the RSA key has {0} bits; it needs 2048 to 4096")]
    Size(usize),
    /// The key cannot be decoded. It may be cut off or mistyped.
    #[error("the key is damaged")]
    Damaged,
    /// The key is meant for another use, such as encryption.
    #[error("the key is not meant for signatures")]
    Usage,
}

/// A key that verifies signatures.
#[derive(Clone, Debug)]
pub struct Key {
    /// The `kid` of the key in its key set.
    id: Option<String>,
    algorithms: &'static [Algorithm],
    /// The one of these algorithms that the key is limited to by its `alg`.
    only: Option<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl Key {
    fn new(algorithms: &'static [Algorithm], decoding: DecodingKey) -> Result<Self, KeyError> {
        // The library checks a key only when the key is used. With a usable key, the empty
        // signature is wrong, which is not an error here.
        let tried = jsonwebtoken::crypto::verify("", b"", &decoding, algorithms[0]);
        tried.map_err(|_| KeyError::Damaged)?;
        Ok(Self {
            id: None,
            algorithms,
            only: None,
            decoding,
        })
    }

    /// A secret that is shared with the signer: HS256.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Self::new(OF_SECRET, DecodingKey::from_secret(secret))
    }

    /// A public key in PEM: `PUBLIC KEY` (RSA, P-256, P-384, Ed25519) or `RSA PUBLIC KEY`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (kind, document) = Document::from_pem(text.trim()).map_err(|_| KeyError::NotPem)?;
        match kind {
            "RSA PUBLIC KEY" => Self::rsa_der(document.as_bytes()),
            "PUBLIC KEY" => {
                let key = SubjectPublicKeyInfoRef::try_from(document.as_bytes())
                    .map_err(|_| KeyError::Damaged)?;
                Self::from_info(&key)
            }
            "CERTIFICATE" => Err(KeyError::Kind(
                kind.to_owned(),
                "extract its key: openssl x509 -pubkey -noout -in FILE",
            )),
            _ if kind.ends_with("PRIVATE KEY") => Err(KeyError::Kind(
                kind.to_owned(),
                "give its public key: openssl pkey -pubout -in FILE",
            )),
            _ => Err(KeyError::Kind(kind.to_owned(), "give a PUBLIC KEY")),
        }
    }

    /// A key from the contents of `PUBLIC KEY` (RFC 5280).
    fn from_info(key: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, KeyError> {
        let bytes = key.subject_public_key.raw_bytes();
        match (key.algorithm.oid, key.algorithm.parameters_oid().ok()) {
            (RSA, _) => Self::rsa_der(bytes),
            (EC, Some(P256)) => Self::new(OF_P256, DecodingKey::from_ec_der(bytes)),
            (EC, Some(P384)) => Self::new(OF_P384, DecodingKey::from_ec_der(bytes)),
            (ED25519, _) => Self::ed25519(bytes),
            _ => Err(KeyError::Algorithm),
        }
    }

    fn rsa_der(der: &[u8]) -> Result<Self, KeyError> {
        let components = rust_crypto::DEFAULT_PROVIDER
            .key_utils
            .rsa_pub_components_from_public_key;
        let (modulus, exponent) = components(der).map_err(|_| KeyError::Damaged)?;
        Self::rsa(&modulus, &exponent)
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let leading = modulus.iter().take_while(|byte| **byte == 0).count();
        let bits = modulus[leading..].len() * 8
            - modulus
                .get(leading)
                .map_or(0, |first| first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::Size(bits));
        }
        Self::new(
            OF_RSA,
            DecodingKey::from_rsa_raw_components(modulus, exponent),
        )
    }

    fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        // The library does not check the length.
        if bytes.len() != 32 {
            return Err(KeyError::Damaged);
        }
        Self::new(OF_ED25519, DecodingKey::from_ed_der(bytes))
    }

    /// A public key as JSON (RFC 7517). Shared secrets are refused, because a key set is public.
    pub(super) fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !for_signatures {
            return Err(KeyError::Usage);
        }
        let mut key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Self::rsa(&bytes(jwk.n.as_ref())?, &bytes(jwk.e.as_ref())?)?,
            ("EC", Some("P-256")) => Self::new(OF_P256, jwk.point(32)?)?,
            ("EC", Some("P-384")) => Self::new(OF_P384, jwk.point(48)?)?,
            ("OKP", Some("Ed25519")) => Self::ed25519(&bytes(jwk.x.as_ref())?)?,
            _ => return Err(KeyError::Algorithm),
        };
        key.id.clone_from(&jwk.kid);
        if let Some(name) = &jwk.alg {
            let algorithm = name
                .parse()
                .ok()
                .filter(|algorithm| key.algorithms.contains(algorithm));
            key.only = Some(algorithm.ok_or(KeyError::Algorithm)?);
        }
        Ok(key)
    }

    /// The `kid` of the key in its key set.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the key verifies signatures of this algorithm (A2).
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && self.only.is_none_or(|only| only == algorithm)
    }
}

/// Whether an algorithm uses a shared secret.
pub(super) fn is_shared(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// A key as a provider publishes it. Other members are ignored.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// The point of an elliptic curve in the uncompressed encoding of SEC 1.
    fn point(&self, bytes_each: usize) -> Result<DecodingKey, KeyError> {
        let (x, y) = (bytes(self.x.as_ref())?, bytes(self.y.as_ref())?);
        if x.len() != bytes_each || y.len() != bytes_each {
            return Err(KeyError::Damaged);
        }
        Ok(DecodingKey::from_ec_der(
            &[&[4], x.as_slice(), y.as_slice()].concat(),
        ))
    }
}

/// Decodes a required member.
fn bytes(text: Option<&String>) -> Result<Vec<u8>, KeyError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text.ok_or(KeyError::Damaged)?)
        .map_err(|_| KeyError::Damaged)
}
