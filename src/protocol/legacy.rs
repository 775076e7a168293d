//! The state machine of the legacy subprotocol, which old Apollo clients speak under the name
//! `graphql-ws`.
//!
//! Errors are messages here. `error` belongs to an operation and ends it. `connection_error`
//! belongs to no operation and ends nothing, except that a close follows it if the credentials are
//! invalid.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    Act, Close, Input, MachineLimits, MessagePayload, Subscribe,
    machine::SessionPhase,
    message::{complete, connection_ack, error, graphql_error, object, string},
};

/// A message of a client.
#[derive(Debug)]
enum LegacyMessage {
    ConnectionInit { payload: MessagePayload },
    Start { id: String, request: Subscribe },
    Stop { id: String },
    ConnectionTerminate,
}

/// Why a text is not a message: a sentence, and the id of the operation that it would have started,
/// if it has one.
#[derive(Debug)]
struct Malformed {
    id: Option<String>,
    reason: String,
}

impl From<String> for Malformed {
    fn from(reason: String) -> Self {
        Self { id: None, reason }
    }
}

impl LegacyMessage {
    fn decode(text: &str, limits: &MachineLimits) -> Result<Self, Malformed> {
        let message = serde_json::from_str::<Map<String, Value>>(text);
        let mut message = message.map_err(|_| "The message is not a JSON object.".to_owned())?;
        let sentence = |reason: String| format!("{reason}.");
        let ty = string(&mut message, "type")
            .map_err(sentence)?
            .unwrap_or_default();
        let id = |message: &mut _| match string(message, "id") {
            Ok(Some(id)) if limits.allow_id(&id) => Ok(id),
            _ => Err("`id` must be a string that is neither empty nor too long.".to_owned()),
        };
        Ok(match ty.as_str() {
            "connection_init" => Self::ConnectionInit {
                payload: object(&mut message, "payload").map_err(sentence)?,
            },
            "connection_terminate" => Self::ConnectionTerminate,
            "start" => {
                let id = id(&mut message)?;
                let payload = object(&mut message, "payload").map(Option::unwrap_or_default);
                match payload.and_then(Subscribe::from_object) {
                    Ok(request) => Self::Start { id, request },
                    Err(reason) => {
                        return Err(Malformed {
                            id: Some(id),
                            reason: sentence(reason),
                        });
                    }
                }
            }
            "stop" => Self::Stop {
                id: id(&mut message)?,
            },
            _ => {
                return Err("`type` is not one that a client may send."
                    .to_owned()
                    .into());
            }
        })
    }
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct LegacyMachine {
    limits: MachineLimits,
    phase: SessionPhase,
    running: HashSet<String>,
    /// `start` messages that wait for the acknowledgement, oldest first: their ids and their texts.
    /// The texts are kept because their size is bounded; the parsed messages may be many times as
    /// large.
    held: Vec<(String, String)>,
}

impl LegacyMachine {
    /// The machine of a connection that was just opened.
    pub fn new(limits: MachineLimits) -> Self {
        Self {
            limits,
            phase: SessionPhase::Open,
            running: HashSet::new(),
            held: Vec::new(),
        }
    }

    /// Whether `connection_init` was received.
    pub fn is_initialised(&self) -> bool {
        self.phase != SessionPhase::Open
    }

