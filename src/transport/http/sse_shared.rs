//! graphql-sse in the single connection mode, for clients that may have few connections.
//!
//! The client reserves an event stream (`PUT`), opens it, and starts any number of operations on
//! it. Requests name the stream by its token, in a header or in the parameter `token`. The router
//! sends every request with a token here.

use std::{sync::Arc, task::Context};

use async_graphql::parser::types::OperationType;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::{AbortHandle, Abortable};
use serde_json::Value;

use crate::{
    limit::unless_zero,
    protocol::Subscribe,
    schema::{ApiError, Code, Prepared},
    transport::{
        Shared,
        admission::slots::{AdmissionError, ConnectionSlot, SlotRequest},
        http::request::{HttpCall, credentials},
        operation::{Emitted, OperationEnd},
        reservation::{AbortOnDrop, PendingOperation, Reservation, StartOutcome, TakeIdError},
        response::{
            negotiate::{self, Accepts, Form, Media},
            reply::{Reply, bad_request},
        },
        start::{self, CallOrigin},
        streaming::{
            body::{Content, StreamingBody},
            sse,
        },
    },
};

const TOKEN: HeaderName = HeaderName::from_static("x-graphql-event-stream-token");

/// Random bytes in a token: too many to guess.
const TOKEN_BYTES: usize = 24;

/// The token of a reserved stream that a request names, in the header or in the query string.
pub(crate) fn stream_token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(TOKEN).and_then(|value| value.to_str().ok());
    let header = header.map(str::to_owned);
    let is_given = |token: &String| !token.is_empty();
    header
        .filter(is_given)
        .or_else(|| parameter(uri, "token").filter(is_given))
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(uri.query()?).ok()?;
    pairs
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// `GET` or `POST` with a token: opens the stream, or starts an operation on it. If the token is
/// unknown, a request for an event stream is returned as the error: it gets a stream of its own.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    token: &str,
    request: Request,
) -> Result<Response, Request> {
    let (parts, body) = request.into_parts();
    let call = match HttpCall::admit(shared, parts).await {
        Ok(call) => call,
        Err(response) => return Ok(response),
    };
    let wants_stream = call.accepts.for_answer() == Some(Form::EventStream);
    let result = match (shared.reservations.find(token, call.caller), wants_stream) {
        (Some(reservation), true) => open(shared, &call, reservation),
        (Some(reservation), false) => match call.read_request(shared, body).await {
            Ok(body) => operate(shared, &call, &reservation, body)
                .await
                .map(IntoResponse::into_response),
            Err(reply) => Err(reply),
        },
        (None, true) => return Err(Request::from_parts(call.parts, body)),
        (None, false) => Err(no_such_stream(call.accepts.media())),
    };
    Ok(result.unwrap_or_else(IntoResponse::into_response))
}

/// `PUT /graphql`: reserves a stream and returns its token.
pub(crate) async fn reserve(State(shared): State<Arc<Shared>>, parts: Parts) -> Response {
    match try_reserve(&shared, &parts).await {
        Ok(response) => response,
        Err(reply) => reply.into_response(),
    }
}

async fn try_reserve(shared: &Arc<Shared>, parts: &Parts) -> Result<Response, Reply> {
    let media = Accepts::read(&parts.headers).media();
    let caller = credentials(shared, parts)
        .await
        .map_err(|error| error.reply(media))?;
    if !negotiate::accepts_plain_text(&parts.headers) {
        let error = bad_request("The token of a stream is text/plain.");
        return Err(Reply::error(StatusCode::NOT_ACCEPTABLE, media, error));
    }
    let is_registered = |token: String| shared.reservations.find(&token, caller).is_some();
    if stream_token(&parts.headers, &parts.uri).is_some_and(is_registered) {
        return Err(conflict(media, "Stream already registered"));
    }
    let slot = if shared.drain.is_cancelled() {
        Err(AdmissionError::ServerFull)
    } else {
        let request = SlotRequest::of(parts, shared.proxies_trusted);
        ConnectionSlot::take(&shared.admission, request).and_then(|slot| slot.assigned_to(caller))
    };
    let slot = slot.map_err(|error| error.reply(media))?;
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>());
    let reservation = shared.reservations.reserve(token, caller, slot);
    expire_later(shared, &reservation);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let token = reservation.token().to_owned();
    Ok((StatusCode::CREATED, headers, token).into_response())
}

