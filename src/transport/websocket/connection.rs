//! One WebSocket: the task that reads it, writes it, runs its operations and watches its deadlines.
//!
//! The task is one loop over five things that can make progress: the outbox, incoming messages, the
//! credentials, the operations and the deadlines. It sleeps when none of them can.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, Stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_tungstenite::tungstenite::{self, Message, error::ProtocolError};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    credentials::Credentials,
    deadlines::Deadlines,
    outbox::{Outbox, close_message},
    upgrade::Socket,
};
use crate::{
    domain::Caller,
    protocol::{Act, Close, Dialect, Input, Subprotocol},
    quota::Allowance,
    transport::{
        Shared,
        admission::slots::ConnectionSlot,
        operation::{Emitted, OperationEnd, Running, errors_json},
        start::{self, CallOrigin},
    },
};

/// Turns that a connection takes before it lets other tasks run. It reads at most one message in
/// each.
const TURNS_MAX: usize = 16;

/// Unsent bytes from which on no other operation adds any.
const OUTBOX_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that are read and discarded at a time.
const DISCARD_BYTES: usize = 4 * 1024;

/// An operation that a client runs under an id.
struct SocketOperation {
    id: String,
    /// The text in front of each result. Made for the first result: queries and
    /// mutations never need it.
    prefix: Option<Box<str>>,
    running: Running,
}

/// The phase of a connection: it decides which messages are read and sent.
enum SocketPhase {
    /// It reads messages and runs operations.
    Serving,
    /// The server sent a close, or has queued it, and reads on until the client answers it.
    Closing,
    /// The server sent a close, or has queued it, and discards everything that the client still
    /// sends: its frames cannot be read, or it sends too many.
    ///
    /// The bytes are read because a connection that ends with unread bytes is reset, and then the
    /// client would not see the close.
    Discarding {
        /// Bytes discarded so far.
        bytes: usize,
        /// The write side of the connection was shut down.
        is_shut_down: bool,
    },
    /// The client sent a close. The connection ends when the answer to it was flushed.
    Answering,
    /// The client has ended its side without a close. The connection ends when the queries and
    /// mutations that run are answered.
    HalfClosed,
}

impl SocketPhase {
    fn is_serving(&self) -> bool {
        matches!(self, Self::Serving)
    }

    fn runs_operations(&self) -> bool {
        matches!(self, Self::Serving | Self::HalfClosed)
    }
}

/// The connection has ended, and nothing more can be sent.
struct ConnectionClosed;

/// One WebSocket.
pub(super) struct Connection {
    socket: Socket,
    shared: Arc<Shared>,
    machine: Dialect,
    phase: SocketPhase,
    operations: Vec<SocketOperation>,
    outbox: Outbox,
    credentials: Credentials,
    deadlines: Deadlines,
    /// How many messages the client may still send.
    message_allowance: Allowance,
    slot: ConnectionSlot,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
}

// With the header of its task, a connection then takes 1 KiB, and not the next size of the
// allocator.
const _: () = assert!(size_of::<Connection>() <= 912);

impl Connection {
    /// A connection that was just upgraded. `offered` is the caller by the upgrade request's own
    /// credentials, or the close that refuses them.
    pub(super) fn new(
        socket: Socket,
        subprotocol: Subprotocol,
        shared: Arc<Shared>,
        offered: Result<Caller, Close>,
        slot: ConnectionSlot,
    ) -> Self {
        Self {
            socket,
            machine: Dialect::new(subprotocol, shared.limits.machine),
            phase: SocketPhase::Serving,
            operations: Vec::new(),
            outbox: Outbox::default(),
            credentials: Credentials::new(offered, slot.address()),
            deadlines: Deadlines::new(),
            message_allowance: Allowance::default(),
            slot,
            drain: Box::pin(shared.drain.clone().cancelled_owned()),
            shared,
        }
    }

    /// Serves the socket until it is closed.
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        // Not an async function: its future would reserve memory for the connection twice.
        std::future::poll_fn(move |cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS_MAX {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(ConnectionClosed) => return Poll::Ready(()),
            }
        }
        // Other tasks run first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets every part make progress once. False if none could.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionClosed> {
        let mut moved = self.poll_write(cx)?;
        moved |= self.poll_incoming(cx)?;
        moved |= self.poll_credentials(cx);
        if self.outbox.is_empty() && self.phase.runs_operations() {
            moved |= self.poll_operations(cx);
        }
        self.poll_drain(cx);
        moved |= self.poll_deadlines(cx)?;
        Ok(moved)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionClosed> {
        let written = self.outbox.poll_write(&mut self.socket, cx);
        let progress = written.map_err(|_| ConnectionClosed)?;
        if progress.blocked {
            self.deadlines.write_blocked(progress.moved);
        } else {
            self.deadlines.write_unblocked();
        }
        Ok(progress.moved)
    }

