//! The machines with a checker each. The checker knows the rules of the dialect, and compares every
//! act of its machine with them.

use std::collections::HashSet;

use serde_json::Value;
use switchboard::protocol::{Act, Input, LegacyMachine, Machine, MachineLimits, read_json};

/// A machine whose acts are checked. A broken rule panics.
pub(crate) trait CheckedMachine {
    /// A connection that was just opened.
    fn new(limits: MachineLimits) -> Self;
    /// Lets the machine handle this input, and checks its acts.
    fn handle(&mut self, input: Input<'_>);
    /// Whether the credentials are being checked.
    fn is_checking_credentials(&self) -> bool;
    fn is_closed(&self) -> bool;
}

/// The machine of graphql-transport-ws.
pub(crate) struct TransportWs {
    machine: Machine,
    acts: Vec<Act>,
    acknowledged: bool,
    checking: bool,
    closed: bool,
    running: HashSet<String>,
}

impl CheckedMachine for TransportWs {
    fn new(limits: MachineLimits) -> Self {
        let (machine, acts, running) = (Machine::new(limits), Vec::new(), HashSet::new());
        Self {
            machine,
            acts,
            acknowledged: false,
            checking: false,
            closed: false,
            running,
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let about = About::of(&input);
        self.checking &= !matches!(input, Input::Admitted | Input::Rejected);
        let mut acts = std::mem::take(&mut self.acts);
        self.machine.handle(input, &mut acts);
        for act in acts.drain(..) {
            assert!(!self.closed, "P2: {act:?} after the close");
            self.check(act, &about);
        }
        self.acts = acts;
        assert_eq!(
            self.machine.is_initialised(),
            self.acknowledged || self.checking || self.closed
        );
    }

    fn is_checking_credentials(&self) -> bool {
        self.checking
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

impl TransportWs {
    fn check(&mut self, act: Act, about: &About) {
        match act {
            Act::Send(text) => self.check_message(&text, about),
            Act::Admit(_) => {
                assert!(
                    about.kind == "connection_init" && !self.acknowledged && !self.checking,
                    "an init is allowed once"
                );
                self.checking = true;
            }
            Act::Refresh(_) => {
                assert!(
                    about.kind == "ping" && self.acknowledged,
                    "only an acknowledged client can renew its credentials"
                );
            }
            Act::Start { id, .. } => {
                assert!(
                    about.is("subscribe", &id) && self.acknowledged,
                    "{id} starts only for a subscribe"
                );
                assert!(self.running.insert(id.clone()), "P3: {id} is taken");
            }
            Act::Stop { id } => {
                assert!(about.is("complete", &id), "only the client stops {id}");
                assert!(self.running.remove(&id), "P2: {id} has ended");
            }
            Act::Close(close) => {
                self.closed = true;
                assert!(
                    close.reason().len() <= 123,
                    "{close:?} does not fit its frame"
                );
            }
        }
    }

    fn check_message(&mut self, text: &str, about: &About) {
        let message: Value = serde_json::from_str(text).expect("the machine sends JSON");
        let id = message["id"].as_str().unwrap_or_default();
        match message["type"].as_str() {
            Some("connection_ack") => self.acknowledged = true,
            Some("ping") => {
                let id = message["payload"]["subscribed"]
                    .as_str()
                    .expect("a ping of the server names an operation");
                assert!(
                    about.is("live", id) && self.running.contains(id),
                    "P2: {text}"
                );
            }
            Some("pong") => assert_eq!(about.kind, "ping", "a pong answers a ping"),
            Some("next") => assert!(
                about.is("answered", id) && self.running.contains(id),
                "P2: {text}"
            ),
            Some("complete") => assert!(
                about.is("answered", id) && self.running.remove(id),
                "P2: {text}"
            ),
            Some("error") if about.is("subscribe", id) => {
                assert!(!self.running.contains(id), "P3: {text}")
            }
            Some("error") => assert!(
                about.is("refused", id) && self.running.remove(id),
                "P2: {text}"
            ),
            _ => panic!("the protocol does not know {text}"),
        }
    }
}

/// The machine of the legacy dialect.
pub(crate) struct Legacy {
    machine: LegacyMachine,
    acts: Vec<Act>,
    acknowledged: bool,
    checking: bool,
    closed: bool,
    running: HashSet<String>,
    /// The operations that wait for the acknowledgement.
    held: HashSet<String>,
    /// The operation that the current input stopped.
    stopped: Option<String>,
}

impl CheckedMachine for Legacy {
    fn new(limits: MachineLimits) -> Self {
        let (machine, acts, running, held) = (
            LegacyMachine::new(limits),
            Vec::new(),
            HashSet::new(),
            HashSet::new(),
        );
        Self {
            machine,
            acts,
            acknowledged: false,
            checking: false,
            closed: false,
            running,
            held,
            stopped: None,
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let about = About::of(&input);
        self.checking &= !matches!(input, Input::Admitted | Input::Rejected);
        let mut acts = std::mem::take(&mut self.acts);
        self.machine.handle(input, &mut acts);
        let silent = acts.is_empty();
        self.stopped = None;
        for act in acts.drain(..) {
            assert!(!self.closed, "P2: {act:?} after the close");
            self.check(act, &about);
        }
        self.acts = acts;
        if silent && about.kind == "start" && !self.acknowledged && !self.closed {
            self.held.insert(about.id);
        }
        assert_eq!(
            self.machine.is_initialised(),
            self.acknowledged || self.checking || self.closed
        );
    }

    fn is_checking_credentials(&self) -> bool {
        self.checking
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Legacy {
    fn check(&mut self, act: Act, about: &About) {
        match act {
            Act::Send(text) => self.check_message(&text, about),
            Act::Admit(_) => {
                let first = !self.acknowledged && !self.checking;
                assert!(
                    about.kind == "connection_init" && first,
                    "an init is allowed once"
                );
                self.checking = true;
            }
            Act::Refresh(_) => panic!("this dialect cannot renew credentials"),
            Act::Start { id, .. } => {
                assert!(self.acknowledged, "{id} starts after the acknowledgement");
                assert!(
                    about.is("start", &id) || (about.kind == "admitted" && self.held.remove(&id)),
                    "{id} starts only for a start"
                );
                assert!(self.running.insert(id.clone()), "P3: {id} is taken");
            }
            Act::Stop { id } => {
                assert!(
                    about.is("stop", &id) || about.is("start", &id),
                    "only the client stops {id}"
                );
                assert!(self.running.remove(&id), "P2: {id} has ended");
                self.stopped = Some(id);
            }
            Act::Close(close) => {
                self.closed = true;
                assert!(
                    close.reason().len() <= 123,
                    "{close:?} does not fit its frame"
                );
            }
        }
    }

    fn check_message(&mut self, text: &str, about: &About) {
        let message: Value = serde_json::from_str(text).expect("the machine sends JSON");
        let id = &id_in(&message);
        match message["type"].as_str() {
            Some("connection_ack") => self.acknowledged = true,
            // It belongs to no operation.
            Some("error") if message.get("id").is_none() => {}
            Some("connection_error") => assert!(
                message.get("id").is_none(),
                "a connection_error has no id: {text}"
            ),
            Some("ka") => assert!(about.kind == "heartbeat" && self.acknowledged, "{text}"),
            Some("data") => assert!(
                about.is("answered", id) && self.running.contains(id),
                "P2: {text}"
            ),
            Some("complete") if about.is("stop", id) => {
                assert!(
                    self.held.remove(id)
                        || self.stopped.take().is_some_and(|stopped| stopped == *id),
                    "P2: {text}"
                );
            }
            Some("complete") => assert!(
                about.is("answered", id) && self.running.remove(id),
                "P2: {text}"
            ),
            Some("error") if about.is("start", id) => {
                self.held.remove(id);
                assert!(!self.running.contains(id), "P2: {text}");
            }
            Some("error") => assert!(
                about.is("refused", id) && self.running.remove(id),
                "P2: {text}"
            ),
            _ => panic!("the protocol does not know {text}"),
        }
    }
}

/// The kind of an input, and the id that it is about.
#[derive(Default)]
struct About {
    kind: String,
    id: String,
}

impl About {
    fn of(input: &Input<'_>) -> Self {
        let about = |kind: &str, id: &str| Self {
            kind: kind.to_owned(),
            id: id.to_owned(),
        };
        match input {
            Input::Text(text) => Self::of_message(text.as_bytes()),
            Input::Binary(bytes) => Self::of_message(bytes),
            Input::Answered { id, .. } => about("answered", id),
            Input::Refused { id, .. } => about("refused", id),
            Input::Live { id, .. } => about("live", id),
            Input::Heartbeat => about("heartbeat", ""),
            Input::Admitted => about("admitted", ""),
            _ => Self::default(),
        }
    }

    fn of_message(text: &[u8]) -> Self {
        let message: Value = read_json(text).unwrap_or_default();
        Self {
            kind: message["type"].as_str().unwrap_or_default().to_owned(),
            id: id_in(&message),
        }
    }

    fn is(&self, kind: &str, id: &str) -> bool {
        self.kind == kind && self.id == id
    }
}

/// The id in a message. The legacy dialect also has numbers as ids.
fn id_in(message: &Value) -> String {
    match &message["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => String::new(),
    }
}
