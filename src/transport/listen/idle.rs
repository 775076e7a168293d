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

use crate::transport::listen::http2_stall::{Owed, PORTION_BYTES_MAX};

/// What a connection is asked for.
pub(crate) struct Activity {
    asked: AtomicBool,
    uses: Mutex<Uses>,
}

struct Uses {
    count: usize,
    /// When the last one ended, or the connection began.
    ended: Instant,
}

/// One use of a connection: a request until its answer has left, or a WebSocket on it.
pub(crate) struct ActivityGuard(Arc<Activity>);

impl Activity {
    /// Nothing was asked for yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicBool::new(false),
            uses: Mutex::new(Uses {
                count: 0,
                ended: Instant::now(),
            }),
        })
    }

    /// Something is asked for; whether it is the first time.
    pub(crate) fn ask(self: &Arc<Self>) -> (Arc<ActivityGuard>, bool) {
        self.lock().count += 1;
        (
            Arc::new(ActivityGuard(self.clone())),
            !self.asked.swap(true, Ordering::AcqRel),
        )
    }

    /// Whether anything was ever asked for.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// When nothing will have been asked for so long, if that goes on; at the earliest a whole time from now while it is in use.
    pub(crate) fn idle_at(&self, timeout: Duration) -> Instant {
        let uses = self.lock();
        if uses.count == 0 {
            uses.ended + timeout
        } else {
            Instant::now() + timeout
        }
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().expect("no panic under this lock")
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        let mut uses = self.0.lock();
        uses.count -= 1;
        uses.ended = Instant::now();
    }
}

/// The same answer; the connection is in use until it has left.
pub(crate) fn until_sent(response: Response, busy: Arc<ActivityGuard>) -> Response {
    response.map(|body| Body::new(Sending { body, _busy: busy }))
}

/// The same on a stream of HTTP/2, which is reset when the client does not take it.
pub(crate) fn until_taken(response: Response, busy: Arc<ActivityGuard>) -> Response {
    let taking = |body| Taking {
        body: Sending { body, _busy: busy },
        rest: Bytes::new(),
        owed: Owed::of_this_stream(),
    };
    response.map(|body| Body::new(taking(body)))
}

struct Sending {
    body: Body,
    _busy: Arc<ActivityGuard>,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// In portions: a stream asks for the next when the client's window is open again.
struct Taking {
    body: Sending,
    /// What is left of a frame.
    rest: Bytes,
    owed: Owed,
}

impl Taking {
    fn portion(&mut self) -> Frame<Bytes> {
        self.owed.begin();
        Frame::data(self.rest.split_to(self.rest.len().min(PORTION_BYTES_MAX)))
    }
}

impl HttpBody for Taking {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Whoever asks for more has room for it.
        self.owed.end();
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.portion())));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    self.portion()
                }
                Err(trailers) => trailers,
            }))),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.owed.end();
    }
}