/// Ends the reservation if its stream is not opened in time, or when the server drains.
fn expire_later(shared: &Arc<Shared>, reservation: &Arc<Reservation>) {
    let timeout = unless_zero(shared.limits.reservation_timeout);
    let (task, registration) = AbortHandle::new_pair();
    let expiry = {
        let (shared, reservation) = (shared.clone(), reservation.clone());
        async move {
            tokio::select! {
                () = tokio::time::sleep(timeout) => {}
                () = shared.drain.cancelled() => {}
            }
            shared.reservations.expire(&reservation);
        }
    };
    shared.tasks.spawn(Abortable::new(expiry, registration));
    reservation.expires_with(AbortOnDrop::new(task));
}

/// `DELETE /graphql?operationId=…`: stops an operation.
pub(crate) async fn stop(State(shared): State<Arc<Shared>>, parts: Parts) -> Response {
    match try_stop(&shared, &parts).await {
        Ok(status) => status.into_response(),
        Err(reply) => reply.into_response(),
    }
}

async fn try_stop(shared: &Shared, parts: &Parts) -> Result<StatusCode, Reply> {
    let media = Accepts::read(&parts.headers).media();
    let caller = credentials(shared, parts)
        .await
        .map_err(|error| error.reply(media))?;
    let reservation = stream_token(&parts.headers, &parts.uri)
        .and_then(|token| shared.reservations.find(&token, caller))
        .ok_or_else(|| no_such_stream(media))?;
    let id = parameter(&parts.uri, "operationId")
        .filter(|id| !id.is_empty())
        .ok_or_else(|| missing_id(media))?;
    // An operation with an unknown id has ended already.
    reservation.stop(&id);
    Ok(StatusCode::OK)
}

fn no_such_stream(media: Media) -> Reply {
    let message = "There is no such event stream: reserve one with PUT.";
    not_found(media, message)
}

fn not_found(media: Media, message: &str) -> Reply {
    let error = ApiError::new(Code::NotFound, message);
    Reply::error(StatusCode::NOT_FOUND, media, error)
}

fn missing_id(media: Media) -> Reply {
    let error = bad_request("Operation ID is missing");
    Reply::error(StatusCode::BAD_REQUEST, media, error)
}

fn conflict(media: Media, message: &str) -> Reply {
    let error = ApiError::new(Code::Conflict, message);
    Reply::error(StatusCode::CONFLICT, media, error)
}

/// Opens the stream. Results that wait for it are sent at once.
fn open(
    shared: &Arc<Shared>,
    call: &HttpCall,
    reservation: Arc<Reservation>,
) -> Result<Response, Reply> {
    if !reservation.open() {
        return Err(conflict(call.accepts.media(), "Stream already open"));
    }
    let address = call.origin(shared).address;
    let content = AllOperations {
        shared: shared.clone(),
        reservation,
    };
    let body = StreamingBody::start(shared, content, shared.limits.heartbeat_interval, address);
    Ok(sse::with_headers(body, call.parts.version))
}

/// Starts an operation that sends its results on the stream.
async fn operate(
    shared: &Arc<Shared>,
    call: &HttpCall,
    reservation: &Arc<Reservation>,
    body: Subscribe,
) -> Result<StatusCode, Reply> {
    let media = call.accepts.media();
    if !matches!(call.accepts.for_answer(), Some(Form::Single(_))) {
        let error = bad_request(
            "Results are sent on the stream. Errors in a request are returned as application/json: accept that.",
        );
        return Err(Reply::error(StatusCode::NOT_ACCEPTABLE, media, error));
    }
    let pending = take_id(shared, reservation, &body, media)?;
    let refused = |errors: &[_]| Reply::errors(StatusCode::BAD_REQUEST, media, errors);
    let prepared = start::prepare(shared, body).map_err(|errors| refused(&errors))?;
    if prepared.kind() == OperationType::Mutation && call.parts.method != Method::POST {
        let message = "A mutation must be sent by POST.";
        return Err(Reply::method(media, message, "POST"));
    }
    match start_pending(shared, prepared, call.origin(shared), pending).await {
        StartOutcome::Accepted => Ok(StatusCode::ACCEPTED),
        StartOutcome::Stopped => Ok(StatusCode::NO_CONTENT),
        StartOutcome::Refused(errors) => Err(refused(&errors)),
        StartOutcome::Later(errors) => Err(Reply::later(media, &errors)),
    }
}

