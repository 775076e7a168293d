//! Answers that go on: what one operation yields, framed byte by byte as a transport wants it.
//!
//! The server polls a body only when the connection takes more, and a connection buffers a bounded number of portions. So
//! a slow reader lags in the log.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::{FutureExt, Stream, future::BoxFuture};
use tokio::time::{Interval, MissedTickBehavior};

use crate::transport::{
    Shared,
    admission::slots::ConnectionSlot,
    operation::{Emitted, Running},
};

/// Signs of life at fixed times.
struct Beats(Option<Interval>);

impl Beats {
    /// The first after one interval. Zero is none at all.
    fn every(interval: Duration) -> Self {
        let beats = || {
            let mut beats =
                tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
            // A client that took nothing for a while needs one, not all that it missed.
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        };
        Self((!interval.is_zero()).then(beats))
    }

    /// Whether one is due.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> bool {
        self.0
            .as_mut()
            .is_some_and(|beats| beats.poll_tick(cx).is_ready())
    }
}

/// What goes out on a stream, in the bytes of its transport.
pub(crate) trait Content: Send + Unpin + 'static {
    /// What stands first, at once.
    fn begin(&self, out: &mut Vec<u8>);
    /// A sign of life.
    fn beat(&self, out: &mut Vec<u8>);
    /// Adds what is ready, up to about this many bytes. True if nothing follows.
    fn poll_fill(&mut self, cx: &mut Context<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool;
}

/// A response's body.
pub(crate) struct Streaming<C> {
    content: C,
    flush_bytes_max: usize,
    beats: Beats,
    /// When to end without a word because the server drains.
    leaving: BoxFuture<'static, ()>,
    begun: bool,
    over: bool,
}

impl<C: Content> Streaming<C> {
    pub(crate) fn body(shared: &Arc<Shared>, content: C, beat_interval: Duration) -> Body {
        Body::from_stream(Self {
            content,
            flush_bytes_max: shared.limits.flush_bytes_max,
            beats: Beats::every(beat_interval),
            leaving: leaving(shared.clone()).boxed(),
            begun: false,
            over: false,
        })
    }

    fn fill(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.content.begin(out);
        }
        if self.beats.poll_due(cx) {
            self.content.beat(out);
        }
        self.over = self.content.poll_fill(cx, self.flush_bytes_max, out)
            | self.leaving.poll_unpin(cx).is_ready();
    }
}

impl<C: Content> Stream for Streaming<C> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut out = Vec::new();
        self.fill(cx, &mut out);
        match (out.is_empty(), self.over) {
            (false, _) => Poll::Ready(Some(Ok(out.into()))),
            (true, true) => Poll::Ready(None),
            (true, false) => Poll::Pending,
        }
    }
}

/// Ready when the server drains, at a moment of each stream's own within the window (R2).
async fn leaving(shared: Arc<Shared>) {
    shared.drain.cancelled().await;
    tokio::time::sleep(shared.drain_delay(rand::random())).await;
}

/// How a transport frames what one operation yields. Each adds to what goes out next.
pub(crate) trait Framing: Send + Unpin + 'static {
    /// What stands first, at once.
    fn begin(&self, out: &mut Vec<u8>);
    /// A sign of life.
    fn beat(&self, out: &mut Vec<u8>);
    /// One outcome; after the last one also the end, unless the client is to come back.
    fn outcome(&self, outcome: &Emitted, out: &mut Vec<u8>);
}

/// One operation as the content of a stream.
pub(crate) struct One<F> {
    pub(crate) framing: F,
    pub(crate) source: Running,
    pub(crate) _seat: ConnectionSlot,
}

impl<F: Framing> Content for One<F> {
    fn begin(&self, out: &mut Vec<u8>) {
        self.framing.begin(out);
    }

    fn beat(&self, out: &mut Vec<u8>) {
        self.framing.beat(out);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        let mut outcomes = Vec::new();
        let _ = self.source.poll_take(cx, bytes_max, &mut outcomes);
        outcomes
            .iter()
            .for_each(|outcome| self.framing.outcome(outcome, out));
        outcomes.last().is_some_and(Emitted::is_last)
    }
}
