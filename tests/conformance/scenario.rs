//! Scenarios as values: what a client does, and what it must hear.
//!
//! Two words in a scenario stand for what only its stage knows: `ROOM` is the id of a public room that no other
//! scenario uses, `HEAD` its head before anything was published. So nothing that is published later is missed, however
//! long a subscription takes to start. `TOKEN` is a token that is good.

use serde_json::{Value, json};
use switchboard::protocol::{Close, Subprotocol};

use crate::expect::{Expect, ack, keep_alive};

/// Where a scenario can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On the machine and on any server.
    Everywhere,
    /// On the machine: it needs a say in when things happen inside.
    Machine,
    /// On servers: it is about what lies around the machine.
    Sockets,
}

/// How a socket is opened, and which subprotocol the server must name in its answer.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) offers: &'static [&'static str],
    pub(crate) authorization: Option<&'static str>,
    pub(crate) spoken: Option<Subprotocol>,
}

/// The name that nearly all scenarios open their socket with.
pub(crate) const SUBPROTOCOL: &str = Subprotocol::TransportWs.name();

/// The name of the other dialect.
pub(crate) const LEGACY: &str = Subprotocol::Legacy.name();

/// One thing that is done or must happen.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The client sends these texts, all in one go.
    Say(Vec<String>),
    /// The client sends a binary message.
    SayBytes(Vec<u8>),
    /// The client sends these bytes as they are, frames or not.
    SayRaw(Vec<u8>),
    /// The client hears exactly these: in this order for each id, in any order between ids.
    Hear(Vec<Expect>),
    /// The client hears nothing: its ping is answered first.
    Silence,
    /// The answer to this query raced the client's `complete`: all of it was sent before, or nothing at all.
    AllOrNothing(String, Value),
    /// The next that the client hears is this close, and nothing follows it.
    Closed(u16, Reason),
    /// Somebody says this in the room.
    Publish(String),
    /// The time that a client has for `connection_init` passes.
    InitTimePasses,
    /// It is time for a heartbeat.
    Beat,
    /// What a slow world was asked for is done now.
    Settle,
    /// The server has a reason of its own to close.
    ServerLeaves(Close),
    /// The server is stopped.
    ServerStops,
    /// Another socket is opened, and closed by the server like this.
    AnotherIsClosed(u16, Reason),
    /// The client closes the socket, and hears its own close again.
    ClientLeaves,
}

/// What a close says.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// Exactly this.
    Exactly(String),
    /// That this id is taken, with as much of the id as fits.
    Taken(String),
}

/// A rule of the protocol, played.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The rule in a sentence.
    pub(crate) name: String,
    pub(crate) reach: Reach,
    /// What the server is started with. A server that was started with something else cannot play this.
    pub(crate) flags: &'static [&'static str],
    /// The world does nothing before [`Step::Settle`].
    pub(crate) slow: bool,
    /// What a server may say at any time is expected where it comes, and nowhere else.
    pub(crate) exactly: bool,
    pub(crate) opening: Opening,
    pub(crate) steps: Vec<Step>,
}

