//! The pure machine with a tiny world in front of it: no socket, no clock, no task.

use std::collections::VecDeque;

use serde_json::json;
use switchboard::protocol::{
    Act, Close, Dialect, Input, MachineLimits, MessagePayload, Subprotocol, Subscribe,
    authorization,
};

use crate::{
    documents::{Fate, errors, fate},
    expect::Heard,
    play::{Outcome, Target},
};

/// What a slow world was asked for.
enum Held {
    Admit(MessagePayload),
    Start(String, Subscribe),
}

/// The machine and what it works for.
pub(crate) struct World {
    machine: Dialect,
    heard: VecDeque<Heard>,
    slow: bool,
    held: Vec<Held>,
    /// Subscriptions that run, with the response key of each.
    running: Vec<(String, &'static str)>,
    signed_in: bool,
    /// What was said in the room.
    published: Vec<String>,
    closed: bool,
}

impl World {
    pub(crate) fn new(dialect: Subprotocol, limits: MachineLimits, slow: bool) -> Self {
        Self {
            machine: Dialect::new(dialect, limits),
            heard: VecDeque::new(),
            slow,
            held: Vec::new(),
            running: Vec::new(),
            signed_in: false,
            published: Vec::new(),
            closed: false,
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut acts = Vec::new();
        self.machine.handle(input, &mut acts);
        assert!(!self.closed || acts.is_empty(), "after the close: {acts:?}");
        for act in acts {
            self.act(act);
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(text) => self.send(&text),
            Act::Admit(payload) if self.slow => self.held.push(Held::Admit(payload)),
            Act::Admit(payload) => self.admit(&payload),
            // Only the one user who has a token may bring a fresh one.
            Act::Refresh(payload)
                if !(self.signed_in && authorization(&payload).is_some_and(is_good)) =>
            {
                self.tell(Input::Leave(Close::Forbidden));
            }
            Act::Refresh(_) => {}
            Act::Start { id, request } if self.slow => self.held.push(Held::Start(id, request)),
            Act::Start { id, request } => self.start(id, &request),
            Act::Stop { id } => {
                self.running.retain(|(running, _)| *running != id);
                self.held
                    .retain(|held| !matches!(held, Held::Start(started, _) if *started == id));
            }
            Act::Close(close) => {
                (self.running, self.held, self.closed) = (Vec::new(), Vec::new(), true);
                self.heard
                    .push_back(Heard::Close(close.code(), close.reason()));
            }
        }
    }

    fn send(&mut self, text: &str) {
        let message = serde_json::from_str(text).expect("the machine sends JSON");
        self.heard.push_back(Heard::Message(message));
    }

    fn admit(&mut self, payload: &MessagePayload) {
        let given = authorization(payload);
        self.signed_in = given.is_some_and(is_good);
        let admitted = given.is_none() || self.signed_in;
        self.tell(if admitted {
            Input::Admitted
        } else {
            Input::Rejected
        });
        if admitted && self.machine.has_heartbeat() {
            self.tell(Input::Heartbeat);
        }
    }

    fn start(&mut self, id: String, request: &Subscribe) {
        match fate(request, self.signed_in) {
            Fate::Answer(payload) => {
                self.tell(Input::Answered {
                    id: &id,
                    payload: &payload.to_string(),
                });
                if let Some(text) = payload["data"]["sendMessage"]["text"].as_str() {
                    self.emit(text);
                }
            }
            Fate::Refuse(code) => self.tell(Input::Refused {
                id: &id,
                errors: &errors(code).to_string(),
            }),
            Fate::Run { key, replayed } => self.run(id, key, replayed),
        }
    }

    /// What was said before comes first where it is asked for; then the subscription is live.
    fn run(&mut self, id: String, key: &'static str, replayed: bool) {
        self.running.push((id.clone(), key));
        let before = if replayed { self.published.len() } else { 0 };
        (0..before).for_each(|at| self.deliver(&id, key, at));
        let cursor = format!("cursor-{}", self.published.len());
        self.tell(Input::Live {
            id: &id,
            cursor: &cursor,
        });
    }

    /// Sends a message to all that run.
    fn emit(&mut self, text: &str) {
        self.published.push(text.to_owned());
        for (id, key) in self.running.clone() {
            self.deliver(&id, key, self.published.len() - 1);
        }
    }

    /// Sends a message in the way of the transport: past the machine, behind its prefix.
    fn deliver(&mut self, id: &str, key: &str, at: usize) {
        let (text, cursor) = (&self.published[at], format!("cursor-{}", at + 1));
        let payload =
            json!({ "data": { key: { "text": text } }, "extensions": { "cursor": cursor } });
        self.send(&format!("{}{payload}}}", self.machine.result_prefix(id)));
    }
}

/// Whether these are the credentials of the one user of this world.
fn is_good(value: &str) -> bool {
    let words = value.split_once(' ');
    words.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token == "TOKEN")
}

impl Target for World {
    async fn say(&mut self, texts: &[String]) -> Outcome {
        texts.iter().for_each(|text| self.tell(Input::Text(text)));
        Ok(())
    }

    async fn say_bytes(&mut self, _bytes: &[u8]) -> Outcome {
        self.tell(Input::Binary);
        Ok(())
    }

    async fn hear(&mut self) -> Result<Heard, String> {
        self.heard
            .pop_front()
            .ok_or_else(|| "heard nothing".to_owned())
    }

    /// Whatever happens now, the machine has nothing more to say.
    async fn ended(&mut self) -> Outcome {
        for text in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"ping"}"#,
            "junk",
        ] {
            self.tell(Input::Text(text));
        }
        let (id, payload) = ("a", "{}");
        self.tell(Input::Answered { id, payload });
        self.tell(Input::Refused { id, errors: "[]" });
        self.tell(Input::Live { id, cursor: "c" });
        self.tell(Input::Heartbeat);
        for input in [
            Input::Binary,
            Input::InitialisationTimeout,
            Input::Admitted,
            Input::Rejected,
        ] {
            self.tell(input);
        }
        self.tell(Input::Leave(Close::GoingAway));
        match self.heard.front() {
            None => Ok(()),
            Some(heard) => Err(format!("heard {heard:?} after the close")),
        }
    }

    async fn publish(&mut self, text: &str) -> Outcome {
        self.emit(text);
        Ok(())
    }

    async fn init_time_passes(&mut self) -> Outcome {
        self.tell(Input::InitialisationTimeout);
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
        self.tell(Input::Heartbeat);
        Ok(())
    }

    async fn server_leaves(&mut self, close: &Close) -> Outcome {
        self.tell(Input::Leave(close.clone()));
        Ok(())
    }
}
