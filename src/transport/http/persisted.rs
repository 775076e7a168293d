//! Documents that clients name instead of sending them. Either the server learns them as it goes: automatic persisted queries,
//! as Apollo's clients speak them. Or it runs those of a list and no others.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_graphql::parser::parse_query;
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

/// The documents that clients may name.
pub(crate) enum Persisted {
    /// Any: one is sent with its text once, and named by its hash from then on. What was forgotten is sent again.
    Learning(Cache<Hash, Arc<str>>),
    /// These alone.
    Listed(Operations),
}

impl Persisted {
    /// None yet. 0 is no limit.
    pub(crate) fn learning(bytes_max: u64) -> Self {
        let weigh =
            |_: &Hash, text: &Arc<str>| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let cache = Cache::builder().weigher(weigh);
        let cache = if bytes_max == 0 {
            cache
        } else {
            cache.max_capacity(bytes_max)
        };
        Self::Learning(cache.build())
    }

    /// These and no others.
    pub(crate) fn listed(operations: Operations) -> Self {
        Self::Listed(operations)
    }

    /// Gives a request that names its document the text, or says why it cannot be run.
    pub(crate) fn resolve(&self, body: &mut Subscribe) -> Result<(), ApiError> {
        match self {
            Self::Learning(texts) => learn(texts, body),
            Self::Listed(operations) => operations.resolve(body),
        }
    }
}

/// Looks up a document that is named by a hash alone; keeps the text of one that brings both.
fn learn(texts: &Cache<Hash, Arc<str>>, body: &mut Subscribe) -> Result<(), ApiError> {
    let Some(wanted) = wanted(body) else {
        let named_only = body.query.is_empty() && body.document_id.is_some();
        return if named_only {
            Err(bad("This server keeps no list of documents: send `query`."))
        } else {
            Ok(())
        };
    };
    let hash = named(wanted)?;
    if body.query.is_empty() {
        // Clients know this message by heart and answer it with the whole document.
        let unknown = || ApiError::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound");
        body.query = texts.get(&hash).ok_or_else(unknown)?.as_ref().to_owned();
    } else if hash == Hash::from(Sha256::digest(&body.query)) {
        // One that is known already is not copied again.
        texts
            .entry(hash)
            .or_insert_with(|| body.query.as_str().into());
    } else {
        return Err(bad(
            "The hash of the persisted query is not that of its text.",
        ));
    }
    Ok(())
}

fn wanted(body: &Subscribe) -> Option<&Value> {
    body.extensions
        .as_ref()
        .and_then(|extensions| extensions.get("persistedQuery"))
}

/// A list of documents by the names that clients give them, which are hashes as a rule.
#[derive(Debug)]
pub struct Operations {
    by_name: HashMap<String, Arc<str>>,
    texts: HashSet<Arc<str>>,
}

/// Why a list of documents cannot be used. Each is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum BadOperations {
    /// Look at the path.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Have the tool write it again.
    #[error("{} is no JSON object of hashes and documents: {error}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        error: serde_json::Error,
    },
    /// With it nothing at all could be run.
    #[error("{} holds no documents", .0.display())]
    Empty(PathBuf),
    /// Correct this one.
    #[error("the document {name:?} is no GraphQL: {reason}")]
    Document {
        /// What it is called.
        name: String,
        /// Where and why.
        reason: String,
    },
}

impl Operations {
    /// Reads a file of the form `{"<sha256>": "<document>", …}`.
    pub fn read(path: &Path) -> Result<Self, BadOperations> {
        let path_buf = || path.to_owned();
        let text = std::fs::read_to_string(path).map_err(|error| BadOperations::Unreadable {
            path: path_buf(),
            error,
        })?;
        let listed: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|error| BadOperations::Malformed {
                path: path_buf(),
                error,
            })?;
        if listed.is_empty() {
            return Err(BadOperations::Empty(path_buf()));
        }
        let mut operations = Self {
            by_name: HashMap::new(),
            texts: HashSet::new(),
        };
        for (name, text) in listed {
            if let Err(error) = parse_query(&text) {
                return Err(BadOperations::Document {
                    name,
                    reason: in_one_line(&error),
                });
            }
            let text: Arc<str> = text.into();
            operations.texts.insert(text.clone());
            operations.by_name.insert(plain(&name), text);
        }
        Ok(operations)
    }

    /// A listed document may be sent in full too; whatever stands beside it then does not count.
    fn resolve(&self, body: &mut Subscribe) -> Result<(), ApiError> {
        let refusal = || {
            let message =
                "This server runs the documents of its list only, and this one is not in it.";
            ApiError::new(Code::PersistedQueryNotInList, message)
        };
        if !body.query.is_empty() {
            return self
                .texts
                .contains(body.query.as_str())
                .then_some(())
                .ok_or_else(refusal);
        }
        let hash = wanted(body)
            .and_then(|wanted| wanted.get("sha256Hash"))
            .and_then(Value::as_str);
        let name = hash.or(body.document_id.as_deref()).map(plain);
        let text = name
            .and_then(|name| self.by_name.get(&name))
            .ok_or_else(refusal)?;
        body.query = text.as_ref().to_owned();
        Ok(())
    }
}