/// A scenario that begins right after the socket was opened.
pub(crate) fn scenario(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Scenario {
    let opening = Opening {
        offers: &[SUBPROTOCOL],
        authorization: None,
        spoken: Some(Subprotocol::TransportWs),
    };
    let steps = steps.into_iter().collect();
    let (reach, flags) = (Reach::Everywhere, &[]);
    Scenario {
        name: name.into(),
        reach,
        flags,
        slow: false,
        exactly: false,
        opening,
        steps,
    }
}

/// The same in the legacy dialect.
pub(crate) fn legacy(name: &str, steps: impl IntoIterator<Item = Step>) -> Scenario {
    let opening = Opening {
        offers: &[LEGACY],
        authorization: None,
        spoken: Some(Subprotocol::Legacy),
    };
    Scenario {
        opening,
        ..scenario(format!("legacy: {name}"), steps)
    }
}

/// A legacy scenario that begins when the connection is acknowledged.
pub(crate) fn legacy_ready(name: &str, steps: impl IntoIterator<Item = Step>) -> Scenario {
    legacy(
        name,
        [init(), hear([ack(), keep_alive()])]
            .into_iter()
            .chain(steps),
    )
}

/// A scenario that begins when the connection is acknowledged.
pub(crate) fn ready(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Scenario {
    scenario(name, [init(), hear([ack()])].into_iter().chain(steps))
}

/// The same in a slow world, which is asked to settle once for the acknowledgement.
pub(crate) fn ready_in_a_slow_world(
    name: impl Into<String>,
    steps: impl IntoIterator<Item = Step>,
) -> Scenario {
    scenario(
        name,
        [init(), Step::Settle, hear([ack()])]
            .into_iter()
            .chain(steps),
    )
    .slowly()
}

impl Scenario {
    pub(crate) fn only(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    pub(crate) fn with(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    /// Played by a slow world, which only the machine has.
    pub(crate) fn slowly(self) -> Self {
        Self {
            slow: true,
            reach: Reach::Machine,
            ..self
        }
    }

    /// Live pings and heartbeats are part of what must be heard.
    pub(crate) fn exactly(self) -> Self {
        Self {
            exactly: true,
            ..self
        }
    }

    pub(crate) fn opened(self, opening: Opening) -> Self {
        Self {
            opening,
            reach: Reach::Sockets,
            ..self
        }
    }
}

// --- what a client sends ---

pub(crate) fn say(text: impl Into<String>) -> Step {
    Step::Say(vec![text.into()])
}

fn say_json(message: &Value) -> Step {
    say(message.to_string())
}

/// The same texts in one go, so that the server has read the last one before it can have finished the first.
pub(crate) fn together(steps: impl IntoIterator<Item = Step>) -> Step {
    let texts = steps.into_iter().flat_map(|step| match step {
        Step::Say(texts) => texts,
        other => panic!("{other:?} says nothing"),
    });
    Step::Say(texts.collect())
}

pub(crate) fn init() -> Step {
    say_json(&json!({ "type": "connection_init" }))
}

pub(crate) fn init_with(payload: Value) -> Step {
    say_json(&json!({ "type": "connection_init", "payload": payload }))
}

pub(crate) fn ping() -> Step {
    say_json(&json!({ "type": "ping" }))
}

pub(crate) fn ping_with(payload: Value) -> Step {
    say_json(&json!({ "type": "ping", "payload": payload }))
}

pub(crate) fn subscribe(id: &str, query: &str) -> Step {
    subscribe_with(id, json!({ "query": query }))
}

pub(crate) fn subscribe_with(id: &str, payload: Value) -> Step {
    say_json(&json!({ "id": id, "type": "subscribe", "payload": payload }))
}

pub(crate) fn complete(id: &str) -> Step {
    say_json(&json!({ "id": id, "type": "complete" }))
}

pub(crate) fn start(id: &str, query: &str) -> Step {
    say_json(&json!({ "id": id, "type": "start", "payload": { "query": query } }))
}

pub(crate) fn stop(id: &str) -> Step {
    say_json(&json!({ "id": id, "type": "stop" }))
}

pub(crate) fn terminate() -> Step {
    say_json(&json!({ "type": "connection_terminate", "payload": null }))
}

// --- what happens ---

pub(crate) fn hear(expected: impl IntoIterator<Item = Expect>) -> Step {
    Step::Hear(expected.into_iter().collect())
}

pub(crate) fn closed(code: u16, reason: &str) -> Step {
    Step::Closed(code, Reason::Exactly(reason.to_owned()))
}

pub(crate) fn invalid() -> Step {
    closed(4400, "Invalid message received")
}

pub(crate) fn taken(id: &str) -> Step {
    Step::Closed(4409, Reason::Taken(id.to_owned()))
}

pub(crate) fn publish(text: &str) -> Step {
    Step::Publish(text.to_owned())
}
