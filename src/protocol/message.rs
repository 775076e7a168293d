//! Messages as JSON text.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A `payload` that may be left out: an object, or null, which is the same.
pub type Payload = Option<Map<String, Value>>;

/// What a client may say.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit {
        #[serde(default)]
        payload: Payload,
    },
    Ping {
        #[serde(default)]
        payload: Payload,
    },
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Payload,
    },
    Subscribe {
        id: String,
        payload: Subscribe,
    },
    Complete {
        id: String,
    },
}

/// The payload of `subscribe`, which is also the body of a request over HTTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    /// The document.
    pub query: String,
    /// Which of its operations to run.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Values for its variables.
    #[serde(default)]
    pub variables: Payload,
    /// Whatever else the client says.
    #[serde(default)]
    pub extensions: Payload,
}

impl ClientMessage {
    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

pub(super) fn connection_ack() -> String {
    r#"{"type":"connection_ack"}"#.to_owned()
}

pub(super) fn pong(payload: Payload) -> String {
    match payload {
        Some(payload) => json!({ "type": "pong", "payload": payload }).to_string(),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// What stands in front of a result that is sent for an operation; `}` stands behind it.
pub fn next_prefix(id: &str) -> String {
    format!(r#"{{"id":{},"type":"next","payload":"#, Value::from(id))
}

pub(super) fn next(id: &str, payload: &str) -> String {
    format!("{}{payload}}}", next_prefix(id))
}

pub(super) fn error(id: &str, errors: &str) -> String {
    format!(r#"{{"id":{},"type":"error","payload":{errors}}}"#, Value::from(id))
}

pub(super) fn complete(id: &str) -> String {
    json!({ "id": id, "type": "complete" }).to_string()
}
