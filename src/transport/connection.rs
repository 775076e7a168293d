//! One WebSocket: the task that reads it, writes it, runs its operations and watches its clock.
//!
//! The task is one loop around four things that may make progress: what waits to be sent, what the client says, the
//! operations, and the next deadline. It sleeps when none of them does.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::{FutureExt, Sink, Stream, StreamExt, future::BoxFuture};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    Shared,
    credentials::Credentials,
    operation::{self, Started},
    websocket::Seat,
};
use crate::{
    domain::Who,
    protocol::{Act, Close, Input, Machine, next_prefix},
    schema::{Answer, is_passing},
    view::{Frame, Reader},
};

/// How long a client may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is left of the room of an outbox after a burst, in messages.
const OUTBOX_KEPT: usize = 4;

/// An operation that a client runs under an id.
struct Operation {
    id: String,
    stage: Stage,
}

enum Stage {
    /// A query or a mutation until its result, a subscription until it reads.
    Starting(BoxFuture<'static, Started>),
    /// A subscription; with what stands in front of each of its frames.
    Reading { prefix: Box<str>, reader: Box<Reader> },
}

/// The connection is over; there is nothing more to say.
struct Over;

/// One WebSocket.
pub(super) struct Connection {
    socket: WebSocket,
    shared: Arc<Shared>,
    machine: Machine,
    operations: Vec<Operation>,
    /// Replies and frames that the socket has not taken yet.
    outbox: VecDeque<Message>,
    outbox_bytes: usize,
    /// The socket holds bytes that were not flushed.
    unflushed: bool,
    /// A close was put into the outbox.
    leaving: bool,
    credentials: Credentials,
    clock: Deadlines,
    _seat: Seat,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// The moments that this connection watches. One sleep serves all.
struct Deadlines {
    sleep: Pin<Box<Sleep>>,
    opened: Instant,
    heard: Instant,
    pinged: Option<Instant>,
    /// Since when the client takes nothing of what waits.
    stuck: Option<Instant>,
    /// When to leave because the server drains.
    drain: Option<Instant>,
    /// When the close was sent.
    left: Option<Instant>,
}

impl Connection {
    pub(super) fn new(socket: WebSocket, shared: Arc<Shared>, who: Result<Who, Close>, seat: Seat) -> Self {
        let now = Instant::now();
        let clock = Deadlines {
            sleep: Box::pin(tokio::time::sleep_until(now)),
            opened: now,
            heard: now,
            pinged: None,
            stuck: None,
            drain: None,
            left: None,
        };
        Self {
            socket,
            machine: Machine::new(shared.limits.machine),
            operations: Vec::new(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            unflushed: false,
            leaving: false,
            credentials: Credentials::new(who),
            clock,
            _seat: seat,
            drain: Box::pin(shared.drain.clone().cancelled_owned()),
            shared,
        }
    }

    /// Serves the socket until it is closed.
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        // Not an async function: that would hold the connection twice, once to be moved and once moved.
        std::future::poll_fn(move |cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(Over) => return Poll::Ready(()),
            }
        }
    }

