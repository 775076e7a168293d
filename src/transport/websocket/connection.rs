//! One WebSocket: the task that reads it, writes it, runs its operations and watches its clock.
//!
//! The task is one loop around four things that may make progress: what waits to be sent, what the client says, the
//! operations, and the next deadline. It sleeps when none of them does.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_tungstenite::tungstenite::{self, Message, error::ProtocolError, protocol::CloseFrame};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    domain::Caller,
    protocol::{Act, Close, Dialect, Input, Subprotocol},
    quota::Allowance,
    schema::{Answer, is_temporary, shut_out},
    transport::{
        Shared,
        admission::slots::ConnectionSlot,
        operation::{self, CallOrigin, Started},
        websocket::{
            credentials::Credentials,
            deadlines::{CLOSE_TIMEOUT, Deadlines},
            upgrade::Socket,
        },
    },
    view::{Frame, ReadError, Reader},
};

/// So often a connection moves before the others have their turn. In each it reads one message at most.
const TURNS_MAX: usize = 16;

/// What is left of the room of an outbox after a burst, in messages.
const OUTBOX_KEPT: usize = 4;

/// Bytes that are thrown away at once.
const DISCARD_BYTES: usize = 4 * 1024;

/// About what a pong takes beside its payload.
const PONG_HEAD_BYTES: usize = 16;

/// An operation that a client runs under an id.
struct Operation {
    id: String,
    stage: Stage,
}

enum Stage {
    /// A query or a mutation until its result, a subscription until it reads.
    Starting(BoxFuture<'static, Started>),
    /// A subscription; with what stands in front of each of its frames, and whether its client knows that it is live.
    Reading {
        prefix: Box<str>,
        reader: Box<Reader>,
        announced: bool,
    },
}

/// What the client still sends although its frames cannot be read any more. A connection that ends with unread bytes is
/// reset, and the client would not see the close.
struct Discard {
    bytes: usize,
    /// The end of what is sent here was told to the client.
    finished: bool,
}

/// The connection is over; there is nothing more to say.
struct Over;

/// One WebSocket.
pub(crate) struct Connection {
    socket: Socket,
    shared: Arc<Shared>,
    machine: Dialect,
    operations: Vec<Operation>,
    /// Replies and frames that the socket has not taken yet.
    outbox: VecDeque<Message>,
    outbox_bytes: usize,
    /// The socket holds bytes that were not flushed.
    unflushed: bool,
    /// Bytes of pongs that the library has made and that were not flushed.
    pong_bytes: usize,
    /// A close was put into the outbox, or came from the client.
    leaving: bool,
    /// The answer to the client's close is the last that is written.
    answering: bool,
    /// The client's frames cannot be read any more.
    discard: Option<Discard>,
    credentials: Credentials,
    clock: Deadlines,
    /// How much the client may still say.
    pace: Allowance,
    seat: ConnectionSlot,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    pub(crate) fn new(
        socket: Socket,
        subprotocol: Subprotocol,
        shared: Arc<Shared>,
        caller: Result<Caller, Close>,
        seat: ConnectionSlot,
    ) -> Self {
        Self {
            socket,
            machine: Dialect::new(subprotocol, shared.limits.machine),
            operations: Vec::new(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            unflushed: false,
            pong_bytes: 0,
            leaving: false,
            answering: false,
            discard: None,
            credentials: Credentials::new(caller),
            clock: Deadlines::new(),
            pace: Allowance::default(),
            seat,
            drain: Box::pin(shared.drain.clone().cancelled_owned()),
            shared,
        }
    }

    /// Serves the socket until it is closed.
    pub(crate) fn run(mut self) -> impl Future<Output = ()> + Send {
        // Not an async function: that would hold the connection twice, once to be moved and once moved.
        std::future::poll_fn(move |cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS_MAX {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(Over) => return Poll::Ready(()),
            }
        }
        // The others first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets everything move that can; false when nothing could.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let mut moved = self.poll_write(cx)?;
        if self.answering {
            // Asked to read now, the library would forget what it has not written.
            if !self.unflushed {
                return Err(Over);
            }
        } else if self.discard.is_some() {
            moved |= self.poll_discard(cx)?;
        } else if self.outbox_bytes + self.pong_bytes <= self.shared.limits.unsent_bytes_max {
            moved |= self.poll_read(cx)?;
        }
        moved |= self.poll_credentials(cx);
        if self.outbox.is_empty() && !self.leaving {
            moved |= self.poll_operations(cx);
        }
        self.poll_drain(cx);
        moved |= self.poll_clock(cx)?;
        Ok(moved)
    }

    // --- what waits to be sent ---

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let mut moved = false;
        while !self.outbox.is_empty() {
            match self.poll_room(cx) {
                Poll::Pending => {
                    self.clock.get_stuck(moved);
                    return Ok(moved);
                }
                Poll::Ready(result) => result.map_err(|_| Over)?,
            }
            let message = self.outbox.pop_front().expect("not empty");
            self.outbox_bytes -= length(&message);
            Pin::new(&mut self.socket)
                .start_send(message)
                .map_err(|_| Over)?;
            (self.unflushed, moved) = (true, true);
        }
        if self.outbox.capacity() > OUTBOX_KEPT {
            self.outbox.shrink_to(OUTBOX_KEPT);
        }
        if self.unflushed {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Pending => {
                    self.clock.get_stuck(moved);
                    return Ok(moved);
                }
                Poll::Ready(result) => result.map_err(|_| Over)?,
            }
            (self.unflushed, self.pong_bytes) = (false, 0);
        }
        self.clock.get_loose();
        Ok(moved)
    }