    // --- incoming messages ---

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionClosed> {
        match self.phase {
            SocketPhase::Answering if self.outbox.is_flushed() => Err(ConnectionClosed),
            // Reading now would make the library drop the answer that it has not written.
            SocketPhase::Answering => Ok(false),
            SocketPhase::HalfClosed => self.poll_half_closed(),
            SocketPhase::Discarding { .. } => self.poll_discard(cx),
            SocketPhase::Serving | SocketPhase::Closing => {
                if self.outbox.unsent_bytes() <= self.shared.limits.unsent_bytes_max {
                    self.poll_read(cx)
                } else {
                    Ok(false)
                }
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionClosed> {
        let polled = Pin::new(&mut self.socket).poll_next(cx);
        let fragments = self.socket.get_mut().take_fragments();
        let is_close = matches!(&polled, Poll::Ready(Some(Ok(Message::Close(_)))));
        let is_limited = !is_close && self.phase.is_serving();
        if is_limited && !self.take_messages(fragments, Instant::now()) {
            self.close_unread(Close::TooManyMessages);
            return Ok(true);
        }
        let message = match polled {
            Poll::Pending if self.socket.get_ref().has_ended() => return self.client_ended(),
            Poll::Pending => {
                self.watch_message(Instant::now());
                return Ok(false);
            }
            Poll::Ready(None) => return Err(ConnectionClosed),
            Poll::Ready(Some(Ok(message))) => message,
            Poll::Ready(Some(Err(error))) => return self.unreadable(&error),
        };
        let now = Instant::now();
        self.deadlines.message_received(now);
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            // A control frame may come in the middle of a message; this one is complete.
            self.deadlines.message_completed();
        }
        self.watch_message(now);
        if !self.take_messages(1, now) && is_limited {
            self.close_unread(Close::TooManyMessages);
            return Ok(true);
        }
        match message {
            Message::Text(text) => self.handle(Input::Text(&text)),
            Message::Binary(bytes) => self.handle(Input::Binary(&bytes)),
            // The library answers it.
            Message::Ping(payload) => self.outbox.count_pong(payload.len()),
            Message::Close(_) => self.client_closed(),
            Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(true)
    }

    /// Limits the time that one message may take, like that of a request's body.
    fn watch_message(&mut self, now: Instant) {
        let is_partial = self.socket.get_ref().is_in_message();
        let timeout = self.shared.limits.body_timeout;
        self.deadlines.message_is_partial(is_partial, now, timeout);
    }

    /// Whether the rate limits allow the client this many more frames.
    fn take_messages(&mut self, frames: usize, now: Instant) -> bool {
        let (rate, now) = (self.shared.limits.messages(), now.into_std());
        // Charged to the address too: a client can open many connections.
        let address = self.slot.address();
        (0..frames).all(|_| {
            self.message_allowance.take(rate, now).is_ok()
                && self.shared.admission.take_request(address, now).is_ok()
        })
    }

    /// The client has ended its side of the connection, without a close.
    fn client_ended(&mut self) -> Result<bool, ConnectionClosed> {
        if !self.phase.is_serving() {
            return Err(ConnectionClosed);
        }
        self.phase = SocketPhase::HalfClosed;
        self.deadlines.close_sent();
        Ok(true)
    }

    /// Drops the subscriptions of a client that has ended its side, and ends the connection when
    /// everything else is answered. The deadline of a close limits the wait.
    fn poll_half_closed(&mut self) -> Result<bool, ConnectionClosed> {
        self.operations
            .retain(|operation| !operation.running.is_subscription());
        if self.operations.is_empty() && self.outbox.is_flushed() {
            Err(ConnectionClosed)
        } else {
            Ok(false)
        }
    }

    /// The client sent a close. The library has its answer ready and accepts no other message, so
    /// everything that waits is dropped. The connection ends when the answer was flushed.
    fn client_closed(&mut self) {
        self.operations = Vec::new();
        self.outbox.keep_only_close_reply();
        self.phase = SocketPhase::Answering;
        self.deadlines.close_sent();
    }

    /// Closes a connection whose frames break the protocol or a limit. After any other error the
    /// connection is broken, and no close can be sent.
    fn unreadable(&mut self, error: &tungstenite::Error) -> Result<bool, ConnectionClosed> {
        let close = match error {
            tungstenite::Error::Capacity(_) => Close::MessageTooBig,
            tungstenite::Error::Utf8(_) => Close::InvalidText,
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                return Err(ConnectionClosed);
            }
            tungstenite::Error::Protocol(_) => Close::ProtocolError,
            _ => return Err(ConnectionClosed),
        };
        self.close_unread(close);
        Ok(true)
    }

    /// Closes, and discards everything that the client still sends.
    fn close_unread(&mut self, close: Close) {
        if self.phase.is_serving() {
            self.handle(Input::Leave(close));
        }
        self.phase = SocketPhase::Discarding {
            bytes: 0,
            is_shut_down: false,
        };
    }

    /// Discards all further bytes of the client, until it ends its side or sends too much. The
    /// close has its own deadline.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionClosed> {
        let SocketPhase::Discarding {
            bytes,
            is_shut_down,
        } = &mut self.phase
        else {
            return Ok(false);
        };
        let stream = self.socket.get_mut();
        if self.outbox.is_flushed()
            && !*is_shut_down
            && let Poll::Ready(result) = Pin::new(&mut *stream).poll_shutdown(cx)
        {
            result.map_err(|_| ConnectionClosed)?;
            *is_shut_down = true;
        }
        let mut buffer = [0; DISCARD_BYTES];
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Pending if stream.has_ended() => Err(ConnectionClosed),
            Poll::Pending => Ok(false),
            Poll::Ready(Err(_)) => Err(ConnectionClosed),
            Poll::Ready(Ok(())) => {
                *bytes += buffer.filled().len();
                let bytes_max = self.shared.limits.linger_bytes_max;
                if bytes_max != 0 && *bytes > bytes_max {
                    Err(ConnectionClosed)
                } else {
                    Ok(true)
                }
            }
        }
    }