    /// Handles an input. Appends the acts that follow from it, in order.
    pub fn handle(&mut self, input: Input<'_>, acts: &mut Vec<Act>) {
        if self.phase == SessionPhase::Closed {
            return;
        }
        match input {
            Input::Text(text) => self.text(text, acts),
            Input::Binary => push_connection_error("The message is binary; send text.", acts),
            Input::InitialisationTimeout if self.phase == SessionPhase::Open => {
                self.close(Close::InitialisationTimeout, acts)
            }
            Input::InitialisationTimeout => {}
            Input::Admitted => self.admitted(acts),
            Input::Rejected => {
                acts.push(Act::Send(connection_error(&graphql_error(
                    "The token is not valid.",
                    "UNAUTHENTICATED",
                ))));
                self.close(Close::Forbidden, acts);
            }
            Input::Answered { id, payload } => {
                if self.running.remove(id) {
                    acts.push(Act::Send(format!("{}{payload}}}", data_prefix(id))));
                    acts.push(Act::Send(complete(id)));
                }
            }
            Input::Refused { id, errors } => {
                if self.running.remove(id) {
                    acts.push(Act::Send(error(id, &error_payload(errors))));
                }
            }
            // The protocol has no message for this that old clients would accept.
            Input::Live { .. } => {}
            Input::Heartbeat if self.phase == SessionPhase::Ready => {
                acts.push(Act::Send(r#"{"type":"ka"}"#.to_owned()))
            }
            Input::Heartbeat => {}
            Input::Leave(close) => self.close(close, acts),
        }
    }

    fn text(&mut self, text: &str, acts: &mut Vec<Act>) {
        match LegacyMessage::decode(text, &self.limits) {
            Ok(LegacyMessage::ConnectionInit { payload }) => match self.phase {
                SessionPhase::Open => {
                    self.phase = SessionPhase::Initialising;
                    acts.push(Act::Admit(payload));
                }
                _ => push_connection_error(
                    "`connection_init` was sent already; open another connection.",
                    acts,
                ),
            },
            Ok(LegacyMessage::ConnectionTerminate) => self.close(Close::Normal, acts),
            Ok(LegacyMessage::Stop { id }) => {
                // An operation with an unknown id has ended already. For the others, some clients
                // wait for this answer.
                if self.end(&id, acts) {
                    acts.push(Act::Send(complete(&id)));
                }
            }
            Ok(LegacyMessage::Start { id, request }) => {
                // As in the reference implementation, the old operation ends without a message.
                self.end(&id, acts);
                match self.refusal(text) {
                    Some(refusal) => acts.push(Act::Send(error(&id, &refusal.to_string()))),
                    None if self.phase == SessionPhase::Ready => self.start(id, request, acts),
                    None => self.held.push((id, text.to_owned())),
                }
            }
            Err(Malformed { id: None, reason }) => push_connection_error(&reason, acts),
            Err(Malformed {
                id: Some(id),
                reason,
            }) => {
                self.end(&id, acts);
                acts.push(Act::Send(error(
                    &id,
                    &graphql_error(&reason, "BAD_USER_INPUT").to_string(),
                )));
            }
        }
    }

    /// The error if one more operation exceeds a limit.
    fn refusal(&self, text: &str) -> Option<Value> {
        let limit = self.limits.held_bytes_max;
        let held: usize = self.held.iter().map(|(_, text)| text.len()).sum();
        if self.phase != SessionPhase::Ready && limit != 0 && held + text.len() > limit {
            let message =
                format!("At most {limit} bytes of operations may wait for the acknowledgement.");
            return Some(graphql_error(&message, "TOO_COMPLEX"));
        }
        self.limits.too_many(self.running.len() + self.held.len())
    }

    fn admitted(&mut self, acts: &mut Vec<Act>) {
        self.phase = SessionPhase::Ready;
        acts.push(Act::Send(connection_ack()));
        for (_, text) in std::mem::take(&mut self.held) {
            // Decoding succeeds: it did when the message was received.
            if let Ok(LegacyMessage::Start { id, request }) =
                LegacyMessage::decode(&text, &self.limits)
            {
                self.start(id, request, acts);
            }
        }
    }

    fn start(&mut self, id: String, request: Subscribe, acts: &mut Vec<Act>) {
        self.running.insert(id.clone());
        acts.push(Act::Start { id, request });
    }

    /// Ends the operation that runs or waits under this id. False if there is none.
    fn end(&mut self, id: &str, acts: &mut Vec<Act>) -> bool {
        let waiting = self.held.len();
        self.held.retain(|(held, _)| held != id);
        let runs = self.running.remove(id);
        if runs {
            acts.push(Act::Stop { id: id.to_owned() });
        }
        runs || self.held.len() < waiting
    }

    fn close(&mut self, close: Close, acts: &mut Vec<Act>) {
        self.phase = SessionPhase::Closed;
        (self.running, self.held) = (HashSet::new(), Vec::new());
        acts.push(Act::Close(close));
    }
}

/// Reports an error in a message that belongs to no operation.
fn push_connection_error(reason: &str, acts: &mut Vec<Act>) {
    acts.push(Act::Send(connection_error(&graphql_error(
        reason,
        "BAD_USER_INPUT",
    ))));
}

fn connection_error(payload: &Value) -> String {
    json!({ "type": "connection_error", "payload": payload }).to_string()
}

/// Errors as one object: the first error, with all of them in `errors` if there are several.
fn error_payload(errors: &str) -> String {
    let mut all: Vec<Value> = serde_json::from_str(errors).unwrap_or_default();
    let several = (all.len() > 1).then(|| Value::from(all.clone()));
    let mut payload = if all.is_empty() {
        json!({})
    } else {
        all.swap_remove(0)
    };
    if let (Some(several), Some(payload)) = (several, payload.as_object_mut()) {
        payload.insert("errors".to_owned(), several);
    }
    payload.to_string()
}

/// The text in front of each result of an operation. The text behind it is `}`.
pub(super) fn data_prefix(id: &str) -> String {
    format!(r#"{{"id":{},"type":"data","payload":"#, Value::from(id))
}
