//! One interface to both protocols, so that a connection does not depend on which one it speaks.

use super::{Act, Input, LegacyMachine, Machine, MachineLimits, message::next_prefix};

/// A subprotocol, as a client names it in `Sec-WebSocket-Protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// `graphql-transport-ws`: the protocol of current clients.
    TransportWs,
    /// `graphql-ws`: the older protocol of the library subscriptions-transport-ws. (The library
    /// graphql-ws, despite its name, speaks the other one.)
    Legacy,
}

impl Subprotocol {
    /// All subprotocols that the server speaks.
    pub const ALL: [Self; 2] = [Self::TransportWs, Self::Legacy];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransportWs => "graphql-transport-ws",
            Self::Legacy => "graphql-ws",
        }
    }

    /// The first of the client's offers that the server speaks.
    pub fn choose<'a>(offers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        offers
            .into_iter()
            .find_map(|offer| Self::ALL.into_iter().find(|known| known.name() == offer))
    }
}

/// The server's side of one connection, in the protocol that was chosen.
#[derive(Debug)]
pub enum Dialect {
    /// The connection speaks graphql-transport-ws.
    TransportWs(Machine),
    /// The connection speaks the legacy protocol.
    Legacy(LegacyMachine),
}

impl Dialect {
    /// The machine of a connection that was just opened.
    pub fn new(subprotocol: Subprotocol, limits: MachineLimits) -> Self {
        match subprotocol {
            Subprotocol::TransportWs => Self::TransportWs(Machine::new(limits)),
            Subprotocol::Legacy => Self::Legacy(LegacyMachine::new(limits)),
        }
    }

    /// Handles an input. Appends the acts that follow from it, in order.
    pub fn handle(&mut self, input: Input<'_>, acts: &mut Vec<Act>) {
        match self {
            Self::TransportWs(machine) => machine.handle(input, acts),
            Self::Legacy(machine) => machine.handle(input, acts),
        }
    }

    /// Whether `connection_init` was received.
    pub fn is_initialised(&self) -> bool {
        match self {
            Self::TransportWs(machine) => machine.is_initialised(),
            Self::Legacy(machine) => machine.is_initialised(),
        }
    }

    /// Whether the protocol has heartbeats ([`Input::Heartbeat`]).
    pub fn has_heartbeat(&self) -> bool {
        matches!(self, Self::Legacy(_))
    }

    /// The text in front of each result of an operation. The text behind it is `}`.
    pub fn result_prefix(&self, id: &str) -> String {
        match self {
            Self::TransportWs(_) => next_prefix(id),
            Self::Legacy(machine) => machine.data_prefix(id),
        }
    }
}
