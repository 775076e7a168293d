//! The state machine of the legacy subprotocol, which old Apollo clients speak under the name
//! `graphql-ws`.
//!
//! Errors are messages here. An `error` with an id belongs to an operation and ends it. An `error`
//! without an id ends nothing. Some clients end the connection at a `connection_error`, so it is
//! sent only for a text that is not JSON, and when the credentials are invalid; in the second case
//! a close follows.
//!
//! Old clients send binary messages, and ids that are numbers. An id is returned as it was sent.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Act, Close, Input, MachineLimits, MessagePayload, Subscribe,
    json::with_whole_pairs,
    machine::SessionPhase,
    message::{BAD_USER_INPUT, MessageFrame, connection_ack, graphql_error},
};

/// A message of a client.
#[derive(Debug)]
enum LegacyMessage {
    ConnectionInit {
        payload: MessagePayload,
    },
    /// The error is a sentence that says why the payload is no request.
    Start {
        id: LegacyId,
        request: Result<Subscribe, String>,
    },
    Stop {
        id: LegacyId,
    },
    ConnectionTerminate,
}

/// The id of an operation, and whether the client wrote it as a number. `1` and `"1"` are the same
/// id, as in JavaScript objects.
#[derive(Clone, Debug)]
struct LegacyId {
    text: String,
    is_number: bool,
}

impl LegacyId {
    /// The id as JSON, as the client wrote it.
    fn json(text: &str, is_number: bool) -> String {
        if is_number {
            text.to_owned()
        } else {
            Value::from(text).to_string()
        }
    }

