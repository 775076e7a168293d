//! The messages that a client must receive, and how a message is compared with them.

use serde_json::{Value, json};
use switchboard::protocol::Subprotocol;

use crate::scenario::Reason;

/// The largest reason that fits a close frame.
const REASON_BYTES_MAX: usize = 123;

/// A message or a close from the server.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    Message(Value),
    Close(u16, String),
}

/// A message that the client must receive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expect {
    Ack,
    Pong(Option<Value>),
    /// A result with exactly this payload.
    Next(String, Value),
    /// A room's message with this text under this response key, with its cursor.
    Event(String, &'static str, String),
    /// A result with this `data` and with errors, the first of this code.
    Failed(String, Value, &'static str),
    /// An `error` message. The first of its errors has this code.
    Refused(String, &'static str),
    Complete(String),
    /// The ping that a subscription is live: it has delivered the backlog and is at the head.
    Live(String),
    /// The heartbeat of the legacy dialect.
    KeepAlive,
    /// The error of the legacy dialect that belongs to no operation.
    ConnectionError(&'static str),
    /// An `error` of the legacy dialect that belongs to no operation, with this code.
    Stray(&'static str),
    /// Exactly this message.
    Exactly(Value),
}

pub(crate) fn ack() -> Expect {
    Expect::Ack
}

pub(crate) fn pong() -> Expect {
    Expect::Pong(None)
}

pub(crate) fn pong_with(payload: Value) -> Expect {
    Expect::Pong(Some(payload))
}

pub(crate) fn next(id: &str, payload: Value) -> Expect {
    Expect::Next(id.to_owned(), payload)
}

pub(crate) fn event(id: &str, text: &str) -> Expect {
    event_as(id, "newMessage", text)
}

pub(crate) fn event_as(id: &str, key: &'static str, text: &str) -> Expect {
    Expect::Event(id.to_owned(), key, text.to_owned())
}

pub(crate) fn failed(id: &str, data: Value, code: &'static str) -> Expect {
    Expect::Failed(id.to_owned(), data, code)
}

pub(crate) fn refused(id: &str, code: &'static str) -> Expect {
    Expect::Refused(id.to_owned(), code)
}

pub(crate) fn completed(id: &str) -> Expect {
    Expect::Complete(id.to_owned())
}

pub(crate) fn live(id: &str) -> Expect {
    Expect::Live(id.to_owned())
}

pub(crate) fn keep_alive() -> Expect {
    Expect::KeepAlive
}

pub(crate) fn connection_error(code: &'static str) -> Expect {
    Expect::ConnectionError(code)
}

pub(crate) fn stray_error() -> Expect {
    Expect::Stray("BAD_USER_INPUT")
}

/// The message type of a result.
fn result(dialect: Subprotocol) -> &'static str {
    match dialect {
        Subprotocol::TransportWs => "next",
        Subprotocol::Legacy => "data",
    }
}

/// Whether this is a heartbeat or a live ping. The server may send them at any time, and a scenario
/// skips them unless it expects them.
pub(crate) fn is_extra(message: &Value) -> bool {
    message["type"] == "ka"
        || (message["type"] == "ping" && message["payload"]["subscribed"].is_string())
}

/// The id of the operation that a message belongs to.
fn id_of(message: &Value) -> Option<&str> {
    message["id"].as_str().or(message["payload"]["subscribed"]
        .as_str()
        .filter(|_| is_extra(message)))
}

impl Expect {
    /// The id of the operation that the message belongs to.
    fn id(&self) -> Option<&str> {
        match self {
            Self::Ack
            | Self::Pong(_)
            | Self::KeepAlive
            | Self::ConnectionError(_)
            | Self::Stray(_) => None,
            Self::Exactly(message) => message["id"].as_str(),
            Self::Next(id, _)
            | Self::Event(id, ..)
            | Self::Failed(id, ..)
            | Self::Refused(id, _)
            | Self::Live(id)
            | Self::Complete(id) => Some(id),
        }
    }

    /// Whether `message` is the expected one. It must have every key that the protocol names, and
    /// no other key.
    pub(crate) fn is(&self, message: &Value, dialect: Subprotocol) -> bool {
        let result = |id: &String, payload: Value| json!({ "id": id, "type": result(dialect), "payload": payload });
        match self {
            Self::Ack => *message == json!({ "type": "connection_ack" }),
            Self::Pong(None) => *message == json!({ "type": "pong" }),
            Self::Pong(Some(payload)) => *message == json!({ "type": "pong", "payload": payload }),
            Self::Next(id, payload) => *message == result(id, payload.clone()),
            Self::Complete(id) => *message == json!({ "id": id, "type": "complete" }),
            Self::KeepAlive => *message == json!({ "type": "ka" }),
            Self::Event(id, key, text) => {
                let cursor = &message["payload"]["extensions"]["cursor"];
                let payload = json!({ "data": { *key: { "text": text } }, "extensions": { "cursor": cursor } });
                is_cursor(cursor) && *message == result(id, payload)
            }
            Self::Live(id) => {
                let cursor = &message["payload"]["cursor"];
                let payload = json!({ "subscribed": id, "cursor": cursor });
                is_cursor(cursor) && *message == json!({ "type": "ping", "payload": payload })
            }
            Self::Failed(id, data, code) => {
                let errors = &message["payload"]["errors"];
                are_errors(errors, code)
                    && *message == result(id, json!({ "data": data, "errors": errors }))
            }
            Self::Refused(id, code) => {
                let errors = &message["payload"];
                let valid = match dialect {
                    Subprotocol::TransportWs => are_errors(errors, code),
                    Subprotocol::Legacy => is_error(errors, code),
                };
                valid && *message == json!({ "id": id, "type": "error", "payload": errors })
            }
            Self::Exactly(expected) => message == expected,
            Self::Stray(code) => {
                let error = &message["payload"];
                is_error(error, code) && *message == json!({ "type": "error", "payload": error })
            }
            Self::ConnectionError(code) => {
                let error = &message["payload"];
                is_error(error, code)
                    && *message == json!({ "type": "connection_error", "payload": error })
            }
        }
    }
}

fn is_cursor(value: &Value) -> bool {
    value.as_str().is_some_and(|cursor| !cursor.is_empty())
}

/// Whether this is one error object with a message and this code.
fn is_error(error: &Value, code: &str) -> bool {
    error["message"].is_string() && error["extensions"]["code"] == code
}

/// Whether this is a list of errors that each have a message and a code. The first error must have
/// this code.
fn are_errors(errors: &Value, code: &str) -> bool {
    let valid =
        |error: &Value| error["message"].is_string() && error["extensions"]["code"].is_string();
    let Some(all) = errors.as_array() else {
        return false;
    };
    all.iter().all(valid)
        && all
            .first()
            .is_some_and(|first| first["extensions"]["code"] == code)
}

/// Removes the expectation that this message meets. The order counts within an id, but not between
/// ids.
pub(crate) fn take(
    expected: &mut Vec<Expect>,
    message: &Value,
    dialect: Subprotocol,
) -> Result<(), String> {
    let at = expected.iter().position(|one| one.id() == id_of(message));
    match at {
        Some(at) if expected[at].is(message, dialect) => {
            expected.remove(at);
            Ok(())
        }
        _ => Err(format!("received {message} instead of {expected:?}")),
    }
}

impl Reason {
    pub(crate) fn is(&self, reason: &str) -> bool {
        let fits = reason.len() <= REASON_BYTES_MAX;
        match self {
            Self::Any => true,
            Self::Exactly(text) => fits && reason == text,
            Self::Taken(id)
                if format!("Subscriber for {id} already exists").len() <= REASON_BYTES_MAX =>
            {
                reason == format!("Subscriber for {id} already exists")
            }
            Self::Taken(id) => {
                let shown = reason
                    .strip_prefix("Subscriber for ")
                    .and_then(|rest| rest.strip_suffix(" already exists"));
                fits && shown.is_some_and(|shown| !shown.is_empty() && id.starts_with(shown))
            }
        }
    }
}