/// The library draws a picture of several lines; what it found wrong is the last one.
fn in_one_line(error: &async_graphql::parser::Error) -> String {
    let text = error.to_string();
    let what = text
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .trim_start_matches("= ")
        .to_owned();
    error.positions().next().map_or(what.clone(), |at| {
        format!("line {}, column {}: {what}", at.line, at.column)
    })
}

/// A name as it is compared: some clients put the algorithm in front of a hash, and hashes are written in any letter case.
fn plain(name: &str) -> String {
    let hash = name.strip_prefix("sha256:").unwrap_or(name);
    if unhex(hash).is_some() {
        hash.to_ascii_lowercase()
    } else {
        name.to_owned()
    }
}

/// The hash in `{"version": 1, "sha256Hash": "…"}`.
fn named(wanted: &Value) -> Result<Hash, ApiError> {
    let absent = Map::new();
    let wanted = wanted.as_object().unwrap_or(&absent);
    if wanted.get("version") != Some(&Value::from(1)) {
        return Err(bad("Persisted queries are spoken in version 1."));
    }
    let hash = wanted
        .get("sha256Hash")
        .and_then(Value::as_str)
        .and_then(unhex);
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
        let Value::Object(extensions) = json!({ "persistedQuery": persisted }) else {
            unreachable!()
        };
        Subscribe {
            query: query.to_owned(),
            extensions: Some(extensions),
            ..Subscribe::default()
        }
    }

    fn hex(text: &str) -> String {
        Sha256::digest(text)
            .iter()
            .fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").unwrap();
                hex
            })
    }

    fn hash_only(text: &str) -> Subscribe {
        request("", json!({ "version": 1, "sha256Hash": hex(text) }))
    }

    #[test]
    fn a_text_is_kept_under_its_own_hash_only() {
        let persisted = Persisted::learning(0);
        assert!(persisted.resolve(&mut hash_only("{ a }")).is_err());
        let both = |hash: &str| request("{ a }", json!({ "version": 1, "sha256Hash": hash }));
        persisted.resolve(&mut both(&hex("{ b }"))).unwrap_err();
        persisted.resolve(&mut hash_only("{ b }")).unwrap_err();
        persisted
            .resolve(&mut both(&hex("{ a }").to_uppercase()))
            .unwrap();
        let mut named = hash_only("{ a }");
        persisted.resolve(&mut named).unwrap();
        assert_eq!(named.query, "{ a }");
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let persisted = Persisted::learning(0);
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
            assert!(
                persisted
                    .resolve(&mut request("{ a }", wanted.clone()))
                    .is_err(),
                "{wanted}"
            );
        }
    }

    #[test]
    fn what_it_keeps_is_bounded_in_bytes() {
        let persisted = Persisted::learning(10_000);
        let texts: Vec<_> = (0..100)
            .map(|number| format!("{{ a }} #{number}{}", "x".repeat(900)))
            .collect();
        for text in &texts {
            persisted
                .resolve(&mut request(
                    text,
                    json!({ "version": 1, "sha256Hash": hex(text) }),
                ))
                .unwrap();
        }
        let Persisted::Learning(kept) = &persisted else {
            unreachable!()
        };
        kept.run_pending_tasks();
        assert!(kept.weighted_size() <= 10_000);
        let kept = texts
            .iter()
            .filter(|text| persisted.resolve(&mut hash_only(text)).is_ok())
            .count();
        assert!((1..=10).contains(&kept), "{kept} are kept");
    }

    #[test]
    fn a_name_is_found_with_its_algorithm_and_in_any_letter_case() {
        let hash = hex("{ a }");
        assert_eq!(plain(&format!("sha256:{}", hash.to_uppercase())), hash);
        // Names that are no hashes are taken as they are.
        assert_eq!(
            (plain("Viewer"), plain("sha256:x")),
            ("Viewer".to_owned(), "sha256:x".to_owned())
        );
    }

    #[test]
    fn a_name_alone_means_nothing_without_a_list() {
        let mut body = Subscribe {
            document_id: Some(hex("{ a }")),
            ..Subscribe::default()
        };
        assert!(Persisted::learning(0).resolve(&mut body).is_err());
        body.query = "{ a }".to_owned();
        assert!(Persisted::learning(0).resolve(&mut body).is_ok());
    }
}
