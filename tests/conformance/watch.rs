//! A watcher that knows the rules on its own, and looks at every act of a machine.

use std::collections::HashSet;

use serde_json::Value;
use switchboard::protocol::{Act, Input, Machine, MachineLimits};

/// A machine that is watched.
pub(crate) struct Watched {
    machine: Machine,
    acts: Vec<Act>,
    pub(crate) acknowledged: bool,
    /// The credentials are being checked.
    pub(crate) asked: bool,
    pub(crate) closed: bool,
    running: HashSet<String>,
}

impl Watched {
    pub(crate) fn new(limits: MachineLimits) -> Self {
        let (machine, acts, running) = (Machine::new(limits), Vec::new(), HashSet::new());
        Self { machine, acts, acknowledged: false, asked: false, closed: false, running }
    }

    /// Lets the machine handle this, and judges what it does about it.
    pub(crate) fn handle(&mut self, input: Input<'_>) {
        let about = self.about(&input);
        let mut acts = std::mem::take(&mut self.acts);
        self.machine.handle(input, &mut acts);
        for act in acts.drain(..) {
            assert!(!self.closed, "P2: {act:?} after the close");
            self.judge(act, &about);
        }
        self.acts = acts;
        assert_eq!(self.machine.is_initialised(), self.acknowledged || self.asked || self.closed);
    }

    /// What the input is, and which id it is about.
    fn about(&mut self, input: &Input<'_>) -> About {
        match input {
            Input::Text(text) => {
                let message: Value = serde_json::from_str(text).unwrap_or_default();
                let word = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
                About { kind: word("type"), id: word("id") }
            }
            Input::Answered { id, .. } => About { kind: "answered".to_owned(), id: (*id).to_owned() },
            Input::Refused { id, .. } => About { kind: "refused".to_owned(), id: (*id).to_owned() },
            Input::Admitted | Input::Rejected => {
                self.asked = false;
                About::default()
            }
            _ => About::default(),
        }
    }

    fn judge(&mut self, act: Act, about: &About) {
        match act {
            Act::Send(text) => self.judge_message(&text, about),
            Act::Admit(_) => {
                assert!(
                    about.kind == "connection_init" && !self.acknowledged && !self.asked,
                    "an init is allowed once"
                );
                self.asked = true;
            }
            Act::Refresh(_) => {
                assert!(about.kind == "ping" && self.acknowledged, "only who is served can bring fresh credentials");
            }
            Act::Start { id, .. } => {
                assert!(about.is("subscribe", &id) && self.acknowledged, "{id} starts when it is asked for");
                assert!(self.running.insert(id.clone()), "P3: {id} is taken");
            }
            Act::Stop { id } => {
                assert!(about.is("complete", &id), "only the client stops {id}");
                assert!(self.running.remove(&id), "P2: {id} has ended");
            }
            Act::Close(close) => {
                self.closed = true;
                assert!(close.reason().len() <= 123, "{close:?} does not fit its frame");
            }
        }
    }

    fn judge_message(&mut self, text: &str, about: &About) {
        let message: Value = serde_json::from_str(text).expect("the machine sends JSON");
        let id = message["id"].as_str().unwrap_or_default();
        match message["type"].as_str() {
            Some("connection_ack") => self.acknowledged = true,
            Some("pong") => assert_eq!(about.kind, "ping", "a pong answers a ping"),
            Some("next") => assert!(about.is("answered", id) && self.running.contains(id), "P2: {text}"),
            Some("complete") => assert!(about.is("answered", id) && self.running.remove(id), "P2: {text}"),
            Some("error") if about.is("subscribe", id) => assert!(!self.running.contains(id), "P3: {text}"),
            Some("error") => assert!(about.is("refused", id) && self.running.remove(id), "P2: {text}"),
            _ => panic!("the protocol does not know {text}"),
        }
    }
}

/// What an input is about.
#[derive(Default)]
struct About {
    kind: String,
    id: String,
}

impl About {
    fn is(&self, kind: &str, id: &str) -> bool {
        self.kind == kind && self.id == id
    }
}
