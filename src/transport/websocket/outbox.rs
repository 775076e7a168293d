//! The messages that a WebSocket has yet to send.
//!
//! All messages that are ready are written before one flush, so that many results leave in one
//! system call (T2). The counted bytes bound the memory of a client that does not read: the
//! connection reads no further message while they exceed `unsent_bytes_max` (T1).

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures::Sink;
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};

use super::upgrade::Socket;
use crate::{protocol::Close, transport::operation::CountedMemory};

/// Messages that the queue keeps memory for after a burst.
const CAPACITY_KEPT: usize = 4;

/// About how many bytes a pong takes beside its payload.
const PONG_HEAD_BYTES: usize = 16;

/// Messages that were not sent yet, and bytes that were not flushed yet.
#[derive(Default)]
pub(super) struct Outbox {
    /// Messages that the socket has not taken yet.
    messages: VecDeque<Message>,
    message_bytes: usize,
    /// The socket holds bytes that were not flushed.
    unflushed: bool,
    /// Bytes of pongs that the library made and that were not flushed.
    pong_bytes: usize,
    /// The memory of large answers, until they were flushed. In a box, because few sockets have
    /// any.
    #[expect(clippy::box_collection, reason = "an idle socket stays small")]
    waiting: Option<Box<Vec<CountedMemory>>>,
}

/// The progress of one attempt to write.
pub(super) struct WriteProgress {
    /// At least one message was passed to the socket.
    pub(super) moved: bool,
    /// The client does not take the rest.
    pub(super) blocked: bool,
}

impl Outbox {
    /// Whether the socket has taken every message. Bytes may still have to be flushed.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether every message was sent and flushed.
    pub(super) fn is_flushed(&self) -> bool {
        self.messages.is_empty() && !self.unflushed
    }

    /// Bytes of messages and pongs that were not sent.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.message_bytes + self.pong_bytes
    }

    /// Keeps the memory of an answer counted until everything was flushed.
    pub(super) fn hold(&mut self, waiting: CountedMemory) {
        self.waiting.get_or_insert_default().push(waiting);
    }

    pub(super) fn push(&mut self, message: Message) {
        self.message_bytes += length(&message);
        self.messages.push_back(message);
    }

    /// Adds the result of a subscription. `prefix` is the text in front of each of its payloads.
    pub(super) fn push_result(&mut self, prefix: &str, payload: &str) {
        self.push(Message::Text([prefix, payload, "}"].concat().into()));
    }

    /// Counts the pong that the library has made for a ping. The library itself does not bound the
    /// pongs that a client does not read.
    pub(super) fn count_pong(&mut self, payload_bytes: usize) {
        self.pong_bytes += payload_bytes + PONG_HEAD_BYTES;
        self.unflushed = true;
    }

    /// Drops every message. Only the library's answer to the client's close is left to flush.
    pub(super) fn keep_only_close_reply(&mut self) {
        (self.messages, self.message_bytes) = (VecDeque::new(), 0);
        self.waiting = None;
        self.unflushed = true;
    }

    /// Passes messages to the socket while it has room for them, then flushes it.
    pub(super) fn poll_write(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Result<WriteProgress, tungstenite::Error> {
        let mut moved = false;
        let blocked = |moved| WriteProgress {
            moved,
            blocked: true,
        };
        while let Some(message) = self.messages.front() {
            if poll_room(socket, message, cx)?.is_pending() {
                return Ok(blocked(moved));
            }
            let message = self.messages.pop_front().expect("not empty");
            self.message_bytes -= length(&message);
            Pin::new(&mut *socket).start_send(message)?;
            (self.unflushed, moved) = (true, true);
        }
        if self.messages.capacity() > CAPACITY_KEPT {
            self.messages.shrink_to(CAPACITY_KEPT);
        }
        if self.unflushed {
            if Pin::new(socket).poll_flush(cx)?.is_pending() {
                return Ok(blocked(moved));
            }
            (self.unflushed, self.pong_bytes) = (false, 0);
            self.waiting = None;
        }
        Ok(WriteProgress {
            moved,
            blocked: false,
        })
    }
}

/// Ready when the socket can take this message. A close waits until everything before it was
/// flushed: the library sends a pong that it has ready after the message that it is given, and
/// nothing may follow a close (P2).
fn poll_room(
    socket: &mut Socket,
    message: &Message,
    cx: &mut Context<'_>,
) -> Result<Poll<()>, tungstenite::Error> {
    let mut socket = Pin::new(socket);
    let polled = match socket.as_mut().poll_ready(cx)? {
        Poll::Ready(()) if message.is_close() => socket.poll_flush(cx)?,
        polled => polled,
    };
    Ok(polled)
}

/// Bytes of a message's payload.
fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) | Message::Frame(_) => 0,
    }
}

/// The close frame with this code and reason.
pub(super) fn close_message(close: &Close) -> Message {
    Message::Close(Some(CloseFrame {
        code: close.code().into(),
        reason: close.reason().into(),
    }))
}
