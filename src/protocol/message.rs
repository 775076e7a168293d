//! Messages as JSON text.

use serde_json::{Map, Value, json};

/// A `payload` that may be left out: an object, or null, which is the same.
pub type Payload = Option<Map<String, Value>>;

/// The credentials in a payload: `authorization`, its name in any letter case, as a header's would be.
pub fn authorization(payload: &Payload) -> Option<&Value> {
    let given = payload.iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    given.map(|(_, value)| value).filter(|value| !value.is_null())
}

/// What a client may say.
#[derive(Debug)]
pub(super) enum ClientMessage {
    ConnectionInit { payload: Payload },
    Ping { payload: Payload },
    Pong,
    Subscribe { id: String, payload: Subscribe },
    Complete { id: String },
}

/// The payload of `subscribe`, which is also the body of a request over HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe {
    /// The document.
    pub query: String,
    /// Which of its operations to run.
    pub operation_name: Option<String>,
    /// Values for its variables.
    pub variables: Payload,
    /// Whatever else the client says.
    pub extensions: Payload,
}

impl ClientMessage {
    /// Read by hand: a derived reader would also take an array for an object.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut message: Map<String, Value> = serde_json::from_str(text).ok()?;
        let ty = string(&mut message, "type").ok()??;
        let id = |message: &mut _| string(message, "id").ok()?;
        Some(match ty.as_str() {
            "connection_init" => Self::ConnectionInit { payload: object(&mut message, "payload").ok()? },
            "ping" => Self::Ping { payload: object(&mut message, "payload").ok()? },
            "pong" => {
                object(&mut message, "payload").ok()?;
                Self::Pong
            }
            "subscribe" => {
                let payload = object(&mut message, "payload").ok()??;
                Self::Subscribe { id: id(&mut message)?, payload: Subscribe::from_object(payload).ok()? }
            }
            "complete" => Self::Complete { id: id(&mut message)? },
            _ => return None,
        })
    }
}

impl Subscribe {
    /// Reads a request, or says in a sentence what is wrong with it. Unknown names are ignored, null is absent.
    pub fn from_object(mut object_given: Map<String, Value>) -> Result<Self, String> {
        let given = &mut object_given;
        Ok(Self {
            query: string(given, "query")?.ok_or("`query` is missing")?,
            operation_name: string(given, "operationName")?,
            variables: object(given, "variables")?,
            extensions: object(given, "extensions")?,
        })
    }
}

fn string(object: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` must be a string")),
    }
}

fn object(object: &mut Map<String, Value>, name: &str) -> Result<Payload, String> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(format!("`{name}` must be an object")),
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
