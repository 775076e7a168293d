//! Apollo's multipart subscriptions: each result is a part, and the delimiter follows every part, so that a client need
//! not wait for the next one to know where it ended.

use std::sync::Arc;

use async_graphql::ServerError;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::transport::{
    Shared,
    admission::slots::ConnectionSlot,
    operation,
    operation::{Emitted, Running},
    streaming::{
        body::{Framing, One, Streaming},
        sse::do_not_buffer,
    },
};

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static(r#"multipart/mixed;boundary="graphql";subscriptionSpec=1.0"#);

/// Streams one operation.
pub(crate) fn stream(shared: &Arc<Shared>, source: Running, seat: ConnectionSlot) -> Response {
    let interval = shared.limits.multipart_heartbeat_interval;
    let content = One {
        framing: Parts,
        source,
        _seat: seat,
    };
    let mut response = (StatusCode::OK, Streaming::body(shared, content, interval)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    do_not_buffer(headers);
    response
}

struct Parts;

impl Framing for Parts {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n--graphql");
        self.beat(out);
    }

    fn beat(&self, out: &mut Vec<u8>) {
        part(out, &["{}"]);
    }

    fn outcome(&self, outcome: &Emitted, out: &mut Vec<u8>) {
        match outcome {
            Emitted::Event { payload, .. } => part(out, &[r#"{"payload":"#, payload, "}"]),
            Emitted::Answer(payload) => {
                part(out, &[r#"{"payload":"#, payload, "}"]);
                end(out);
            }
            Emitted::Refused(errors) => {
                part(out, &[r#"{"payload":null,"errors":"#, &fatal(errors), "}"]);
                end(out);
            }
            // Without the end, so that the client knows that it was broken off.
            Emitted::Later => {}
        }
    }
}

fn part(out: &mut Vec<u8>, json: &[&str]) {
    out.extend_from_slice(b"\r\ncontent-type: application/json\r\n\r\n");
    json.iter()
        .for_each(|piece| out.extend_from_slice(piece.as_bytes()));
    out.extend_from_slice(b"\r\n--graphql");
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"--\r\n");
}

/// Errors beside the payload are the transport's: they point at no place in the document and in the data.
fn fatal(errors: &[ServerError]) -> String {
    let bare = errors.iter().cloned().map(|mut error| {
        error.locations.clear();
        error.path.clear();
        error
    });
    operation::errors_json(&bare.collect::<Vec<_>>())
}
