//! Streamed response bodies.
//!
//! A [`StreamingBody`] is polled only when the connection takes more, and a connection buffers a
//! bounded number of portions. A slow reader therefore lags in the log instead of filling memory.
//! When the server drains, the body ends without a word, so that the client reconnects and resumes.

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
    admission::{
        address::Address,
        slots::{ConnectionSlot, counted},
    },
    operation::{Emitted, EventResult, OperationEnd, Running},
};

/// Heartbeats at a fixed interval. None if there are no heartbeats.
struct Heartbeats(Option<Interval>);

impl Heartbeats {
    /// The first heartbeat is due after one interval. With an interval of zero there are none.
    fn every(interval: Duration) -> Self {
        let heartbeats = || {
            let first = tokio::time::Instant::now() + interval;
            let mut heartbeats = tokio::time::interval_at(first, interval);
            // A client that took nothing for a while gets one heartbeat, not all that it missed.
            heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            heartbeats
        };
        Self((!interval.is_zero()).then(heartbeats))
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> bool {
        self.0
            .as_mut()
            .is_some_and(|heartbeats| heartbeats.poll_tick(cx).is_ready())
    }
}

/// The content of a streamed response, as bytes in the format of its transport.
pub(crate) trait Content: Send + Unpin + 'static {
    /// Appends the bytes that are sent at once, before any result.
    fn begin(&self, out: &mut Vec<u8>);
    /// Appends a heartbeat.
    fn heartbeat(&self, out: &mut Vec<u8>);
    /// Appends everything that is ready, up to about `bytes_max` bytes. Returns true if nothing
    /// follows.
    fn poll_fill(&mut self, cx: &mut Context<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool;
}

/// The body of a streamed response.
pub(crate) struct StreamingBody<C> {
    content: C,
    flush_bytes_max: usize,
    heartbeats: Heartbeats,
    /// Ready when the body must end because the server drains.
    drained: BoxFuture<'static, ()>,
    has_begun: bool,
    has_ended: bool,
    shared: Arc<Shared>,
    address: Option<Address>,
}

impl<C: Content> StreamingBody<C> {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        content: C,
        heartbeat_interval: Duration,
        address: Option<Address>,
    ) -> Body {
        Body::from_stream(Self {
            content,
            flush_bytes_max: shared.limits.flush_bytes_max,
            heartbeats: Heartbeats::every(heartbeat_interval),
            drained: drained(shared.clone()).boxed(),
            has_begun: false,
            has_ended: false,
            shared: shared.clone(),
            address,
        })
    }

    fn fill(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.content.begin(out);
        }
        if self.heartbeats.poll_due(cx) {
            self.content.heartbeat(out);
        }
        self.has_ended = self.content.poll_fill(cx, self.flush_bytes_max, out)
            | self.drained.poll_unpin(cx).is_ready();
    }
}

impl<C: Content> Stream for StreamingBody<C> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let mut out = Vec::new();
        self.fill(cx, &mut out);
        let waiting = self.shared.admission.take_waiting(self.address, out.len());
        let Ok(waiting) = waiting else {
            // Without the end of the stream, so that the client comes back.
            self.has_ended = true;
            return Poll::Ready(None);
        };
        match (out.is_empty(), self.has_ended) {
            (false, _) => Poll::Ready(Some(Ok(counted(out, waiting)))),
            (true, true) => Poll::Ready(None),
            (true, false) => Poll::Pending,
        }
    }
}

/// Ready when the server drains, for each stream at its own moment within the window (R2).
async fn drained(shared: Arc<Shared>) {
    shared.drain.cancelled().await;
    tokio::time::sleep(shared.drain_delay(rand::random())).await;
}

/// The encoding of one operation's emitted values in a transport's format. Each method appends to
/// the next portion.
pub(crate) trait Framing: Send + Unpin + 'static {
    /// Appends the bytes that are sent at once, before any result.
    fn begin(&self, out: &mut Vec<u8>);
    /// Appends a heartbeat.
    fn heartbeat(&self, out: &mut Vec<u8>);
    /// Appends the result of a subscription for one event.
    fn event(&self, result: &EventResult<'_>, out: &mut Vec<u8>);
    /// Appends the last result and the end of the stream. [`OperationEnd::Later`] appends nothing:
    /// the client must see that the stream broke off, and resume.
    fn end(&self, end: OperationEnd, out: &mut Vec<u8>);
}

/// The content of a stream that carries one operation.
pub(crate) struct OneOperation<F> {
    pub(crate) framing: F,
    pub(crate) running: Running,
    pub(crate) _slot: ConnectionSlot,
}

impl<F: Framing> Content for OneOperation<F> {
    fn begin(&self, out: &mut Vec<u8>) {
        self.framing.begin(out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        self.framing.heartbeat(out);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        let (framing, mut has_ended) = (&self.framing, false);
        // `Live` appends nothing: these protocols have no message for it.
        let _ = self
            .running
            .poll_take(cx, bytes_max, |emitted| match emitted {
                Emitted::Event(result) => framing.event(&result, out),
                Emitted::Live(_) => {}
                Emitted::End(end) => {
                    framing.end(end, out);
                    has_ended = true;
                }
            });
        has_ended
    }
}
