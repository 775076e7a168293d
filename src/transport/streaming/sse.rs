//! graphql-sse in the mode of distinct connections: one operation per event stream.
//!
//! Beyond the protocol, each result of a subscription carries its cursor as `id:`. An `EventSource`
//! that reconnects sends it back as `Last-Event-ID`, and the server resumes after it. The last
//! result of an operation carries [`END_ID`] instead. A client that reconnects with that id learns
//! that nothing follows.

use std::{io::Write, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    response::{IntoResponse, Response},
};

use super::body::{Framing, OneOperation, StreamingBody};
use crate::transport::{
    Shared,
    admission::slots::ConnectionSlot,
    operation::{EventResult, OperationEnd, Running, refused_json},
};

/// The id of an operation's last result. No cursor is that short.
const END_ID: &str = "end";

/// A comment, which every client ignores.
pub(crate) const COMMENT: &[u8] = b":\n\n";

pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Where a client that reconnects wants to resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resumption {
    /// The client does not resume.
    None,
    /// After this cursor, which has not been parsed yet.
    After(String),
    /// Nowhere: it has seen the operation's last result.
    Ended,
}

impl Resumption {
    /// Reads the `Last-Event-ID` header.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        // A value that is not UTF-8 is refused later, as a malformed cursor.
        match headers
            .get(LAST_EVENT_ID)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
        {
            None => Self::None,
            Some(id) if id.is_empty() => Self::None,
            Some(id) if id == END_ID => Self::Ended,
            Some(id) => Self::After(id.into_owned()),
        }
    }
}

/// A response that streams one operation.
pub(crate) fn response(
    shared: &Arc<Shared>,
    running: Running,
    slot: ConnectionSlot,
    version: Version,
) -> Response {
    let address = slot.address();
    let content = OneOperation {
        framing: Events,
        running,
        _slot: slot,
    };
    let body = StreamingBody::start(shared, content, shared.limits.heartbeat_interval, address);
    with_headers(body, version)
}

/// An event stream with its headers.
pub(crate) fn with_headers(body: Body, version: Version) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Keeps a compressing proxy from buffering events.
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("none"));
    disable_proxy_buffering(headers);
    if version <= Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    response
}

/// Makes nginx, and proxies that follow it, pass on each portion at once.
pub(crate) fn disable_proxy_buffering(headers: &mut HeaderMap) {
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// The format of an event stream that carries one operation.
struct Events;

impl Framing for Events {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(COMMENT);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(COMMENT);
    }

    fn event(&self, result: &EventResult<'_>, out: &mut Vec<u8>) {
        if let Some(cursor) = result.cursor() {
            write_event(out, format_args!("id: {cursor}\n"));
        }
        let payload = result.payload();
        write_event(out, format_args!("event: next\ndata: {payload}\n\n"));
    }

    fn end(&self, end: OperationEnd, out: &mut Vec<u8>) {
        let Some(payload) = last_payload(end) else {
            return;
        };
        write_event(
            out,
            format_args!("id: {END_ID}\nevent: next\ndata: {payload}\n\n"),
        );
        write_event(out, format_args!("event: complete\ndata:\n\n"));
    }
}

/// The payload of an operation's last `next` event. None if the client must not see an end.
pub(crate) fn last_payload(end: OperationEnd) -> Option<String> {
    match end {
        OperationEnd::Answer { payload, .. } => Some(payload),
        OperationEnd::Refused(errors) => Some(refused_json(&errors)),
        OperationEnd::Later => None,
    }
}

/// Appends text to an event stream.
pub(crate) fn write_event(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory succeeds");
}
