//! The state machine of the legacy subprotocol, which old clients of Apollo's speak under the name `graphql-ws`.
//!
//! Errors are messages here. `error` belongs to an operation and ends it; `connection_error` belongs to none and ends
//! nothing, unless the credentials were bad: then a close follows.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    Act, Close, Input, MachineLimits, MessagePayload, Subscribe,
    machine::SessionPhase,
    message::{complete, connection_ack, error, object, problem, string},
};

/// What a client may say.
#[derive(Debug)]
enum LegacyMessage {
    ConnectionInit { payload: MessagePayload },
    Start { id: String, request: Subscribe },
    Stop { id: String },
    ConnectionTerminate,
}

/// Why a text is no message: a sentence, and the operation that it would have started, if that can be read.
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
        let mut message = message.map_err(|_| "The message is no JSON object.".to_owned())?;
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
            _ => return Err("`type` is none that a client may send.".to_owned().into()),
        })
    }
}

/// One connection's side of the legacy protocol.
#[derive(Debug)]
pub struct LegacyMachine {
    limits: MachineLimits,
    phase: SessionPhase,
    running: HashSet<String>,
    /// `start` messages that wait for the acknowledgement, oldest first: their ids and their texts, which are bounded,
    /// while what is read from them may be many times as large.
    held: Vec<(String, String)>,
}

impl LegacyMachine {
    /// A connection that was just opened.
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

    /// Takes what happened and adds what to do about it, in this order.
    pub fn handle(&mut self, input: Input<'_>, acts: &mut Vec<Act>) {
        if self.phase == SessionPhase::Closed {
            return;
        }
        match input {
            Input::Text(text) => self.text(text, acts),
            Input::Binary => complain("The message is binary; send text.", acts),
            Input::InitialisationTimeout if self.phase == SessionPhase::Open => {
                self.close(Close::InitialisationTimeout, acts)
            }
            Input::InitialisationTimeout => {}
            Input::Admitted => self.admitted(acts),
            Input::Rejected => {
                acts.push(Act::Send(connection_error(&problem(
                    "The token is not good.",
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
            // The protocol has no message for it that old clients would not stumble over.
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
                _ => complain(
                    "`connection_init` was sent before; open another connection.",
                    acts,
                ),
            },
            Ok(LegacyMessage::ConnectionTerminate) => self.close(Close::Normal, acts),
            Ok(LegacyMessage::Stop { id }) => {
                // An unknown id is one that ended meanwhile. Otherwise some clients wait for this answer.
                if self.end(&id, acts) {
                    acts.push(Act::Send(complete(&id)));
                }
            }
            Ok(LegacyMessage::Start { id, request }) => {
                // As the reference has it: the old operation goes without a word.
                self.end(&id, acts);
                match self.refusal(text) {
                    Some(refusal) => acts.push(Act::Send(error(&id, &refusal.to_string()))),
                    None if self.phase == SessionPhase::Ready => self.start(id, request, acts),
                    None => self.held.push((id, text.to_owned())),
                }
            }
            Err(Malformed { id: None, reason }) => complain(&reason, acts),
            Err(Malformed {
                id: Some(id),
                reason,
            }) => {
                self.end(&id, acts);
                acts.push(Act::Send(error(
                    &id,
                    &problem(&reason, "BAD_USER_INPUT").to_string(),
                )));
            }
        }
    }

    /// The error for an operation more, if that is one too many, or too long to wait.
    fn refusal(&self, text: &str) -> Option<Value> {
        let most = self.limits.held_bytes_max;
        let held: usize = self.held.iter().map(|(_, text)| text.len()).sum();
        if self.phase != SessionPhase::Ready && most != 0 && held + text.len() > most {
            let message =
                format!("Before the acknowledgement at most {most} bytes of operations may wait.");
            return Some(problem(&message, "TOO_COMPLEX"));
        }
        self.limits.too_many(self.running.len() + self.held.len())
    }

    fn admitted(&mut self, acts: &mut Vec<Act>) {
        self.phase = SessionPhase::Ready;
        acts.push(Act::Send(connection_ack()));
        for (_, text) in std::mem::take(&mut self.held) {
            // It was read before, so it can be read again.
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

    /// Ends what runs or waits under this id, if anything does.
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

/// Says what was wrong with a message that belongs to no operation.
fn complain(reason: &str, acts: &mut Vec<Act>) {
    acts.push(Act::Send(connection_error(&problem(
        reason,
        "BAD_USER_INPUT",
    ))));
}

fn connection_error(payload: &Value) -> String {
    json!({ "type": "connection_error", "payload": payload }).to_string()
}

/// Errors as one object: the first one, and all of them in `errors` if there are several.
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

/// What stands in front of a result that is sent for an operation; `}` stands behind it.
pub(super) fn data_prefix(id: &str) -> String {
    format!(r#"{{"id":{},"type":"data","payload":"#, Value::from(id))
}
