//! graphql-sse: one operation's results as an event stream, in the mode of distinct connections.
//!
//! Beyond the protocol, what a subscription yields carries `id: CURSOR`: `EventSource` comes back with it by itself, in
//! `Last-Event-ID`, and the server goes on after it. A result that is the last one carries [`END`], which is no cursor:
//! who comes back with that learns that there is nothing more.

use std::{io::Write, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    response::{IntoResponse, Response},
};

use crate::transport::{
    Shared,
    admission::slots::ConnectionSlot,
    operation,
    operation::{Emitted, Running},
    streaming::body::{Framing, One, Streaming},
};

/// The id of a result that nothing follows. A cursor is longer.
const END: &str = "end";

/// A comment, which every client ignores.
pub(crate) const COMMENT: &[u8] = b":\n\n";

pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a client that comes back has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It does not come back, or does not say.
    Nothing,
    /// Everything up to this cursor, as text that was not looked at.
    UpTo(String),
    /// The last result of its operation.
    Everything,
}

impl Seen {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        // What is no text is no cursor either, and is refused as one.
        match headers
            .get(LAST_EVENT_ID)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
        {
            None => Self::Nothing,
            Some(id) if id.is_empty() => Self::Nothing,
            Some(id) if id == END => Self::Everything,
            Some(id) => Self::UpTo(id.into_owned()),
        }
    }
}

/// Streams one operation.
pub(crate) fn stream(
    shared: &Arc<Shared>,
    source: Running,
    seat: ConnectionSlot,
    version: Version,
) -> Response {
    let interval = shared.limits.heartbeat_interval;
    respond(
        Streaming::body(
            shared,
            One {
                framing: Events,
                source,
                _seat: seat,
            },
            interval,
        ),
        version,
    )
}

/// An event stream with its headers.
pub(crate) fn respond(body: Body, version: Version) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Keeps what compresses between here and the client from gathering events.
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("none"));
    do_not_buffer(headers);
    if version <= Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    response
}

/// Proxies in the manner of nginx pass on what comes at once.
pub(crate) fn do_not_buffer(headers: &mut HeaderMap) {
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// Results of one operation.
struct Events;

impl Framing for Events {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(COMMENT);
    }

    fn beat(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(COMMENT);
    }

    fn outcome(&self, outcome: &Emitted, out: &mut Vec<u8>) {
        let last = |payload: &str, out: &mut Vec<u8>| {
            write_event(
                out,
                format_args!("id: {END}\nevent: next\ndata: {payload}\n\n"),
            );
            write_event(out, format_args!("event: complete\ndata:\n\n"));
        };
        match outcome {
            Emitted::Event { payload, cursor } => {
                if let Some(cursor) = cursor {
                    write_event(out, format_args!("id: {cursor}\n"));
                }
                write_event(out, format_args!("event: next\ndata: {payload}\n\n"));
            }
            Emitted::Answer(payload) => last(payload, out),
            Emitted::Refused(errors) => last(
                &format!(r#"{{"errors":{}}}"#, operation::errors_json(errors)),
                out,
            ),
            Emitted::Later => {}
        }
    }
}

pub(crate) fn write_event(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes what is written");
}
