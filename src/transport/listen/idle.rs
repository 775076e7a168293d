//! Whether an HTTP connection is in use. A connection that is not used for a while is closed.

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

use crate::transport::listen::http2_stall::{PORTION_BYTES_MAX, Untaken};

/// The uses of one connection.
pub(super) struct Activity {
    was_used: AtomicBool,
    uses: Mutex<Uses>,
}

struct Uses {
    count: usize,
    /// When the last use ended, or when the connection was opened.
    ended_at: Instant,
}

/// One use of a connection, until it is dropped: a request until its response was sent, or a
/// WebSocket.
pub(crate) struct ActivityGuard(Arc<Activity>);

impl Activity {
    /// The activity of a new connection.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            was_used: AtomicBool::new(false),
            uses: Mutex::new(Uses {
                count: 0,
                ended_at: Instant::now(),
            }),
        })
    }

    /// Begins a use. Also returns whether it is the first one.
    pub(super) fn begin(self: &Arc<Self>) -> (Arc<ActivityGuard>, bool) {
        self.lock().count += 1;
        (
            Arc::new(ActivityGuard(self.clone())),
            !self.was_used.swap(true, Ordering::AcqRel),
        )
    }

    /// Whether the connection was ever used.
    pub(super) fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Acquire)
    }

    /// The moment at which the connection will have been idle for `timeout`, if no other use
    /// begins. While it is in use, that is `timeout` from now.
    pub(super) fn idle_at(&self, timeout: Duration) -> Instant {
        let uses = self.lock();
        if uses.count == 0 {
            uses.ended_at + timeout
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
        uses.ended_at = Instant::now();
    }
}

/// Keeps the connection in use until the response was sent.
pub(super) fn hold_until_sent(response: Response, activity: Arc<ActivityGuard>) -> Response {
    response.map(|body| {
        Body::new(TrackedBody {
            body,
            _activity: activity,
        })
    })
}

/// Keeps the connection in use until the response was sent on its HTTP/2 stream. The stream is
/// reset if the client does not take the response.
pub(super) fn hold_until_taken(response: Response, activity: Arc<ActivityGuard>) -> Response {
    let portioned = |body| PortionedBody {
        body: TrackedBody {
            body,
            _activity: activity,
        },
        rest: Bytes::new(),
        untaken: Untaken::of_this_stream(),
    };
    response.map(|body| Body::new(portioned(body)))
}

/// A body that keeps its connection in use.
struct TrackedBody {
    body: Body,
    _activity: Arc<ActivityGuard>,
}

impl HttpBody for TrackedBody {
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

/// A body in portions. The stream asks for the next portion when the client's window is open again,
/// which shows whether the client takes its response.
struct PortionedBody {
    body: TrackedBody,
    /// The rest of the current frame.
    rest: Bytes,
    untaken: Untaken,
}

impl PortionedBody {
    fn portion(&mut self) -> Frame<Bytes> {
        self.untaken.begin();
        Frame::data(self.rest.split_to(self.rest.len().min(PORTION_BYTES_MAX)))
    }
}

impl HttpBody for PortionedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // The stream asks for more only when the client has taken the last portion.
        self.untaken.end();
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

impl Drop for PortionedBody {
    fn drop(&mut self) {
        self.untaken.end();
    }
}
