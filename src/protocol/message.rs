//! The messages of graphql-transport-ws as JSON text, and the parts that both protocols share.

use std::collections::HashMap;

use serde_json::{Map, Value, json, value::RawValue};

use super::json::with_whole_pairs;

/// An optional `payload`: an object. Null counts as absent.
pub type MessagePayload = Option<Map<String, Value>>;

/// The values that a payload has under a name, which is read in any letter case, like a header's.
/// Null counts as absent. None stands for a value that is not text.
pub fn values_named<'a>(
    payload: &'a MessagePayload,
    name: &'a str,
) -> impl Iterator<Item = Option<&'a str>> {
    let named = payload
        .iter()
        .flatten()
        .filter(move |(given, value)| given.eq_ignore_ascii_case(name) && !value.is_null());
    named.map(|(_, value)| value.as_str())
}

/// A message of a client.
#[derive(Debug)]
pub(super) enum ClientMessage {
    ConnectionInit {
        payload: MessagePayload,
    },
    /// A payload that cannot be read counts as absent.
    Ping {
        payload: MessagePayload,
    },
    Pong,
    /// The error says why the payload is no request.
    Subscribe {
        id: String,
        payload: Result<Subscribe, String>,
    },
    Complete {
        id: String,
    },
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

/// The frame of a message: its type, its id and the text of its payload. The payload of one message
/// may be unreadable although its frame is not.
pub(super) struct MessageFrame<'a> {
    fields: HashMap<String, &'a RawValue>,
}

impl<'a> MessageFrame<'a> {
    /// Reads the frame of a text that [`with_whole_pairs`] has returned. None if it is not a JSON
    /// object.
    ///
    /// Not derived: a derived decoder would also accept an array in place of an object.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let fields = serde_json::from_slice(text).ok()?;
        Some(Self { fields })
    }

    /// A field. None if it is absent or cannot be read.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.fields.get(name)?.get()).ok()
    }

    /// A field that is a string.
    pub(super) fn string(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The payload. The error is a sentence without a full stop.
    pub(super) fn payload(&self) -> Result<MessagePayload, String> {
        let Some(text) = self.fields.get("payload") else {
            return Ok(None);
        };
        let value: Value = serde_json::from_str(text.get())
            .map_err(|error| format!("`payload` cannot be read: {error}"))?;
        as_object(value, "payload")
    }

    /// The payload as a GraphQL request. The error is a sentence without a full stop.
    pub(super) fn request(&self) -> Result<Subscribe, String> {
        Subscribe::from_object(self.payload()?.unwrap_or_default())
    }
}

impl ClientMessage {
    /// Decodes a message. None if its frame is malformed, or the payload of a `connection_init`.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let text = with_whole_pairs(text.as_bytes());
        let frame = MessageFrame::read(&text)?;
        Some(match frame.string("type")?.as_str() {
            "connection_init" => Self::ConnectionInit {
                payload: frame.payload().ok()?,
            },
            "ping" => Self::Ping {
                payload: frame.payload().unwrap_or_default(),
            },
            "pong" => Self::Pong,
            "subscribe" => Self::Subscribe {
                id: frame.string("id")?,
                payload: frame.request(),
            },
            "complete" => Self::Complete {
                id: frame.string("id")?,
            },
            _ => return None,
        })
    }
}

impl Subscribe {
    /// Reads a request. The error is a sentence without a full stop. Unknown names are ignored, and
    /// every way in which clients write "nothing" counts as absent: null, an empty text, and the
    /// empty array that PHP writes for an empty object.
    pub fn from_object(mut object_given: Map<String, Value>) -> Result<Self, String> {
        let given = &mut object_given;
        let given_query = given.get("query").is_some_and(Value::is_string);
        let document_id = document_id(given);
        let request = Self {
            document_id,
            query: string(given, "query")?.unwrap_or_default(),
            operation_name: string(given, "operationName")?.filter(|name| !name.is_empty()),
            variables: object(given, "variables")?,
            extensions: object(given, "extensions")?.map(without_empty_query),
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

fn string(object: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` must be a string")),
    }
}

fn object(object: &mut Map<String, Value>, name: &str) -> Result<MessagePayload, String> {
    as_object(object.remove(name).unwrap_or_default(), name)
}

/// The object that a value is. None if the value is one of the ways to write "nothing". The error
/// is a sentence without a full stop, about the field of this name.
pub fn as_object(value: Value, name: &str) -> Result<MessagePayload, String> {
    match value {
        Value::Object(map) => Ok(Some(map)),
        nothing if is_nothing(&nothing) => Ok(None),
        _ => Err(format!("`{name}` must be an object")),
    }
}

/// Whether a client writes this where it has no object.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// Extensions without a `persistedQuery` that names no document.
fn without_empty_query(mut extensions: Map<String, Value>) -> Map<String, Value> {
    if extensions.get("persistedQuery").is_some_and(is_nothing) {
        extensions.remove("persistedQuery");
    }
    extensions
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

/// The code of a message whose content cannot be read.
pub(super) const BAD_USER_INPUT: &str = "BAD_USER_INPUT";

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
