//! Whether a connection is in use.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// What a connection is asked for.
pub(super) struct Activity {
    asked: AtomicBool,
    uses: Mutex<Uses>,
}

struct Uses {
    count: usize,
    /// When the last one ended, or the connection began.
    ended: Instant,
}

/// One use of a connection: a request until its answer has left, or a WebSocket on it.
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    /// Nothing was asked for yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { asked: AtomicBool::new(false), uses: Mutex::new(Uses { count: 0, ended: Instant::now() }) })
    }

    /// Something is asked for; whether it is the first time.
    pub(super) fn ask(self: &Arc<Self>) -> (Arc<Busy>, bool) {
        self.lock().count += 1;
        (Arc::new(Busy(self.clone())), !self.asked.swap(true, Ordering::AcqRel))
    }

    /// Whether anything was ever asked for.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// When nothing will have been asked for so long, if that goes on; at the earliest a whole time from now while it is in use.
    pub(super) fn idle_at(&self, timeout: Duration) -> Instant {
        let uses = self.lock();
        if uses.count == 0 { uses.ended + timeout } else { Instant::now() + timeout }
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().expect("no panic under this lock")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut uses = self.0.lock();
        uses.count -= 1;
        uses.ended = Instant::now();
    }
}

/// The same answer; the connection is in use until it has left.
pub(super) fn until_sent(response: Response, busy: Arc<Busy>) -> Response {
    response.map(|body| Body::new(Sending { body, _busy: busy }))
}

struct Sending {
    body: Body,
    _busy: Arc<Busy>,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
