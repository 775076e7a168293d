//! The pure machine in a tiny world: it has no socket, no clock and no task.

use std::collections::VecDeque;

use serde_json::json;
use switchboard::auth::{bearer_token, only_value};
use switchboard::protocol::{
    Act, Close, Dialect, Input, MachineLimits, MessagePayload, Subprotocol, Subscribe, values_named,
};

use crate::{
    documents::{Behaviour, behaviour, errors},
    expect::Received,
    play::{Outcome, Target},
};

/// Work that a slow world holds back until [`Target::settle`].
enum Held {
    Admit(MessagePayload),
    Start(String, Subscribe),
}

/// The machine, and the state of a server around it.
pub(crate) struct World {
    machine: Dialect,
    /// The messages and closes that the client has not received yet.
    received: VecDeque<Received>,
    slow: bool,
    held: Vec<Held>,
    /// Subscriptions that run, with the response key of each.
    running: Vec<(String, &'static str)>,
    signed_in: bool,
    /// The texts that were sent to the room.
    published: Vec<String>,
    closed: bool,
}

impl World {
    pub(crate) fn new(dialect: Subprotocol, limits: MachineLimits, slow: bool) -> Self {
        Self {
            machine: Dialect::new(dialect, limits),
            received: VecDeque::new(),
            slow,
            held: Vec::new(),
            running: Vec::new(),
            signed_in: false,
            published: Vec::new(),
            closed: false,
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut acts = Vec::new();
        self.machine.handle(input, &mut acts);
        assert!(!self.closed || acts.is_empty(), "after the close: {acts:?}");
        for act in acts {
            self.act(act);
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(text) => self.send_to_client(&text),
            Act::Admit(payload) if self.slow => self.held.push(Held::Admit(payload)),
            Act::Admit(payload) => self.admit(&payload),
            // Only the one user with a token can renew it.
            Act::Refresh(payload) => match token(&payload) {
                Some(valid) if !(self.signed_in && valid) => {
                    self.handle(Input::Leave(Close::Forbidden));
                }
                _ => {}
            },
            Act::Start { id, request } if self.slow => self.held.push(Held::Start(id, request)),
            Act::Start { id, request } => self.start(id, &request),
            Act::Stop { id } => {
                self.running.retain(|(running, _)| *running != id);
                self.held
                    .retain(|held| !matches!(held, Held::Start(started, _) if *started == id));
            }
            Act::Close(close) => {
                (self.running, self.held, self.closed) = (Vec::new(), Vec::new(), true);
                self.received
                    .push_back(Received::Close(close.code(), close.reason()));
            }
        }
    }

    fn send_to_client(&mut self, text: &str) {
        let message = serde_json::from_str(text).expect("the machine sends JSON");
        self.received.push_back(Received::Message(message));
    }

    fn admit(&mut self, payload: &MessagePayload) {
        let given = token(payload);
        self.signed_in = given == Some(true);
        let admitted = given != Some(false);
        self.handle(if admitted {
            Input::Admitted
        } else {
            Input::Rejected
        });
        if admitted && self.machine.has_heartbeat() {
            self.handle(Input::Heartbeat);
        }
    }

    fn start(&mut self, id: String, request: &Subscribe) {
        match behaviour(request, self.signed_in) {
            Behaviour::Answer(payload) => {
                self.handle(Input::Answered {
                    id: &id,
                    payload: &payload.to_string(),
                });
                if let Some(text) = payload["data"]["sendMessage"]["text"].as_str() {
                    self.emit(text);
                }
            }
            Behaviour::Refuse(code) => self.handle(Input::Refused {
                id: &id,
                errors: &errors(code).to_string(),
            }),
            Behaviour::Run { key, replayed } => self.run(id, key, replayed),
        }
    }

    /// Starts a subscription. If it is `replayed`, it first receives all earlier messages. Then it
    /// is live.
    fn run(&mut self, id: String, key: &'static str, replayed: bool) {
        self.running.push((id.clone(), key));
        let before = if replayed { self.published.len() } else { 0 };
        (0..before).for_each(|at| self.deliver(&id, key, at));
        let cursor = format!("cursor-{}", self.published.len());
        self.handle(Input::Live {
            id: &id,
            cursor: &cursor,
        });
    }

    /// Sends a message to all running subscriptions.
    fn emit(&mut self, text: &str) {
        self.published.push(text.to_owned());
        for (id, key) in self.running.clone() {
            self.deliver(&id, key, self.published.len() - 1);
        }
    }

    /// Sends a message as the transport does: the machine makes only the prefix of the result.
    fn deliver(&mut self, id: &str, key: &str, at: usize) {
        let (text, cursor) = (&self.published[at], format!("cursor-{}", at + 1));
        let payload =
            json!({ "data": { key: { "text": text } }, "extensions": { "cursor": cursor } });
        self.send_to_client(&format!("{}{payload}}}", self.machine.result_prefix(id)));
    }
}

/// Whether a payload has the token of the one user of this world. None if it has no token.
fn token(payload: &MessagePayload) -> Option<bool> {
    let given = only_value(values_named(payload, "authorization"));
    match given.and_then(|value| value.map_or(Ok(None), bearer_token)) {
        Ok(token) => token.map(|token| token == "TOKEN"),
        Err(_) => Some(false),
    }
}

impl Target for World {
    async fn send(&mut self, texts: &[String]) -> Outcome {
        texts.iter().for_each(|text| self.handle(Input::Text(text)));
        Ok(())
    }

    async fn send_bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.handle(Input::Binary(bytes));
        Ok(())
    }

    async fn receive(&mut self) -> Result<Received, String> {
        self.received
            .pop_front()
            .ok_or_else(|| "received nothing".to_owned())
    }

    /// After a close, the machine must not react to any input.
    async fn ended(&mut self) -> Outcome {
        for text in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"ping"}"#,
            "junk",
        ] {
            self.handle(Input::Text(text));
        }
        let (id, payload) = ("a", "{}");
        self.handle(Input::Answered { id, payload });
        self.handle(Input::Refused { id, errors: "[]" });
        self.handle(Input::Live { id, cursor: "c" });
        self.handle(Input::Heartbeat);
        for input in [
            Input::Binary(b"junk"),
            Input::InitialisationTimeout,
            Input::Admitted,
            Input::Rejected,
        ] {
            self.handle(input);
        }
        self.handle(Input::Leave(Close::GoingAway));
        match self.received.front() {
            None => Ok(()),
            Some(received) => Err(format!("received {received:?} after the close")),
        }
    }

    async fn publish(&mut self, text: &str) -> Outcome {
        self.emit(text);
        Ok(())
    }

    async fn init_time_passes(&mut self) -> Outcome {
        self.handle(Input::InitialisationTimeout);
        Ok(())
    }

    async fn settle(&mut self) -> Outcome {
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Admit(payload) => self.admit(&payload),
                Held::Start(id, request) => self.start(id, &request),
            }
        }
        Ok(())
    }

    async fn beat(&mut self) -> Outcome {
        self.handle(Input::Heartbeat);
        Ok(())
    }

    async fn server_leaves(&mut self, close: &Close) -> Outcome {
        self.handle(Input::Leave(close.clone()));
        Ok(())
    }
}
