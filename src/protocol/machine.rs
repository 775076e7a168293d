//! The state machine of graphql-transport-ws.

use std::collections::HashSet;

use serde_json::json;

use super::{
    Close, MessagePayload, Subscribe,
    limits::MachineLimits,
    message::{
        BAD_USER_INPUT, ClientMessage, complete, connection_ack, error, graphql_error, live, next,
        pong,
    },
};

/// Something that happened on a connection.
#[derive(Debug)]
pub enum Input<'a> {
    /// The client sent a text message.
    Text(&'a str),
    /// The client sent a binary message.
    Binary(&'a [u8]),
    /// The time for `connection_init` has passed.
    InitialisationTimeout,
    /// The credentials in `connection_init` are valid.
    Admitted,
    /// The credentials in `connection_init` are not valid.
    Rejected,
    /// A query or a mutation was executed.
    Answered {
        /// The operation's id.
        id: &'a str,
        /// The result, as JSON.
        payload: &'a str,
    },
    /// An operation was refused, or may not go on.
    Refused {
        /// The operation's id.
        id: &'a str,
        /// At least one error, as a JSON array.
        errors: &'a str,
    },
    /// A subscription has delivered every event that existed when it was opened.
    Live {
        /// The operation's id.
        id: &'a str,
        /// The cursor of the last event before the live ones.
        cursor: &'a str,
    },
    /// A heartbeat is due, in the protocol that has heartbeats.
    Heartbeat,
    /// The server closes the connection for a reason of its own.
    Leave(Close),
}

/// Something that the connection has to do.
#[derive(Debug)]
pub enum Act {
    /// Send this text.
    Send(String),
    /// Check the credentials, then pass in [`Input::Admitted`] or [`Input::Rejected`].
    Admit(MessagePayload),
    /// Check the new credentials of a connection that was acknowledged, if the payload has any. The
    /// client gets no answer. If they are not valid, or belong to another user, pass in
    /// [`Input::Leave`].
    Refresh(MessagePayload),
    /// Start this operation. Results may be sent for its id until it ends.
    Start {
        /// The operation's id.
        id: String,
        /// The request.
        request: Subscribe,
    },
    /// Stop this operation, and send nothing more for its id.
    Stop {
        /// The operation's id.
        id: String,
    },
    /// Send the close frame and stop all operations.
    Close(Close),
}

/// The phase of a connection, in either protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionPhase {
    /// `connection_init` has not come yet.
    Open,
    /// The credentials are being checked.
    Initialising,
    /// The connection was acknowledged.
    Ready,
    /// A close was sent.
    Closed,
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Machine {
    limits: MachineLimits,
    phase: SessionPhase,
    running: HashSet<String>,
}

impl Machine {
    /// The machine of a connection that was just opened.
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

    /// Handles an input. Appends the acts that follow from it, in order.
    pub fn handle(&mut self, input: Input<'_>, acts: &mut Vec<Act>) {
        if self.phase == SessionPhase::Closed {
            return;
        }
        match input {
            Input::Text(text) => match ClientMessage::decode(text) {
                Some(message) => self.message(message, acts),
                None => self.close(Close::InvalidMessage, acts),
            },
            // The protocol has text messages only.
            Input::Binary(_) => self.close(Close::InvalidMessage, acts),
            // The timeout is for the client. A slow check of its credentials is not its fault.
            Input::InitialisationTimeout if self.phase == SessionPhase::Open => {
                self.close(Close::InitialisationTimeout, acts)
            }
            Input::InitialisationTimeout => {}
            Input::Admitted => {
                // The phase changes before the message is sent, because the client may answer it at
                // once.
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
            // This protocol uses WebSocket pings instead.
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
                let may_renew = self.phase == SessionPhase::Ready && payload.is_some();
                let credentials = may_renew.then(|| payload.clone());
                // The pong is sent at once: it acknowledges the ping, not the credentials.
                acts.push(Act::Send(pong(payload)));
                acts.extend(credentials.map(Act::Refresh));
            }
            ClientMessage::Pong => {}
            ClientMessage::Subscribe { id, payload } => self.subscribe(id, payload, acts),
            ClientMessage::Complete { id } if id.is_empty() => {
                self.close(Close::InvalidMessage, acts)
            }
            ClientMessage::Complete { id } => {
                // An operation with an unknown id has ended already.
                if self.running.remove(&id) {
                    acts.push(Act::Stop { id });
                }
            }
        }
    }

    fn subscribe(&mut self, id: String, request: Result<Subscribe, String>, acts: &mut Vec<Act>) {
        if !self.limits.allow_id(&id) {
            return self.close(Close::InvalidMessage, acts);
        }
        if self.phase != SessionPhase::Ready {
            return self.close(Close::Unauthorized, acts);
        }
        if self.running.contains(&id) {
            return self.close(Close::SubscriberExists(id), acts);
        }
        // The content of one operation never ends the others.
        let request =
            request.map_err(|reason| graphql_error(&format!("{reason}."), BAD_USER_INPUT));
        let refusal = self.limits.too_many(self.running.len());
        match refusal.map_or(request, Err) {
            Ok(request) => {
                self.running.insert(id.clone());
                acts.push(Act::Start { id, request });
            }
            Err(refusal) => acts.push(Act::Send(error(&id, &json!([refusal]).to_string()))),
        }
    }

    fn close(&mut self, close: Close, acts: &mut Vec<Act>) {
        self.phase = SessionPhase::Closed;
        self.running = HashSet::new();
        acts.push(Act::Close(close));
    }
}
