//! The messages of graphql-transport-ws as JSON text, and the parts that both protocols share.

use serde_json::{Map, Value, json};

/// An optional `payload`: an object. Null counts as absent.
pub type MessagePayload = Option<Map<String, Value>>;

/// The credentials in a payload: the value of `authorization`, in any letter case, like a header's
/// name. An empty string, which no check accepts, stands for a value that is not text, and for a
/// name that is given in two spellings: it is unknown which of them counts.
pub fn authorization(payload: &MessagePayload) -> Option<&str> {
    let named = payload
        .iter()
        .flatten()
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let mut given = named
        .map(|(_, value)| value)
        .filter(|value| !value.is_null());
    let first = given.next()?;
    Some(if given.next().is_none() {
        first.as_str().unwrap_or_default()
    } else {
        ""
    })
}

/// A message of a client.
#[derive(Debug)]
pub(super) enum ClientMessage {
    ConnectionInit { payload: MessagePayload },
    Ping { payload: MessagePayload },
    Pong,
    Subscribe { id: String, payload: Subscribe },
    Complete { id: String },
}

/// A GraphQL request: the payload of `subscribe`, or the body of a request over HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe {
    /// The document. Empty if `extensions.persistedQuery` or `document_id` names one.
    pub query: String,
    /// The name of the document in a list that client and server share.
    pub document_id: Option<String>,
    /// The operation to execute, if the document has several.
    pub operation_name: Option<String>,
    /// The values of its variables.
    pub variables: MessagePayload,
    /// Extensions of the client.
    pub extensions: MessagePayload,
}

impl ClientMessage {
    /// Decodes a message. None if it is malformed.
    ///
    /// Not derived: a derived decoder would also accept an array in place of an object.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut message: Map<String, Value> = serde_json::from_str(text).ok()?;
        let ty = string(&mut message, "type").ok()??;
        let id = |message: &mut _| string(message, "id").ok()?;
        Some(match ty.as_str() {
            "connection_init" => Self::ConnectionInit {
                payload: object(&mut message, "payload").ok()?,
            },
            "ping" => Self::Ping {
                payload: object(&mut message, "payload").ok()?,
            },
            "pong" => {
                object(&mut message, "payload").ok()?;
                Self::Pong
            }
            "subscribe" => {
                let payload = object(&mut message, "payload").ok()??;
                Self::Subscribe {
                    id: id(&mut message)?,
                    payload: Subscribe::from_object(payload).ok()?,
                }
            }
            "complete" => Self::Complete {
                id: id(&mut message)?,
            },
            _ => return None,
        })
    }
}

impl Subscribe {
    /// Reads a request. The error is a sentence without a full stop. Unknown names are ignored, and
    /// null counts as absent.
    pub fn from_object(mut object_given: Map<String, Value>) -> Result<Self, String> {
        let given = &mut object_given;
        let given_query = given.get("query").is_some_and(Value::is_string);
        let document_id = document_id(given);
        let request = Self {
            document_id,
            query: string(given, "query")?.unwrap_or_default(),
            operation_name: string(given, "operationName")?,
            variables: object(given, "variables")?,
            extensions: object(given, "extensions")?,
        };
        if given_query || request.names_document() {
            Ok(request)
        } else {
            Err("`query` is missing".to_owned())
        }
    }

    /// Whether the request names a document: by its text, by the hash of a persisted query, or by
    /// its name in a list.
    pub fn names_document(&self) -> bool {
        let by_hash = |extensions: &Map<String, Value>| extensions.contains_key("persistedQuery");
        !self.query.is_empty()
            || self.document_id.is_some()
            || self.extensions.as_ref().is_some_and(by_hash)
    }
}

/// The name of the document, which some clients send as `id`. A value that is not a name is
/// ignored, like unknown parts of a request.
fn document_id(given: &Map<String, Value>) -> Option<String> {
    let name = |key| {
        given
            .get(key)
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty())
    };
    name("documentId").or_else(|| name("id")).map(str::to_owned)
}

pub(super) fn string(
    object: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<String>, String> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` must be a string")),
    }
}

pub(super) fn object(
    object: &mut Map<String, Value>,
    name: &str,
) -> Result<MessagePayload, String> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(format!("`{name}` must be an object")),
    }
}

pub(super) fn connection_ack() -> String {
    r#"{"type":"connection_ack"}"#.to_owned()
}

pub(super) fn pong(payload: MessagePayload) -> String {
    match payload {
        Some(payload) => json!({ "type": "pong", "payload": payload }).to_string(),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// Announces that a subscription is live. It is a `ping`, because that is the only message with a
/// free payload that every client accepts. Clients answer it by themselves.
pub(super) fn live(id: &str, cursor: &str) -> String {
    let (id, cursor) = (Value::from(id), Value::from(cursor));
    format!(r#"{{"type":"ping","payload":{{"subscribed":{id},"cursor":{cursor}}}}}"#)
}

/// A GraphQL error.
pub(super) fn graphql_error(message: &str, code: &str) -> Value {
    json!({ "message": message, "extensions": { "code": code } })
}

/// The text in front of each result of an operation. The text behind it is `}`.
pub(super) fn next_prefix(id: &str) -> String {
    format!(r#"{{"id":{},"type":"next","payload":"#, Value::from(id))
}

pub(super) fn next(id: &str, payload: &str) -> String {
    format!("{}{payload}}}", next_prefix(id))
}

pub(super) fn error(id: &str, errors: &str) -> String {
    format!(
        r#"{{"id":{},"type":"error","payload":{errors}}}"#,
        Value::from(id)
    )
}

pub(super) fn complete(id: &str) -> String {
    json!({ "id": id, "type": "complete" }).to_string()
}
