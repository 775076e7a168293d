//! The dialects behind one face, so that a connection need not know which one it speaks.

use super::{
    Act, Input, LegacyMachine, Machine, MachineLimits, legacy::data_prefix, message::next_prefix,
};

/// A subprotocol, as a client names it in `Sec-WebSocket-Protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// `graphql-transport-ws`, which today's clients speak.
    TransportWs,
    /// `graphql-ws`: the older protocol of subscriptions-transport-ws. (The library graphql-ws speaks the other one.)
    Legacy,
}

impl Subprotocol {
    /// All that are spoken.
    pub const ALL: [Self; 2] = [Self::TransportWs, Self::Legacy];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransportWs => "graphql-transport-ws",
            Self::Legacy => "graphql-ws",
        }
    }

    /// The first that is spoken, in the order of the client's offers.
    pub fn choose<'a>(offers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        offers
            .into_iter()
            .find_map(|offer| Self::ALL.into_iter().find(|known| known.name() == offer))
    }
}

/// One connection's side of whichever protocol was chosen.
#[derive(Debug)]
pub enum Dialect {
    /// It speaks graphql-transport-ws.
    TransportWs(Machine),
    /// It speaks the legacy protocol.
    Legacy(LegacyMachine),
}

impl Dialect {
    /// A connection that was just opened.
    pub fn new(subprotocol: Subprotocol, limits: MachineLimits) -> Self {
        match subprotocol {
            Subprotocol::TransportWs => Self::TransportWs(Machine::new(limits)),
            Subprotocol::Legacy => Self::Legacy(LegacyMachine::new(limits)),
        }
    }

    /// Takes what happened and adds what to do about it, in this order.
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

    /// Whether the client wants to be told now and then that the server lives ([`Input::Heartbeat`]).
    pub fn has_heartbeat(&self) -> bool {
        matches!(self, Self::Legacy(_))
    }

    /// What stands in front of a result that is sent for an operation; `}` stands behind it.
    pub fn result_prefix(&self, id: &str) -> String {
        match self {
            Self::TransportWs(_) => next_prefix(id),
            Self::Legacy(_) => data_prefix(id),
        }
    }
}