    // --- the protocol ---

    /// Passes an input to the protocol's state machine and carries out its acts.
    fn handle(&mut self, input: Input<'_>) {
        // Nothing can be sent after the answer to the client's close.
        if matches!(self.phase, SocketPhase::Answering) {
            return;
        }
        let mut acts = Vec::new();
        self.machine.handle(input, &mut acts);
        acts.into_iter().for_each(|act| self.act(act));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(text) => self.outbox.push(Message::Text(text.into())),
            Act::Admit(payload) => self.credentials.admit(&self.shared, &payload),
            Act::Refresh(payload) => self.credentials.refresh(&self.shared, &payload),
            Act::Start { id, request } => {
                let origin = CallOrigin {
                    caller: self.credentials.caller(),
                    address: self.slot.address(),
                };
                self.operations.push(SocketOperation {
                    id,
                    prefix: None,
                    running: start::on_socket(self.shared.clone(), request, origin),
                });
            }
            Act::Stop { id } => self.operations.retain(|operation| operation.id != id),
            Act::Close(close) => {
                self.operations = Vec::new();
                self.phase = SocketPhase::Closing;
                self.deadlines.close_sent();
                self.outbox.push(close_message(&close));
            }
        }
    }

    fn poll_credentials(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(input) = self.credentials.poll(cx, &self.shared) else {
            return false;
        };
        if let Some(input) = input {
            let is_admitted = matches!(input, Input::Admitted);
            if is_admitted && let Err(error) = self.slot.assign(self.credentials.caller()) {
                self.handle(Input::Leave(error.close()));
                return true;
            }
            self.handle(input);
            if is_admitted && self.machine.has_heartbeat() {
                self.send_heartbeat(Instant::now());
            }
        }
        self.watch_expiry();
        true
    }

    /// Wakes the connection when the token expires, or earlier to check the clock again.
    fn watch_expiry(&mut self) {
        if let Some(left) = self.credentials.time_left((self.shared.clock)()) {
            self.deadlines.wake_at(Instant::now() + left);
        }
    }

    /// Sends a heartbeat, and schedules the next one.
    fn send_heartbeat(&mut self, now: Instant) {
        let interval = self.shared.limits.heartbeat_interval;
        if interval.is_zero() {
            return;
        }
        self.handle(Input::Heartbeat);
        let next = now + interval;
        self.deadlines.heartbeat = Some(next);
        self.deadlines.wake_at(next);
    }

    // --- the operations ---

    /// Polls each operation once (T2). Large answers go out one after the other: the operations
    /// after one that filled the outbox come first in the next turn.
    fn poll_operations(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut moved, mut at) = (false, 0);
        while at < self.operations.len() && self.outbox.unsent_bytes() < OUTBOX_BYTES_MAX {
            let before = self.operations.len();
            moved |= self.poll_operation(at, cx);
            // If the operation has ended, the next one has moved to its index.
            at += usize::from(self.operations.len() == before);
        }
        if at < self.operations.len() {
            self.operations.rotate_left(at);
        }
        moved
    }

    /// Queues the results of an operation, and passes anything else that it emits to the machine.
    fn poll_operation(&mut self, at: usize, cx: &mut Context<'_>) -> bool {
        let SocketOperation {
            id,
            prefix,
            running,
        } = &mut self.operations[at];
        let (machine, outbox) = (&self.machine, &mut self.outbox);
        let (mut live_at, mut ended) = (None, None);
        let polled =
            running.poll_take(
                cx,
                self.shared.limits.flush_bytes_max,
                |emitted| match emitted {
                    Emitted::Event(result) => {
                        let prefix = prefix.get_or_insert_with(|| machine.result_prefix(id).into());
                        outbox.push_result(prefix, result.payload());
                    }
                    Emitted::Live(cursor) => live_at = Some(cursor),
                    Emitted::End(end) => ended = Some(end),
                },
            );
        if let Some(cursor) = live_at {
            let (id, cursor) = (std::mem::take(id), cursor.to_string());
            self.handle(Input::Live {
                id: &id,
                cursor: &cursor,
            });
            self.operations[at].id = id;
        }
        if let Some(end) = ended {
            self.end_operation(at, end);
        }
        polled.is_ready()
    }

    fn end_operation(&mut self, at: usize, end: OperationEnd) {
        match end {
            OperationEnd::Answer {
                payload,
                renewed,
                waiting,
            } => {
                if let Some(waiting) = waiting {
                    self.outbox.hold(waiting);
                }
                if let Some(viewer) = renewed {
                    if let Some(input) = self.credentials.renew(&self.shared, viewer) {
                        return self.handle(input);
                    }
                    self.watch_expiry();
                }
                let SocketOperation { id, .. } = self.operations.remove(at);
                self.handle(Input::Answered {
                    id: &id,
                    payload: &payload,
                });
            }
            OperationEnd::Refused(errors) => {
                let SocketOperation { id, .. } = self.operations.remove(at);
                self.handle(Input::Refused {
                    id: &id,
                    errors: &errors_json(&errors),
                });
            }
            // To the client, an `error` would be final (P5).
            OperationEnd::Later => self.handle(Input::Leave(Close::TryAgainLater)),
        }
    }

    // --- the deadlines ---

    /// When the server drains, each connection closes at its own moment within the window (R2).
    fn poll_drain(&mut self, cx: &mut Context<'_>) {
        if self.deadlines.rare().drain.is_some() || self.drain.poll_unpin(cx).is_pending() {
            return;
        }
        let at = Instant::now() + self.shared.drain_delay(rand::random());
        self.deadlines.drains_at(at);
    }

    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionClosed> {
        if self
            .deadlines
            .poll_due(&self.shared.limits, cx)
            .is_pending()
        {
            return Ok(false);
        }
        let (now, limits) = (Instant::now(), self.shared.limits);
        if self.deadlines.client_is_dead(now, &limits) {
            return Err(ConnectionClosed);
        }
        if !self.machine.is_initialised() && self.deadlines.init_is_late(now, &limits) {
            self.handle(Input::InitialisationTimeout);
        }
        let time_left = self.credentials.time_left((self.shared.clock)());
        if time_left.is_some_and(|left| left.is_zero()) {
            let input = self.credentials.end();
            self.handle(input);
        }
        if self.deadlines.rare().drain.is_some_and(|at| now >= at) {
            self.handle(Input::Leave(Close::ServiceRestart));
        }
        if self.phase.is_serving() && !self.deadlines.is_write_blocked() {
            if self.deadlines.ping_is_due(now, &limits) {
                self.deadlines.ping_sent(now);
                self.outbox.push(Message::Ping(Default::default()));
            }
            if self.deadlines.heartbeat.is_some_and(|at| now >= at) {
                self.send_heartbeat(now);
            }
        }
        let time_left = time_left.filter(|left| !left.is_zero());
        self.deadlines
            .schedule(now, &limits, self.machine.is_initialised(), time_left);
        Ok(true)
    }
}
