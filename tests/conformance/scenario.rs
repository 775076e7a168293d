//! Scenarios as values: the messages that a client sends, and the answers that it must receive.
//!
//! Three words in a scenario are placeholders, which its stage fills in:
//!
//! - `ROOM` is the id of a public room that no other scenario uses.
//! - `HEAD` is the head of that room before the first message. A subscription after `HEAD` receives
//!   every message of the scenario, however long it takes to start.
//! - `TOKEN` is a valid token.

use serde_json::{Value, json};
use switchboard::protocol::{Close, Subprotocol};

use crate::expect::{Expect, ack, keep_alive};

/// The targets that can play a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The pure machine and any server.
    Everywhere,
    /// The pure machine, because the scenario decides when an answer is ready.
    Machine,
    /// Servers, because the scenario is about the parts around the machine.
    Sockets,
}

/// How a socket is opened.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// The subprotocols that the client offers, in this order.
    pub(crate) offers: &'static [&'static str],
    /// The `Authorization` header of the upgrade.
    pub(crate) authorization: Option<&'static str>,
    /// The subprotocol that the server must name in its answer.
    pub(crate) spoken: Option<Subprotocol>,
}

/// The subprotocol that nearly all scenarios offer.
pub(crate) const SUBPROTOCOL: &str = Subprotocol::TransportWs.name();

/// The subprotocol of the legacy dialect.
pub(crate) const LEGACY: &str = Subprotocol::Legacy.name();

/// One action of the client, the room or the server, or one expectation.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The client sends these texts in one write.
    Send(Vec<String>),
    /// The client sends a binary message.
    SendBytes(Vec<u8>),
    /// The client sends these bytes as they are. They need not be valid frames.
    SendRaw(Vec<u8>),
    /// The client receives exactly these messages: in this order for each id, in any order between
    /// ids.
    Receive(Vec<Expect>),
    /// The client receives nothing before the answer to a fence.
    Silence,
    /// The result of this operation may have crossed the client's `complete`. The client receives
    /// either the whole answer or nothing.
    AllOrNothing(String, Value),
    /// The next frame that the client receives is this close, and nothing follows it.
    Closed(u16, Reason),
    /// Another user sends this message to the room.
    Publish(String),
    /// The time limit for `connection_init` passes.
    InitTimePasses,
    /// The next heartbeat is due.
    Beat,
    /// A slow world completes the work that it holds back.
    Settle,
    /// The server closes the connection for this reason.
    ServerLeaves(Close),
    /// The server is stopped.
    ServerStops,
    /// Another socket is opened, and the server closes it with this code and reason.
    AnotherIsClosed(u16, Reason),
    /// The client closes the socket, and receives its own close as the answer.
    ClientLeaves,
}

/// The reason that a close must give.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// Exactly this text.
    Exactly(String),
    /// The text for an id that is taken, with as much of the id as fits.
    Taken(String),
    /// Any text. Only the code of the close counts.
    Any,
}

/// A rule of the protocol as a dialogue that can be played.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The rule in a sentence.
    pub(crate) name: String,
    pub(crate) reach: Reach,
    /// The flags that the server is started with. A server with other flags cannot play the
    /// scenario.
    pub(crate) flags: &'static [&'static str],
    /// Whether the world withholds its answers until [`Step::Settle`].
    pub(crate) slow: bool,
    /// Whether live pings and heartbeats must be expected. Otherwise they are skipped.
    pub(crate) exactly: bool,
    pub(crate) opening: Opening,
    pub(crate) steps: Vec<Step>,
}

/// A scenario in graphql-transport-ws. It begins when the socket is open.
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

/// A scenario in the legacy dialect. It begins when the socket is open.
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

/// A scenario in the legacy dialect. It begins when the connection is acknowledged.
pub(crate) fn legacy_ready(name: &str, steps: impl IntoIterator<Item = Step>) -> Scenario {
    legacy(
        name,
        [init(), receive([ack(), keep_alive()])]
            .into_iter()
            .chain(steps),
    )
}

/// A scenario in graphql-transport-ws. It begins when the connection is acknowledged.
pub(crate) fn ready(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Scenario {
    scenario(name, [init(), receive([ack()])].into_iter().chain(steps))
}

/// A scenario in graphql-transport-ws and a slow world. It begins when the world has settled once
/// and the connection is acknowledged.
pub(crate) fn ready_in_a_slow_world(
    name: impl Into<String>,
    steps: impl IntoIterator<Item = Step>,
) -> Scenario {
    scenario(
        name,
        [init(), Step::Settle, receive([ack()])]
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

    /// The scenario in a slow world, which only the machine has.
    pub(crate) fn slowly(self) -> Self {
        Self {
            slow: true,
            reach: Reach::Machine,
            ..self
        }
    }

    /// The scenario with live pings and heartbeats among its expectations.
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

// --- messages of the client ---

pub(crate) fn send(text: impl Into<String>) -> Step {
    Step::Send(vec![text.into()])
}

fn send_json(message: &Value) -> Step {
    send(message.to_string())
}

/// Sends the texts of these steps in one write. The server reads the last one before it can have
/// finished the first.
pub(crate) fn together(steps: impl IntoIterator<Item = Step>) -> Step {
    let texts = steps.into_iter().flat_map(|step| match step {
        Step::Send(texts) => texts,
        other => panic!("{other:?} sends no text"),
    });
    Step::Send(texts.collect())
}

pub(crate) fn init() -> Step {
    send_json(&json!({ "type": "connection_init" }))
}

pub(crate) fn init_with(payload: Value) -> Step {
    send_json(&json!({ "type": "connection_init", "payload": payload }))
}

pub(crate) fn ping() -> Step {
    send_json(&json!({ "type": "ping" }))
}

pub(crate) fn ping_with(payload: Value) -> Step {
    send_json(&json!({ "type": "ping", "payload": payload }))
}

pub(crate) fn subscribe(id: &str, query: &str) -> Step {
    subscribe_with(id, json!({ "query": query }))
}

pub(crate) fn subscribe_with(id: &str, payload: Value) -> Step {
    send_json(&json!({ "id": id, "type": "subscribe", "payload": payload }))
}

pub(crate) fn complete(id: &str) -> Step {
    send_json(&json!({ "id": id, "type": "complete" }))
}

pub(crate) fn start(id: &str, query: &str) -> Step {
    send_json(&json!({ "id": id, "type": "start", "payload": { "query": query } }))
}

pub(crate) fn stop(id: &str) -> Step {
    send_json(&json!({ "id": id, "type": "stop" }))
}

pub(crate) fn terminate() -> Step {
    send_json(&json!({ "type": "connection_terminate", "payload": null }))
}

// --- other steps ---

pub(crate) fn receive(expected: impl IntoIterator<Item = Expect>) -> Step {
    Step::Receive(expected.into_iter().collect())
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
