//! Persisted queries: documents that clients name instead of sending their text.
//!
//! By default the server learns documents from clients, by the protocol of Apollo's automatic
//! persisted queries. With a list of operations it executes the documents of that list and no
//! others.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use moka::sync::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    protocol::Subscribe,
    schema::{ApiError, Code, SyntaxError, parse_document},
};

/// About how many bytes an entry takes beside its text.
const ENTRY_BYTES: usize = 128;

type Hash = [u8; 32];

/// The documents that clients may name.
pub(crate) enum PersistedQueries {
    /// Documents learned from clients. A client sends the text and the hash once, and only the hash
    /// after that. If the server has evicted the document, the client sends the text again.
    Learning(Cache<Hash, Arc<str>>),
    /// The documents of a list. No others are executed.
    Listed(OperationList),
}

impl PersistedQueries {
    /// Learns documents, in at most this many bytes of memory. 0 is no limit.
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

    /// Executes the documents of this list and no others.
    pub(crate) fn listed(operations: OperationList) -> Self {
        Self::Listed(operations)
    }

    /// Replaces a document's name with its text. The error says why the request cannot be executed.
    pub(crate) fn resolve(&self, body: &mut Subscribe) -> Result<(), ApiError> {
        match self {
            Self::Learning(texts) => learn(texts, body),
            Self::Listed(operations) => operations.resolve(body),
        }
    }
}

/// Looks up a document that is named by its hash. Stores a document that comes with its text.
fn learn(texts: &Cache<Hash, Arc<str>>, body: &mut Subscribe) -> Result<(), ApiError> {
    let Some(extension) = persisted_query(body) else {
        let named_only = body.query.is_empty() && body.document_id.is_some();
        return if named_only {
            Err(bad("This server has no list of documents: send `query`."))
        } else {
            Ok(())
        };
    };
    let hash = hash_in(extension)?;
    if body.query.is_empty() {
        // Clients compare this message, and answer it with the whole document.
        let unknown = || ApiError::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound");
        body.query = texts.get(&hash).ok_or_else(unknown)?.as_ref().to_owned();
    } else if hash == Hash::from(Sha256::digest(&body.query)) {
        // A document that is stored already is not copied again.
        texts
            .entry(hash)
            .or_insert_with(|| body.query.as_str().into());
    } else {
        return Err(bad(
            "The hash of the persisted query does not match its text.",
        ));
    }
    Ok(())
}

fn persisted_query(body: &Subscribe) -> Option<&Value> {
    body.extensions
        .as_ref()
        .and_then(|extensions| extensions.get("persistedQuery"))
}

/// A list of documents. Each has the name that clients use for it, which is usually a hash.
#[derive(Debug)]
pub struct OperationList {
    by_name: HashMap<String, Arc<str>>,
    texts: HashSet<Arc<str>>,
}

/// Why a list of documents cannot be used. Each message is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OperationListError {
    /// The file cannot be read. Correct the path.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file has another format. Generate it again.
    #[error("{} is not a JSON object of hashes and documents: {error}", path.display())]
    Malformed {
        /// The path of the file.
        path: PathBuf,
        /// The position and the cause.
        error: serde_json::Error,
    },
    /// The list is empty, so that no request could be executed.
    #[error("{} holds no documents", .0.display())]
    Empty(PathBuf),
    /// A document cannot be parsed. Correct it.
    #[error("the document {name:?} is not valid GraphQL: {reason}")]
    Document {
        /// The document's name.
        name: String,
        /// The position and the cause.
        reason: String,
    },
}

impl OperationList {
    /// Reads a file of the form `{"<sha256>": "<document>", …}`.
    pub fn read(path: &Path) -> Result<Self, OperationListError> {
        let path_buf = || path.to_owned();
        let text =
            std::fs::read_to_string(path).map_err(|error| OperationListError::Unreadable {
                path: path_buf(),
                error,
            })?;
        let listed: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|error| OperationListError::Malformed {
                path: path_buf(),
                error,
            })?;
        if listed.is_empty() {
            return Err(OperationListError::Empty(path_buf()));
        }
        let mut operations = Self {
            by_name: HashMap::new(),
            texts: HashSet::new(),
        };
        for (name, text) in listed {
            if let Err(error) = parse_document(&text) {
                return Err(OperationListError::Document {
                    name,
                    reason: one_line(&error),
                });
            }
            let text: Arc<str> = text.into();
            operations.texts.insert(text.clone());
            operations.by_name.insert(normalised(&name), text);
        }
        Ok(operations)
    }

    /// A client may also send a listed document's text. A name beside the text is ignored.
    fn resolve(&self, body: &mut Subscribe) -> Result<(), ApiError> {
        let refusal = || {
            let message =
                "This server executes only the documents of its list, and this one is not in it.";
            ApiError::new(Code::PersistedQueryNotInList, message)
        };
        if !body.query.is_empty() {
            return self
                .texts
                .contains(body.query.as_str())
                .then_some(())
                .ok_or_else(refusal);
        }
        let hash = persisted_query(body)
            .and_then(|extension| extension.get("sha256Hash"))
            .and_then(Value::as_str);
        let name = hash.or(body.document_id.as_deref()).map(normalised);
        let text = name
            .and_then(|name| self.by_name.get(&name))
            .ok_or_else(refusal)?;
        body.query = text.as_ref().to_owned();
        Ok(())
    }
}

/// A parser's error with its position.
fn one_line(error: &SyntaxError) -> String {
    match error.position {
        Some(at) => format!("line {}, column {}: {error}", at.line, at.column),
        None => error.to_string(),
    }
}

/// A name in the form that names are compared in. Some clients put the algorithm in front of a
/// hash, and a hash may be written in any letter case.
fn normalised(name: &str) -> String {
    let hash = name.strip_prefix("sha256:").unwrap_or(name);
    if unhex(hash).is_some() {
        hash.to_ascii_lowercase()
    } else {
        name.to_owned()
    }
}

/// The hash in `{"version": 1, "sha256Hash": "…"}`.
fn hash_in(extension: &Value) -> Result<Hash, ApiError> {
    let absent = Map::new();
    let extension = extension.as_object().unwrap_or(&absent);
    if extension.get("version") != Some(&Value::from(1)) {
        return Err(bad("persistedQuery.version must be 1."));
    }
    let hash = extension
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
    fn a_text_is_stored_only_under_its_own_hash() {
        let persisted = PersistedQueries::learning(0);
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
    fn a_malformed_hash_is_refused() {
        let persisted = PersistedQueries::learning(0);
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
    fn stored_documents_are_bounded_in_bytes() {
        let persisted = PersistedQueries::learning(10_000);
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
        let PersistedQueries::Learning(kept) = &persisted else {
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
    fn hashes_match_with_their_algorithm_and_in_any_letter_case() {
        let hash = hex("{ a }");
        assert_eq!(normalised(&format!("sha256:{}", hash.to_uppercase())), hash);
        // A name that is not a hash is compared as it is.
        assert_eq!(
            (normalised("Viewer"), normalised("sha256:x")),
            ("Viewer".to_owned(), "sha256:x".to_owned())
        );
    }

    #[test]
    fn a_name_without_a_list_is_refused() {
        let mut body = Subscribe {
            document_id: Some(hex("{ a }")),
            ..Subscribe::default()
        };
        assert!(PersistedQueries::learning(0).resolve(&mut body).is_err());
        body.query = "{ a }".to_owned();
        assert!(PersistedQueries::learning(0).resolve(&mut body).is_ok());
    }
}
