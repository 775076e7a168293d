//! Automatic persisted queries, as Apollo's clients speak them: a document is sent once and named by its hash from then on.

use std::sync::Arc;

use moka::sync::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    protocol::Subscribe,
    schema::{ApiError, Code},
};

/// About what an entry holds beside its text.
const ENTRY_BYTES: usize = 128;

type Hash = [u8; 32];

/// The documents that clients may name by their hash. What it forgets is sent again.
pub(super) struct Persisted {
    texts: Cache<Hash, Arc<str>>,
}

impl Persisted {
    /// None yet. 0 is no limit.
    pub(super) fn new(bytes_max: u64) -> Self {
        let weigh = |_: &Hash, text: &Arc<str>| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let cache = Cache::builder().weigher(weigh);
        let cache = if bytes_max == 0 { cache } else { cache.max_capacity(bytes_max) };
        Self { texts: cache.build() }
    }

    /// Gives a request that names its document by a hash its text; keeps the text of one that brings both.
    pub(super) fn resolve(&self, body: &mut Subscribe) -> Result<(), ApiError> {
        let Some(wanted) = body.extensions.as_ref().and_then(|extensions| extensions.get("persistedQuery")) else {
            return Ok(());
        };
        let hash = named(wanted)?;
        if body.query.is_empty() {
            // Clients know this message by heart and answer it with the whole document.
            let unknown = || ApiError::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound");
            body.query = self.texts.get(&hash).ok_or_else(unknown)?.as_ref().to_owned();
        } else if hash == Hash::from(Sha256::digest(&body.query)) {
            // One that is known already is not copied again.
            self.texts.entry(hash).or_insert_with(|| body.query.as_str().into());
        } else {
            return Err(bad("The hash of the persisted query is not that of its text."));
        }
        Ok(())
    }
}

/// The hash in `{"version": 1, "sha256Hash": "…"}`.
fn named(wanted: &Value) -> Result<Hash, ApiError> {
    let absent = Map::new();
    let wanted = wanted.as_object().unwrap_or(&absent);
    if wanted.get("version") != Some(&Value::from(1)) {
        return Err(bad("Persisted queries are spoken in version 1."));
    }
    let hash = wanted.get("sha256Hash").and_then(Value::as_str).and_then(unhex);
    hash.ok_or_else(|| bad("persistedQuery.sha256Hash must be 64 hexadecimal digits."))
}

fn unhex(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = Hash::default();
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

fn bad(message: &str) -> ApiError {
    ApiError::new(Code::BadUserInput, message)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde_json::json;

    use super::*;

    fn request(query: &str, persisted: Value) -> Subscribe {
        let Value::Object(extensions) = json!({ "persistedQuery": persisted }) else { unreachable!() };
        Subscribe { query: query.to_owned(), extensions: Some(extensions), ..Subscribe::default() }
    }

    fn hex(text: &str) -> String {
        Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    }

    fn hash_only(text: &str) -> Subscribe {
        request("", json!({ "version": 1, "sha256Hash": hex(text) }))
    }

    #[test]
    fn a_text_is_kept_under_its_own_hash_only() {
        let persisted = Persisted::new(0);
        assert!(persisted.resolve(&mut hash_only("{ a }")).is_err());
        let both = |hash: &str| request("{ a }", json!({ "version": 1, "sha256Hash": hash }));
        persisted.resolve(&mut both(&hex("{ b }"))).unwrap_err();
        persisted.resolve(&mut hash_only("{ b }")).unwrap_err();
        persisted.resolve(&mut both(&hex("{ a }").to_uppercase())).unwrap();
        let mut named = hash_only("{ a }");
        persisted.resolve(&mut named).unwrap();
        assert_eq!(named.query, "{ a }");
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let persisted = Persisted::new(0);
        for wanted in [
            json!(null),
            json!("x"),
            json!({}),
            json!({ "version": 2, "sha256Hash": hex("{ a }") }),
            json!({ "version": 1 }),
            json!({ "version": 1, "sha256Hash": 7 }),
            json!({ "version": 1, "sha256Hash": "ä".repeat(32) }),
            json!({ "version": 1, "sha256Hash": "a".repeat(63) }),
            json!({ "version": 1, "sha256Hash": "+a".repeat(32) }),
        ] {
            assert!(persisted.resolve(&mut request("{ a }", wanted.clone())).is_err(), "{wanted}");
        }
    }

    #[test]
    fn what_it_keeps_is_bounded_in_bytes() {
        let persisted = Persisted::new(10_000);
        let texts: Vec<_> = (0..100).map(|number| format!("{{ a }} #{number}{}", "x".repeat(900))).collect();
        for text in &texts {
            persisted.resolve(&mut request(text, json!({ "version": 1, "sha256Hash": hex(text) }))).unwrap();
        }
        persisted.texts.run_pending_tasks();
        assert!(persisted.texts.weighted_size() <= 10_000);
        let kept = texts.iter().filter(|text| persisted.resolve(&mut hash_only(text)).is_ok()).count();
        assert!((1..=10).contains(&kept), "{kept} are kept");
    }
}