    /// Until there is room for the next message. The library puts a pong that it has ready behind what it is given, and nothing
    /// may stand behind a close (P2): that one waits until all else has left.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        let mut socket = Pin::new(&mut self.socket);
        match socket.as_mut().poll_ready(cx) {
            Poll::Ready(Ok(())) if self.outbox.front().is_some_and(Message::is_close) => {
                socket.poll_flush(cx)
            }
            polled => polled,
        }
    }

    fn push(&mut self, message: Message) {
        self.outbox_bytes += length(&message);
        self.outbox.push_back(message);
    }

    // --- what the client says ---

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let polled = Pin::new(&mut self.socket).poll_next(cx);
        let fragments = self.socket.get_mut().take_fragments();
        let closes = matches!(&polled, Poll::Ready(Some(Ok(Message::Close(_)))));
        if !closes && !self.leaving && !self.may_say(fragments, Instant::now()) {
            self.leave_unread(Close::TooManyMessages);
            return Ok(true);
        }
        let message = match polled {
            Poll::Pending => return Ok(false),
            Poll::Ready(None) => return Err(Over),
            Poll::Ready(Some(Ok(message))) => message,
            Poll::Ready(Some(Err(error))) => return self.unreadable(&error),
        };
        let now = Instant::now();
        self.clock.hear(now);
        if !self.may_say(1, now) && !self.leaving && !message.is_close() {
            self.leave_unread(Close::TooManyMessages);
            return Ok(true);
        }
        match message {
            Message::Text(text) => self.tell(Input::Text(&text)),
            Message::Binary(_) => self.tell(Input::Binary),
            // The library answers by itself, but it has no bound on answers that nobody reads.
            Message::Ping(payload) => {
                self.pong_bytes += payload.len() + PONG_HEAD_BYTES;
                self.unflushed = true;
            }
            Message::Close(_) => self.left(),
            Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(true)
    }

    /// Takes so many frames of what the client may say.
    fn may_say(&mut self, frames: usize, now: Instant) -> bool {
        let (rate, now) = (self.shared.limits.messages(), now.into_std());
        // What one connection may say would be multiplied by how many an address has.
        let address = self.seat.address();
        (0..frames).all(|_| {
            self.pace.take(rate, now).is_ok() && self.shared.admission.ask(address, now).is_ok()
        })
    }

    /// The client closes. The library has its answer ready and takes nothing else any more: what waits is thrown away,
    /// nothing new is made, and the connection ends when the answer has left.
    fn left(&mut self) {
        (self.operations, self.discard) = (Vec::new(), None);
        (self.outbox, self.outbox_bytes) = (VecDeque::new(), 0);
        (self.leaving, self.answering, self.unflushed) = (true, true, true);
        self.clock.leave();
    }

    /// Frames that break the rules or a bound are told so by a close; anything else is a broken connection.
    fn unreadable(&mut self, error: &tungstenite::Error) -> Result<bool, Over> {
        let close = match error {
            tungstenite::Error::Capacity(_) => Close::MessageTooBig,
            tungstenite::Error::Utf8(_) => Close::InvalidText,
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                return Err(Over);
            }
            tungstenite::Error::Protocol(_) => Close::ProtocolError,
            _ => return Err(Over),
        };
        self.leave_unread(close);
        Ok(true)
    }

    /// Closes, and looks at nothing that the client still sends.
    fn leave_unread(&mut self, close: Close) {
        if !self.leaving {
            self.tell(Input::Leave(close));
        }
        self.discard = Some(Discard {
            bytes: 0,
            finished: false,
        });
    }

    /// Throws away what the client still sends, until it has ended its side or sent too much. The close has its time.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let all_sent = self.outbox.is_empty() && !self.unflushed;
        let Some(discard) = &mut self.discard else {
            return Ok(false);
        };
        let stream = self.socket.get_mut();
        if all_sent && !discard.finished {
            match Pin::new(&mut *stream).poll_shutdown(cx) {
                Poll::Pending => {}
                Poll::Ready(result) => {
                    result.map_err(|_| Over)?;
                    discard.finished = true;
                }
            }
        }
        let mut bytes = [0; DISCARD_BYTES];
        let mut bytes = ReadBuf::new(&mut bytes);
        match Pin::new(stream).poll_read(cx, &mut bytes) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(_)) => Err(Over),
            Poll::Ready(Ok(())) => {
                discard.bytes += bytes.filled().len();
                let most = self.shared.limits.linger_bytes_max;
                if bytes.filled().is_empty() || (most != 0 && discard.bytes > most) {
                    Err(Over)
                } else {
                    Ok(true)
                }
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut acts = Vec::new();
        self.machine.handle(input, &mut acts);
        acts.into_iter().for_each(|act| self.act(act));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(text) => self.push(Message::Text(text.into())),
            Act::Admit(payload) => self.credentials.admit(&self.shared, &payload),
            Act::Refresh(payload) => self.credentials.refresh(&self.shared, &payload),
            Act::Start { id, request } => {
                let origin = CallOrigin {
                    caller: self.credentials.caller(),
                    address: self.seat.address(),
                };
                let starting = operation::start(self.shared.clone(), request, origin).boxed();
                self.operations.push(Operation {
                    id,
                    stage: Stage::Starting(starting),
                });
            }
            Act::Stop { id } => self.operations.retain(|operation| operation.id != id),
            Act::Close(close) => {
                self.operations = Vec::new();
                self.leaving = true;
                self.clock.leave();
                self.push(close_message(&close));
            }
        }
    }

    fn poll_credentials(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(input) = self.credentials.poll(cx, &self.shared) else {
            return false;
        };
        if let Some(input) = input {
            let admitted = matches!(input, Input::Admitted);
            if admitted && let Err(full) = self.seat.belongs_to(self.credentials.caller()) {
                self.tell(Input::Leave(full.close()));
                return true;
            }
            self.tell(input);
            if admitted && self.machine.has_heartbeat() {
                self.beat(Instant::now());
            }
        }
        self.watch_expiry();
        true
    }

    /// Looks at the clock when the token expires, or a while before.
    fn watch_expiry(&mut self) {
        if let Some(left) = self.credentials.time_left((self.shared.clock)()) {
            self.clock.wake_at(Instant::now() + left);
        }
    }

    /// Tells the client that the server lives, and sets the time to tell it again.
    fn beat(&mut self, now: Instant) {
        let interval = self.shared.limits.heartbeat_interval;
        if interval.is_zero() {
            return;
        }
        self.tell(Input::Heartbeat);
        let next = now + interval;
        self.clock.heartbeat = Some(next);
        self.clock.wake_at(next);
    }

    // --- the operations ---

    /// Each operation has its turn (T2).
    fn poll_operations(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut moved, mut at) = (false, 0);
        while at < self.operations.len() {
            let before = self.operations.len();
            moved |= self.poll_operation(at, cx);
            // One that ended has left its place to another.
            at += usize::from(self.operations.len() == before);
        }
        moved
    }

    fn poll_operation(&mut self, at: usize, cx: &mut Context<'_>) -> bool {
        let flush_bytes_max = self.shared.limits.flush_bytes_max;
        match &mut self.operations[at].stage {
            Stage::Starting(starting) => match starting.poll_unpin(cx) {
                Poll::Pending => false,
                Poll::Ready(started) => {
                    self.started(at, started);
                    true
                }
            },
            Stage::Reading {
                prefix,
                reader,
                announced,
            } => {
                let mut frames: Vec<Frame> = Vec::new();
                match reader.poll_take(cx, flush_bytes_max, &mut frames) {
                    Poll::Pending if *announced => false,
                    Poll::Pending => match reader.live_at() {
                        None => false,
                        Some(cursor) => {
                            *announced = true;
                            self.live(at, &cursor.to_string())
                        }
                    },
                    Poll::Ready(Ok(())) => {
                        for frame in frames {
                            let message =
                                Message::Text([prefix, &*frame.payload, "}"].concat().into());
                            self.outbox_bytes += length(&message);
                            self.outbox.push_back(message);
                        }
                        true
                    }
                    Poll::Ready(Err(ReadError::Unavailable)) => {
                        self.tell(Input::Leave(Close::TryAgainLater));
                        true
                    }
                    Poll::Ready(Err(ReadError::ShutOut)) => {
                        let Operation { id, .. } = self.operations.remove(at);
                        let errors = operation::errors_json(&[shut_out()]);
                        self.tell(Input::Refused {
                            id: &id,
                            errors: &errors,
                        });
                        true
                    }
                }
            }
        }
    }

    /// Says that a subscription is live: the client has all that there was, and hears what comes as it comes.
    fn live(&mut self, at: usize, cursor: &str) -> bool {
        let id = std::mem::take(&mut self.operations[at].id);
        self.tell(Input::Live { id: &id, cursor });
        self.operations[at].id = id;
        !self.outbox.is_empty()
    }

    fn started(&mut self, at: usize, started: Started) {
        let answer = match started {
            Started::Answer(answer) => answer,
            Started::Renewed(viewer, answer) => {
                if let Some(input) = self.credentials.renew(&self.shared, viewer) {
                    return self.tell(input);
                }
                self.watch_expiry();
                answer
            }
            Started::Reader(reader) => {
                let prefix = self.machine.result_prefix(&self.operations[at].id).into();
                self.operations[at].stage = Stage::Reading {
                    prefix,
                    reader,
                    announced: false,
                };
                return;
            }
        };
        let Operation { id, .. } = self.operations.remove(at);
        match *answer {
            Answer::Executed(response) => {
                let payload = serde_json::to_string(&response).expect("a response has a JSON form");
                self.tell(Input::Answered {
                    id: &id,
                    payload: &payload,
                });
            }
            // An `error` would be final for the client (P5).
            Answer::Refused(errors) if errors.iter().any(is_temporary) => {
                self.tell(Input::Leave(Close::TryAgainLater))
            }
            Answer::Refused(errors) => self.tell(Input::Refused {
                id: &id,
                errors: &operation::errors_json(&errors),
            }),
        }
    }

    // --- the clock ---

    /// When the server drains, each connection leaves at a moment of its own within the window (R2).
    fn poll_drain(&mut self, cx: &mut Context<'_>) {
        if self.clock.drain.is_some() || self.drain.poll_unpin(cx).is_pending() {
            return;
        }
        let at = Instant::now() + self.shared.drain_delay(rand::random());
        self.clock.drain = Some(at);
        self.clock.wake_at(at);
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        if self.clock.poll_due(&self.shared.limits, cx).is_pending() {
            return Ok(false);
        }
        let (now, limits) = (Instant::now(), self.shared.limits);
        if self.clock.are_missed(now, &limits) {
            return Err(Over);
        }
        if !self.machine.is_initialised() && self.clock.is_late(now, &limits) {
            self.tell(Input::InitialisationTimeout);
        }
        let time_left = self.credentials.time_left((self.shared.clock)());
        if time_left.is_some_and(|left| left.is_zero()) {
            let input = self.credentials.end();
            self.tell(input);
        }
        if self.clock.drain.is_some_and(|at| now >= at) {
            self.tell(Input::Leave(Close::ServiceRestart));
        }
        if !self.leaving && !self.clock.is_stuck() {
            if self.clock.is_quiet(now, &limits) {
                self.clock.ping(now);
                self.push(Message::Ping(Default::default()));
            }
            if self.clock.heartbeat.is_some_and(|at| now >= at) {
                self.beat(now);
            }
        }
        let time_left = time_left.filter(|left| !left.is_zero());
        self.clock
            .plan(now, &limits, self.machine.is_initialised(), time_left);
        Ok(true)
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) | Message::Frame(_) => 0,
    }
}

fn close_message(close: &Close) -> Message {
    Message::Close(Some(CloseFrame {
        code: close.code().into(),
        reason: close.reason().into(),
    }))
}

/// Closes a socket that is not served at all.
pub(crate) async fn leave(mut socket: Socket, close: &Close) {
    let farewell = async {
        socket.send(close_message(close)).await?;
        // Until the client has answered, so that the close is not lost with the connection.
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, tungstenite::Error>(())
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
}