/// Takes the id of an operation, which is `extensions.operationId`.
fn take_id(
    shared: &Shared,
    reservation: &Arc<Reservation>,
    body: &Subscribe,
    media: Media,
) -> Result<PendingOperation, Reply> {
    let limits = shared.limits.machine;
    let extensions = body.extensions.as_ref();
    let id = match extensions.and_then(|extensions| extensions.get("operationId")) {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        // Some clients number their operations.
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(missing_id(media)),
    };
    if limits.operation_id_bytes_max != 0 && id.len() > limits.operation_id_bytes_max {
        let error = bad_request(format!(
            "The operation's id may have at limit {} bytes.",
            limits.operation_id_bytes_max
        ));
        return Err(Reply::error(StatusCode::BAD_REQUEST, media, error));
    }
    reservation
        .take_id(&id, limits.operations_max)
        .map_err(|error| match error {
            TakeIdError::Taken => conflict(media, "Operation with ID already exists"),
            TakeIdError::Ended => not_found(media, "The stream has ended."),
            TakeIdError::TooMany => {
                let limit = limits.operations_max;
                let message = format!(
                    "This stream runs {limit} operations already, which is the limit; \
                     stop one first, or reserve another stream."
                );
                let error = ApiError::new(Code::TooManyOperations, message);
                Reply::error(StatusCode::BAD_REQUEST, media, error)
            }
        })
}

/// Starts an operation in a task of its own: it runs even if the client does not wait for the
/// response.
async fn start_pending(
    shared: &Arc<Shared>,
    prepared: Prepared,
    origin: CallOrigin,
    pending: PendingOperation,
) -> StartOutcome {
    let (task, registration) = AbortHandle::new_pair();
    pending.starts_in(AbortOnDrop::new(task));
    let starting = start::start(shared.clone(), prepared, origin, None);
    let bytes_max = shared.limits.reservation_bytes_max;
    let running = shared.tasks.spawn(Abortable::new(
        async move { pending.conclude(starting.await, bytes_max) },
        registration,
    ));
    match running.await {
        Ok(Ok(outcome)) => outcome,
        // Aborted: the operation was stopped, or the stream has ended.
        Ok(Err(_)) => StartOutcome::Stopped,
        Err(error) => StartOutcome::Later(vec![ApiError::internal(&error).into()]),
    }
}

/// The content of a reserved stream: all of its operations.
struct AllOperations {
    shared: Arc<Shared>,
    reservation: Arc<Reservation>,
}

impl Content for AllOperations {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(sse::COMMENT);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(sse::COMMENT);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        let mut has_ended = false;
        self.reservation.poll_take(cx, bytes_max, |id, emitted| {
            let before = out.len();
            // An operation that cannot continue must not look complete (P5). The whole stream ends,
            // and the client starts its operations again.
            has_ended |= matches!(emitted, Emitted::End(OperationEnd::Later));
            write(out, id, emitted);
            out.len() - before
        });
        has_ended
    }
}

impl Drop for AllOperations {
    fn drop(&mut self) {
        self.shared.reservations.end(&self.reservation);
    }
}

/// Appends an emitted value. There are no `id:` lines: a stream of many operations has no
/// single position to resume from.
fn write(out: &mut Vec<u8>, id: &str, emitted: Emitted<'_>) {
    let id = Value::from(id);
    let next = |payload: &str, out: &mut Vec<u8>| {
        sse::write_event(
            out,
            format_args!("event: next\ndata: {{\"id\":{id},\"payload\":{payload}}}\n\n"),
        );
    };
    match emitted {
        Emitted::Event(result) => next(result.payload(), out),
        Emitted::Live(_) => {}
        Emitted::End(end) => {
            if let Some(payload) = sse::last_payload(end) {
                next(&payload, out);
                sse::write_event(
                    out,
                    format_args!("event: complete\ndata: {{\"id\":{id}}}\n\n"),
                );
            }
        }
    }
}
