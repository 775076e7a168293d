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

use super::{
    Shared,
    operation::{Outcome, Source},
    websocket::Seat,
};

/// How a transport frames what it sends. Each adds to what goes out next.
pub(super) trait Framing: Send + Unpin + 'static {
    /// What stands first, at once.
    fn begin(&self, out: &mut Vec<u8>);
    /// A sign of life.
    fn beat(&self, out: &mut Vec<u8>);
    /// One outcome; after the last one also the end, unless the client is to come back.
    fn outcome(&self, outcome: &Outcome, out: &mut Vec<u8>);
}

/// Signs of life at fixed times.
pub(super) struct Beats(Option<Interval>);

impl Beats {
    /// The first after one interval. Zero is none at all.
    pub(super) fn every(interval: Duration) -> Self {
        let beats = || {
            let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
            // A client that took nothing for a while needs one, not all that it missed.
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        };
        Self((!interval.is_zero()).then(beats))
    }

    /// Whether one is due.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|beats| beats.poll_tick(cx).is_ready())
    }
}

/// One operation as a response's body.
pub(super) struct Streaming<F> {
    framing: F,
    source: Source,
    flush_bytes_max: usize,
    beats: Beats,
    /// When to end without a word because the server drains.
    leaving: BoxFuture<'static, ()>,
    begun: bool,
    over: bool,
    _seat: Seat,
}

impl<F: Framing> Streaming<F> {
    pub(super) fn body(shared: &Arc<Shared>, framing: F, source: Source, seat: Seat, beat_interval: Duration) -> Body {
        let streaming = Self {
            framing,
            source,
            flush_bytes_max: shared.limits.flush_bytes_max,
            beats: Beats::every(beat_interval),
            leaving: leaving(shared.clone()).boxed(),
            begun: false,
            over: false,
            _seat: seat,
        };
        Body::from_stream(streaming)
    }

    /// Adds whatever is ready.
    fn fill(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.framing.begin(out);
        }
        if self.beats.poll_due(cx) {
            self.framing.beat(out);
        }
        let mut outcomes = Vec::new();
        if self.source.poll_take(cx, self.flush_bytes_max, &mut outcomes).is_ready() {
            for outcome in outcomes {
                self.framing.outcome(&outcome, out);
                self.over |= outcome.is_last();
            }
        }
        self.over |= self.leaving.poll_unpin(cx).is_ready();
    }
}

impl<F: Framing> Stream for Streaming<F> {
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
pub(super) async fn leaving(shared: Arc<Shared>) {
    shared.drain.cancelled().await;
    tokio::time::sleep(shared.drain_delay(rand::random())).await;
}
