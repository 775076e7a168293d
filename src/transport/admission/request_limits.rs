//! What is refused for the head of a request, whatever it asks for.

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
        slots::{Full, LEAVING_WAIT, TooFast, TurnedAway},
    },
    http::{
        negotiate::Accepts,
        reply::{Reply, bad_request},
    },
};

/// Answers a request, or has the routes answer it.
pub(crate) async fn keep(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(wait) = pace(&request, &shared) {
        if !wants_websocket(&request) {
            return Reply::too_fast(Accepts::read(request.headers()).media(), wait).into_response();
        }
        request.extensions_mut().insert(TurnedAway);
    }
    match refuse(&request, &shared.limits) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// Whether the connection and the address may ask now, or how long they have to wait. A connection that is too fast costs its
/// address nothing.
fn pace(request: &Request, shared: &Shared) -> Result<(), Duration> {
    if let Some(TooFast(wait)) = request.extensions().get() {
        return Err(*wait);
    }
    let address = Address::of(
        request.extensions(),
        request.headers(),
        shared.proxies_trusted,
    );
    shared.admission.ask(address, Instant::now())
}

fn refuse(request: &Request, limits: &TransportLimits) -> Option<Response> {
    let media = || Accepts::read(request.headers()).media();
    let error = |status, message: String| Reply::error(status, media(), bad_request(message));
    let uri_bytes = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let past = |found: usize, most: usize| most != 0 && found > most;
    let reply = if past(uri_bytes, limits.uri_bytes_max) {
        let message = format!(
            "The address may have {} bytes: send a long query by POST.",
            limits.uri_bytes_max
        );
        error(StatusCode::URI_TOO_LONG, message)
    } else if past(request.headers().len(), limits.headers_max) {
        let message = format!("A request may have {} headers.", limits.headers_max);
        error(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    } else if request.extensions().get::<TurnedAway>().is_some() && !wants_websocket(request) {
        Reply::full(media(), Full::TooOften(LEAVING_WAIT))
    } else {
        return None;
    };
    Some(last(reply, request.version()))
}

/// A WebSocket is told by its close code (T5).
fn wants_websocket(request: &Request) -> bool {
    request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE)
}

/// Nothing more is read from a connection of HTTP/1 whose request was refused like this.
fn last(reply: Reply, version: Version) -> Response {
    match version {
        Version::HTTP_2 => reply.into_response(),
        _ => reply
            .with(header::CONNECTION, HeaderValue::from_static("close"))
            .into_response(),
    }
}