    /// A message about the operation with this id.
    fn message(&self, ty: &str, payload: Option<&str>) -> String {
        let id = Self::json(&self.text, self.is_number);
        match payload {
            Some(payload) => format!(r#"{{"id":{id},"type":"{ty}","payload":{payload}}}"#),
            None => format!(r#"{{"id":{id},"type":"{ty}"}}"#),
        }
    }
}

/// Why a text is not a message.
#[derive(Debug)]
enum Malformed {
    /// The text is not a JSON object.
    NotJson,
    /// A part of the message is missing or wrong. The text is a sentence.
    Message(String),
}

impl LegacyMessage {
    fn decode(text: &[u8], limits: &MachineLimits) -> Result<Self, Malformed> {
        let text = with_whole_pairs(text);
        let frame = MessageFrame::read(&text).ok_or(Malformed::NotJson)?;
        let sentence = |reason: String| format!("{reason}.");
        let id = || {
            let id = match frame.value("id") {
                Some(Value::String(text)) => LegacyId {
                    text,
                    is_number: false,
                },
                Some(Value::Number(number)) => LegacyId {
                    text: number.to_string(),
                    is_number: true,
                },
                _ => return Err(Malformed::Message("`id` must be a string.".to_owned())),
            };
            if limits.allow_id(&id.text) {
                Ok(id)
            } else {
                Err(Malformed::Message("`id` is empty or too long.".to_owned()))
            }
        };
        Ok(match frame.string("type").unwrap_or_default().as_str() {
            "connection_init" => Self::ConnectionInit {
                payload: frame
                    .payload()
                    .map_err(|reason| Malformed::Message(sentence(reason)))?,
            },
            "connection_terminate" => Self::ConnectionTerminate,
            "start" => Self::Start {
                id: id()?,
                request: frame.request().map_err(sentence),
            },
            "stop" => Self::Stop { id: id()? },
            _ => {
                let reason = "`type` is not one that a client may send.";
                return Err(Malformed::Message(reason.to_owned()));
            }
        })
    }
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct LegacyMachine {
    limits: MachineLimits,
    phase: SessionPhase,
    /// The ids of the operations, and whether the client wrote each as a number.
    running: HashMap<String, bool>,
    /// `start` messages that wait for the acknowledgement, oldest first: their ids and their texts.
    /// The texts are kept because their size is bounded; the parsed messages may be many times as
    /// large.
    held: Vec<(String, Vec<u8>)>,
}

impl LegacyMachine {
    /// The machine of a connection that was just opened.
    pub fn new(limits: MachineLimits) -> Self {
        Self {
            limits,
            phase: SessionPhase::Open,
            running: HashMap::new(),
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
            Input::Text(text) => self.message(text.as_bytes(), acts),
            // Apollo Kotlin 3.0 to 3.2 sends text in binary messages.
            Input::Binary(bytes) => self.message(bytes, acts),
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
                if let Some(id) = self.take(id) {
                    acts.push(Act::Send(id.message("data", Some(payload))));
                    acts.push(Act::Send(id.message("complete", None)));
                }
            }
            Input::Refused { id, errors } => {
                if let Some(id) = self.take(id) {
                    acts.push(Act::Send(id.message("error", Some(&error_payload(errors)))));
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

    fn message(&mut self, text: &[u8], acts: &mut Vec<Act>) {
        match LegacyMessage::decode(text, &self.limits) {
            Ok(LegacyMessage::ConnectionInit { payload }) => match self.phase {
                SessionPhase::Open => {
                    self.phase = SessionPhase::Initialising;
                    acts.push(Act::Admit(payload));
                }
                _ => push_error(
                    "`connection_init` was sent already; open another connection.",
                    acts,
                ),
            },
            Ok(LegacyMessage::ConnectionTerminate) => self.close(Close::Normal, acts),
            Ok(LegacyMessage::Stop { id }) => {
                // An operation with an unknown id has ended already. For the others, some clients
                // wait for this answer.
                if self.end(&id.text, acts) {
                    acts.push(Act::Send(id.message("complete", None)));
                }
            }
            Ok(LegacyMessage::Start { id, request }) => {
                // As in the reference implementation, the old operation ends without a message.
                self.end(&id.text, acts);
                let request = request.map_err(|reason| graphql_error(&reason, BAD_USER_INPUT));
                match self.refusal(text).map_or(request, Err) {
                    Err(refusal) => {
                        let payload = refusal.to_string();
                        acts.push(Act::Send(id.message("error", Some(&payload))));
                    }
                    Ok(request) if self.phase == SessionPhase::Ready => {
                        self.start(id, request, acts);
                    }
                    Ok(_) => self.held.push((id.text, text.to_vec())),
                }
            }
            Err(Malformed::NotJson) => acts.push(Act::Send(connection_error(&graphql_error(
                "The message is not a JSON object.",
                BAD_USER_INPUT,
            )))),
            Err(Malformed::Message(reason)) => push_error(&reason, acts),
        }
    }

    /// The text in front of each result of an operation. The text behind it is `}`.
    pub(super) fn data_prefix(&self, id: &str) -> String {
        let is_number = self.running.get(id).copied().unwrap_or_default();
        let id = LegacyId::json(id, is_number);
        format!(r#"{{"id":{id},"type":"data","payload":"#)
    }

    /// Ends an operation that runs.
    fn take(&mut self, id: &str) -> Option<LegacyId> {
        let (text, is_number) = self.running.remove_entry(id)?;
        Some(LegacyId { text, is_number })
    }

    /// The error if one more operation exceeds a limit.
    fn refusal(&self, text: &[u8]) -> Option<Value> {
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
            if let Ok(LegacyMessage::Start {
                id,
                request: Ok(request),
            }) = LegacyMessage::decode(&text, &self.limits)
            {
                self.start(id, request, acts);
            }
        }
    }

    fn start(&mut self, id: LegacyId, request: Subscribe, acts: &mut Vec<Act>) {
        self.running.insert(id.text.clone(), id.is_number);
        acts.push(Act::Start {
            id: id.text,
            request,
        });
    }

    /// Ends the operation that runs or waits under this id. False if there is none.
    fn end(&mut self, id: &str, acts: &mut Vec<Act>) -> bool {
        let waiting = self.held.len();
        self.held.retain(|(held, _)| held != id);
        let runs = self.running.remove(id).is_some();
        if runs {
            acts.push(Act::Stop { id: id.to_owned() });
        }
        runs || self.held.len() < waiting
    }

    fn close(&mut self, close: Close, acts: &mut Vec<Act>) {
        self.phase = SessionPhase::Closed;
        (self.running, self.held) = (HashMap::new(), Vec::new());
        acts.push(Act::Close(close));
    }
}

/// Reports an error in a message, as the reference implementation does for an unknown type: by an
/// `error` without an id, which clients ignore.
fn push_error(reason: &str, acts: &mut Vec<Act>) {
    let payload = graphql_error(reason, BAD_USER_INPUT);
    acts.push(Act::Send(
        json!({ "type": "error", "payload": payload }).to_string(),
    ));
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
