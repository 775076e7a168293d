//! Apollo's multipart subscriptions: each result is one part of a multipart response.
//!
//! The delimiter follows every part at once. A client therefore knows where a part ends without
//! waiting for the next one.

use std::sync::Arc;

use async_graphql::ServerError;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    body::{Framing, OneOperation, StreamingBody},
    sse::disable_proxy_buffering,
};
use crate::transport::{
    Shared,
    admission::slots::ConnectionSlot,
    operation::{EventResult, OperationEnd, Running, errors_json},
};

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static(r#"multipart/mixed;boundary="graphql";subscriptionSpec=1.0"#);

/// A response that streams one operation.
pub(crate) fn response(shared: &Arc<Shared>, running: Running, slot: ConnectionSlot) -> Response {
    let address = slot.address();
    let content = OneOperation {
        framing: Parts,
        running,
        _slot: slot,
    };
    let interval = shared.limits.multipart_heartbeat_interval;
    let body = StreamingBody::start(shared, content, interval, address);
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    disable_proxy_buffering(headers);
    response
}

/// The format of multipart subscriptions.
struct Parts;

impl Framing for Parts {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n--graphql");
        self.heartbeat(out);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        part(out, &["{}"]);
    }

    fn event(&self, result: &EventResult<'_>, out: &mut Vec<u8>) {
        part(out, &[r#"{"payload":"#, result.payload(), "}"]);
    }

    fn end(&self, end: OperationEnd, out: &mut Vec<u8>) {
        match end {
            OperationEnd::Answer { payload, .. } => part(out, &[r#"{"payload":"#, &payload, "}"]),
            OperationEnd::Refused(errors) => {
                let errors = transport_errors(&errors);
                part(out, &[r#"{"payload":null,"errors":"#, &errors, "}"]);
            }
            OperationEnd::Later => return,
        }
        out.extend_from_slice(b"--\r\n");
    }
}

fn part(out: &mut Vec<u8>, json: &[&str]) {
    out.extend_from_slice(b"\r\ncontent-type: application/json\r\n\r\n");
    json.iter()
        .for_each(|piece| out.extend_from_slice(piece.as_bytes()));
    out.extend_from_slice(b"\r\n--graphql");
}

/// Errors beside the payload, as JSON. They are errors of the transport: they have no location in
/// the document and no path in the data.
fn transport_errors(errors: &[ServerError]) -> String {
    let bare = errors.iter().cloned().map(|mut error| {
        error.locations.clear();
        error.path.clear();
        error
    });
    errors_json(&bare.collect::<Vec<_>>())
}
