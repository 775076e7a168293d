//! The state machine of graphql-transport-ws.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    Close, MessagePayload, Subscribe,
    message::{
        ClientMessage, authorization, complete, connection_ack, error, live, next, pong, problem,
    },
};

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub struct MachineLimits {
    /// Operations that run at the same time. 0 is no limit.
    pub operations_max: usize,
    /// Bytes of an operation's id. 0 is no limit.
    pub id_bytes_max: usize,
    /// Bytes of messages that wait for the acknowledgement, in the dialect that lets them wait. 0 is no limit.
    pub held_bytes_max: usize,
}

impl Default for MachineLimits {
    fn default() -> Self {
        Self {
            operations_max: 100,
            id_bytes_max: 128,
            held_bytes_max: 256 * 1024,
        }
    }
}

impl MachineLimits {
    /// Whether an operation may have this id.
    pub(super) fn allow_id(&self, id: &str) -> bool {
        !id.is_empty() && (self.id_bytes_max == 0 || id.len() <= self.id_bytes_max)
    }

    /// The error for one operation more than so many, if that is one too many.
    pub(super) fn too_many(&self, running: usize) -> Option<Value> {
        let most = self.operations_max;
        let message = format!("This connection runs {most} operations already, which is the most.");
        (most != 0 && running >= most).then(|| problem(&message, "TOO_COMPLEX"))
    }
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The client sent text.
    Text(&'a str),
    /// The client sent bytes, which the protocol does not know.
    Binary,
    /// The time for `connection_init` is over.
    InitialisationTimeout,
    /// The credentials of `connection_init` are good.
    Admitted,
    /// They are not.
    Rejected,
    /// A query or a mutation has its result, as JSON.
    Answered {
        /// Which operation.
        id: &'a str,
        /// The result.
        payload: &'a str,
    },
    /// An operation was refused before it ran: at least one error, as a JSON array.
    Refused {
        /// Which operation.
        id: &'a str,
        /// The errors.
        errors: &'a str,
    },
    /// A subscription has delivered everything that there was when it began, and stands at the head.
    Live {
        /// Which operation.
        id: &'a str,
        /// Where it stands.
        cursor: &'a str,
    },
    /// It is time to say that the server lives, in the dialect that does so.
    Heartbeat,
    /// The server has its own reason to close.
    Leave(Close),
}

/// What to do about it.
#[derive(Debug)]
pub enum Act {
    /// Send this text.
    Send(String),
    /// Check the credentials, then say [`Input::Admitted`] or [`Input::Rejected`].
    Admit(MessagePayload),
    /// Check the fresh credentials of a connection that is served already. Nothing is answered; if they are not good, or
    /// somebody else's, say [`Input::Leave`].
    Refresh(MessagePayload),
    /// Run this operation. Until it ends, results may be sent for its id.
    Start {
        /// Which operation.
        id: String,
        /// What it asks for.
        request: Subscribe,
    },
    /// Stop this operation and send nothing more for it.
    Stop {
        /// Which operation.
        id: String,
    },
    /// Send the close frame, stop everything.
    Close(Close),
}

/// How far a connection has come, in either dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionPhase {
    /// No `connection_init` yet.
    Open,
    /// The credentials are being checked.
    Initialising,
    /// Acknowledged.
    Ready,
    /// A close was sent.
    Closed,
}

/// One connection's side of the protocol.
#[derive(Debug)]
pub struct Machine {
    limits: MachineLimits,
    phase: SessionPhase,
    running: HashSet<String>,
}

impl Machine {
    /// A connection that was just opened.
    pub fn new(limits: MachineLimits) -> Self {
        Self {
            limits,
            phase: SessionPhase::Open,
            running: HashSet::new(),
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
            Input::Text(text) => match ClientMessage::decode(text) {
                Some(message) => self.message(message, acts),
                None => self.close(Close::InvalidMessage, acts),
            },
            Input::Binary => self.close(Close::InvalidMessage, acts),
            // Only a client that said nothing is too late; a slow check of its credentials is ours.
            Input::InitialisationTimeout if self.phase == SessionPhase::Open => {
                self.close(Close::InitialisationTimeout, acts)
            }
            Input::InitialisationTimeout => {}
            Input::Admitted => {
                // Acknowledged before the message is sent: the client may answer faster than that is noticed here.
                self.phase = SessionPhase::Ready;
                acts.push(Act::Send(connection_ack()));
            }
            Input::Rejected => self.close(Close::Forbidden, acts),
            Input::Answered { id, payload } => {
                if self.running.remove(id) {
                    acts.push(Act::Send(next(id, payload)));
                    acts.push(Act::Send(complete(id)));
                }
            }
            Input::Refused { id, errors } => {
                if self.running.remove(id) {
                    acts.push(Act::Send(error(id, errors)));
                }
            }
            Input::Live { id, cursor } => {
                if self.running.contains(id) {
                    acts.push(Act::Send(live(id, cursor)));
                }
            }
            // Here the WebSocket's own pings do that.
            Input::Heartbeat => {}
            Input::Leave(close) => self.close(close, acts),
        }
    }

    fn message(&mut self, message: ClientMessage, acts: &mut Vec<Act>) {
        match message {
            ClientMessage::ConnectionInit { payload } => match self.phase {
                SessionPhase::Open => {
                    self.phase = SessionPhase::Initialising;
                    acts.push(Act::Admit(payload));
                }
                _ => self.close(Close::TooManyInitialisationRequests, acts),
            },
            ClientMessage::Ping { payload } => {
                let fresh = self.phase == SessionPhase::Ready && authorization(&payload).is_some();
                let credentials = fresh.then(|| payload.clone());
                // At once: the pong says that the ping came, not what is thought of the credentials.
                acts.push(Act::Send(pong(payload)));
                acts.extend(credentials.map(Act::Refresh));
            }
            ClientMessage::Pong => {}
            ClientMessage::Subscribe { id, payload } => self.subscribe(id, payload, acts),
            ClientMessage::Complete { id } if id.is_empty() => {
                self.close(Close::InvalidMessage, acts)
            }
            ClientMessage::Complete { id } => {
                // An unknown id is one that ended meanwhile.
                if self.running.remove(&id) {
                    acts.push(Act::Stop { id });
                }
            }
        }
    }

    fn subscribe(&mut self, id: String, request: Subscribe, acts: &mut Vec<Act>) {
        if !self.limits.allow_id(&id) {
            return self.close(Close::InvalidMessage, acts);
        }
        if self.phase != SessionPhase::Ready {
            return self.close(Close::Unauthorized, acts);
        }
        if self.running.contains(&id) {
            return self.close(Close::SubscriberExists(id), acts);
        }
        if let Some(too_many) = self.limits.too_many(self.running.len()) {
            return acts.push(Act::Send(error(&id, &json!([too_many]).to_string())));
        }
        self.running.insert(id.clone());
        acts.push(Act::Start { id, request });
    }

    fn close(&mut self, close: Close, acts: &mut Vec<Act>) {
        self.phase = SessionPhase::Closed;
        self.running = HashSet::new();
        acts.push(Act::Close(close));
    }
}