    /// Lets everything move that can; false when nothing could.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let mut moved = self.poll_write(cx)?;
        if self.outbox_bytes <= self.shared.limits.unsent_bytes_max {
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
            match Pin::new(&mut self.socket).poll_ready(cx) {
                Poll::Pending => return Ok(self.note_stuck(moved)),
                Poll::Ready(result) => result.map_err(|_| Over)?,
            }
            let message = self.outbox.pop_front().expect("not empty");
            self.outbox_bytes -= length(&message);
            Pin::new(&mut self.socket).start_send(message).map_err(|_| Over)?;
            (self.unflushed, moved) = (true, true);
        }
        if self.outbox.capacity() > OUTBOX_KEPT {
            self.outbox.shrink_to(OUTBOX_KEPT);
        }
        if self.unflushed {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Pending => return Ok(self.note_stuck(moved)),
                Poll::Ready(result) => result.map_err(|_| Over)?,
            }
            self.unflushed = false;
        }
        self.clock.stuck = None;
        Ok(moved)
    }

    fn note_stuck(&mut self, moved: bool) -> bool {
        if moved || self.clock.stuck.is_none() {
            self.clock.stuck = Some(Instant::now());
        }
        moved
    }

    fn push(&mut self, message: Message) {
        self.outbox_bytes += length(&message);
        self.outbox.push_back(message);
    }

    // --- what the client says ---

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let message = match Pin::new(&mut self.socket).poll_next(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(None) => return Err(Over),
            Poll::Ready(Some(Ok(message))) => message,
            Poll::Ready(Some(Err(error))) => return self.unreadable(error),
        };
        self.clock.heard = Instant::now();
        self.clock.pinged = None;
        match message {
            Message::Text(text) => self.tell(Input::Text(&text)),
            Message::Binary(_) => self.tell(Input::Binary),
            // The library answers a ping and a close by itself; the stream ends when the close was answered.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
        Ok(true)
    }

    /// A message that is too long has a close code of its own; anything else is a broken connection.
    fn unreadable(&mut self, error: axum::Error) -> Result<bool, Over> {
        let error = error.into_inner();
        match error.downcast_ref::<tungstenite::Error>() {
            Some(tungstenite::Error::Capacity(_)) if !self.leaving => {
                self.tell(Input::Leave(Close::MessageTooBig));
                Ok(true)
            }
            _ => Err(Over),
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
                let who = self.credentials.who();
                let starting = operation::start(self.shared.clone(), request, who).boxed();
                self.operations.push(Operation { id, stage: Stage::Starting(starting) });
            }
            Act::Stop { id } => self.operations.retain(|operation| operation.id != id),
            Act::Close(close) => {
                self.operations = Vec::new();
                self.leaving = true;
                self.clock.left = Some(Instant::now());
                self.clock.wake_at(Instant::now());
                self.push(close_message(&close));
            }
        }
    }

    fn poll_credentials(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(input) = self.credentials.poll(cx, &self.shared) else { return false };
        if let Some(input) = input {
            self.tell(input);
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
            Stage::Reading { prefix, reader } => {
                let mut frames: Vec<Frame> = Vec::new();
                match reader.poll_take(cx, flush_bytes_max, &mut frames) {
                    Poll::Pending => false,
                    Poll::Ready(Ok(())) => {
                        for frame in frames {
                            let message = Message::Text([prefix, &*frame.payload, "}"].concat().into());
                            self.outbox_bytes += length(&message);
                            self.outbox.push_back(message);
                        }
                        true
                    }
                    Poll::Ready(Err(_)) => {
                        self.tell(Input::Leave(Close::TryAgainLater));
                        true
                    }
                }
            }
        }
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
                let prefix = next_prefix(&self.operations[at].id).into();
                self.operations[at].stage = Stage::Reading { prefix, reader };
                return;
            }
        };
        let Operation { id, .. } = self.operations.swap_remove(at);
        match *answer {
            Answer::Executed(response) => {
                let payload = serde_json::to_string(&response).expect("a response has a JSON form");
                self.tell(Input::Answered { id: &id, payload: &payload });
            }
            // An `error` would be final for the client (P5).
            Answer::Refused(errors) if errors.iter().any(is_passing) => self.tell(Input::Leave(Close::TryAgainLater)),
            Answer::Refused(errors) => self.tell(Input::Refused { id: &id, errors: &operation::errors_json(&errors) }),
        }
    }

    // --- the clock ---

    /// When the server drains, each connection leaves at a moment of its own within the window (R2).
    fn poll_drain(&mut self, cx: &mut Context<'_>) {
        if self.clock.drain.is_some() || self.drain.poll_unpin(cx).is_pending() {
            return;
        }
        // A few connections need no window: a millisecond for each is spread enough.
        let crowd = Duration::from_millis(self.shared.connections_open() as u64);
        let window = self.shared.limits.drain_window.min(crowd);
        let at = Instant::now() + window.mul_f64(rand::random());
        self.clock.drain = Some(at);
        self.clock.wake_at(at);
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        if self.clock.sleep.as_mut().poll(cx).is_pending() {
            // A client that just got stuck may be due before the next moment that was planned.
            let due = self.clock.stuck.map(|since| since + self.shared.limits.write_timeout);
            return match due {
                Some(due) if due < self.clock.sleep.deadline() => {
                    self.clock.wake_at(due);
                    Ok(true)
                }
                _ => Ok(false),
            };
        }
        let (now, limits) = (Instant::now(), self.shared.limits);
        if self.clock.left.is_some_and(|left| now >= left + CLOSE_TIMEOUT) {
            return Err(Over);
        }
        if self.clock.stuck.is_some_and(|since| now >= since + limits.write_timeout) {
            // No close frame would get through; the client sees the connection break and comes back.
            return Err(Over);
        }
        if self.clock.pinged.is_some_and(|pinged| now >= pinged + limits.pong_timeout) {
            return Err(Over);
        }
        if !self.machine.is_initialised() && now >= self.clock.opened + limits.init_timeout {
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
        let quiet = self.clock.pinged.is_none() && now >= self.clock.heard + limits.ping_interval;
        if quiet && !self.leaving && self.clock.stuck.is_none() {
            self.clock.pinged = Some(now);
            self.push(Message::Ping(Default::default()));
        }
        self.plan(now, time_left.filter(|left| !left.is_zero()));
        Ok(true)
    }

    /// Sets the sleep to the next moment at which something is due.
    fn plan(&mut self, now: Instant, time_left: Option<Duration>) {
        let (limits, clock) = (&self.shared.limits, &self.clock);
        let init = (!self.machine.is_initialised()).then(|| clock.opened + limits.init_timeout);
        let ping = match clock.pinged {
            Some(pinged) => pinged + limits.pong_timeout,
            None => clock.heard + limits.ping_interval,
        };
        let stuck = clock.stuck.map(|since| since + limits.write_timeout);
        let left = clock.left.map(|left| left + CLOSE_TIMEOUT);
        let drain = clock.drain.filter(|at| *at > now);
        // A ping that is held back because the client is stuck is not looked for again before a while.
        let ping = if ping <= now { now + limits.ping_interval } else { ping };
        let expiry = time_left.map(|left| now + left);
        let next =
            [init, Some(ping), stuck, left, drain, expiry].into_iter().flatten().min().expect("a ping is always due");
        self.clock.sleep.as_mut().reset(next);
    }
}

impl Deadlines {
    /// Looks at everything at this moment at the latest.
    fn wake_at(&mut self, at: Instant) {
        if at < self.sleep.deadline() {
            self.sleep.as_mut().reset(at);
        }
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

fn close_message(close: &Close) -> Message {
    Message::Close(Some(CloseFrame { code: close.code(), reason: close.reason().into() }))
}

/// Closes a socket that is not served at all.
pub(super) async fn leave(mut socket: WebSocket, close: &Close) {
    let farewell = async {
        socket.send(close_message(close)).await?;
        // Until the client has answered, so that the close is not lost with the connection.
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, axum::Error>(())
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
}
