//! Valid and forged tokens of an identity provider, and its keys.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use pkcs8::{PrivateKeyInfo, SecretDocument};
use serde_json::{Value, json};
use switchboard::{auth::Signer, server::clock};

/// The path of a file in the folder `keys`.
pub(crate) fn key_path(name: &str) -> String {
    format!(
        "{}/tests/it/support/keys/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// The content of a file in the folder `keys`.
pub(crate) fn key_pem(name: &str) -> String {
    std::fs::read_to_string(key_path(name)).unwrap()
}

/// The time in seconds since 1970.
pub(crate) fn now() -> i64 {
    clock()().0 / 1_000_000
}

/// Valid claims for this subject. They expire in an hour.
pub(crate) fn claims(subject: &str) -> Value {
    json!({ "sub": subject, "name": subject, "iss": "https://issuer.test", "aud": "switchboard",
            "iat": now(), "exp": now() + 3600 })
}

/// Valid claims for this subject, with changes. A null removes a claim.
pub(crate) fn claims_with(subject: &str, changes: &Value) -> Value {
    let mut claims = claims(subject);
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// Signs claims with one of the private keys in the folder `keys`.
pub(crate) fn sign(key: &str, kid: Option<&str>, claims: &Value) -> String {
    Signer::from_pem(&key_pem(key))
        .unwrap()
        .named(kid.map(str::to_owned))
        .sign(claims)
}

/// Signs claims with any key and algorithm, under any header.
pub(crate) fn forge(
    header: &Value,
    claims: &Value,
    algorithm: Algorithm,
    key: &EncodingKey,
) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

/// One of the private keys in the folder `keys`, as the JWT library takes it.
pub(crate) fn encoding_key(name: &str) -> (EncodingKey, Algorithm) {
    let (_, document) = SecretDocument::from_pem(key_pem(name).trim()).unwrap();
    let der = document.as_bytes();
    match name {
        "rsa.pem" => {
            let info = PrivateKeyInfo::try_from(der).unwrap();
            (
                EncodingKey::from_rsa_der(info.private_key),
                Algorithm::RS256,
            )
        }
        "ed.pem" => (EncodingKey::from_ed_der(der), Algorithm::EdDSA),
        "ec384.pem" => (EncodingKey::from_ec_der(der), Algorithm::ES384),
        _ => (EncodingKey::from_ec_der(der), Algorithm::ES256),
    }
}

/// The public key of one of the private keys in the folder `keys`, as a provider publishes it.
pub(crate) fn jwk(name: &str, kid: &str) -> Value {
    let (key, algorithm) = encoding_key(name);
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
    (jwk["kid"], jwk["use"]) = (kid.into(), "sig".into());
    jwk
}

/// Returns the token with the other valid signature, in which s is n - s. Anybody can compute it.
pub(crate) fn with_other_signature(head: &str, signature: &str) -> String {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for (place, of_order) in bytes[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(of_order) - i16::from(*place) - borrow;
        borrow = i16::from(difference < 0);
        *place = difference.rem_euclid(256).try_into().unwrap();
    }
    format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
