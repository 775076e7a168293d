//! Limits that are checked on the head of every request, before it is routed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::transport::{
    Shared, TransportLimits,
    admission::{
        address::Address,
        slots::{AdmissionError, ConnectRateExceeded, RequestRateExceeded, SLOT_RETRY_AFTER},
    },
    response::{
        negotiate::Accepts,
        reply::{Reply, bad_request},
    },
};

/// Refuses a request that exceeds a limit, or passes it on.
pub(crate) async fn enforce(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(wait) = take_request(&request, &shared) {
        if !may_become_websocket(&request) {
            let media = Accepts::read(request.headers()).media();
            return Reply::too_many_requests(media, wait).into_response();
        }
        // Refused by a close code, when the WebSocket asks for a slot (T5).
        request.extensions_mut().insert(ConnectRateExceeded);
    }
    match refuse(&request, &shared.limits) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// Charges the request to its connection and its address. The error is the time to wait. A request
/// beyond the connection's own rate is not charged to the address.
fn take_request(request: &Request, shared: &Shared) -> Result<(), Duration> {
    if let Some(RequestRateExceeded(wait)) = request.extensions().get() {
        return Err(*wait);
    }
    let address = Address::of(
        request.extensions(),
        request.headers(),
        shared.proxies_trusted,
    );
    shared.admission.take_request(address, Instant::now())
}

fn refuse(request: &Request, limits: &TransportLimits) -> Option<Response> {
    let media = || Accepts::read(request.headers()).media();
    let error = |status, message: String| Reply::error(status, media(), bad_request(message));
    let uri_bytes = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let exceeds = |found: usize, most: usize| most != 0 && found > most;
    let is_refused = request.extensions().get::<ConnectRateExceeded>().is_some();
    let reply = if exceeds(uri_bytes, limits.uri_bytes_max) {
        let message = format!(
            "The path and query may have at most {} bytes: send a long query by POST.",
            limits.uri_bytes_max
        );
        error(StatusCode::URI_TOO_LONG, message)
    } else if exceeds(request.headers().len(), limits.headers_max) {
        let message = format!("A request may have at most {} headers.", limits.headers_max);
        error(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    } else if is_refused && !may_become_websocket(request) {
        AdmissionError::ConnectRate(SLOT_RETRY_AFTER).reply(media())
    } else {
        return None;
    };
    Some(close_after(reply, request.version()))
}

/// Whether a refusal must be a close code instead (T5).
fn may_become_websocket(request: &Request) -> bool {
    request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE)
}

/// Closes the connection after the reply. An HTTP/2 connection has other streams and stays open.
fn close_after(reply: Reply, version: Version) -> Response {
    match version {
        Version::HTTP_2 => reply.into_response(),
        _ => reply
            .with(header::CONNECTION, HeaderValue::from_static("close"))
            .into_response(),
    }
}
