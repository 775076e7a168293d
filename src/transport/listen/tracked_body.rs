//! Response bodies that keep their HTTP connection in use until they were sent.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};

use crate::transport::{
    admission::activity::ActivityGuard,
    listen::http2_stall::{PORTION_BYTES_MAX, Untaken},
};

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
