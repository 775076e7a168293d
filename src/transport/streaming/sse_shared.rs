//! graphql-sse in the mode of a single connection: one event stream is reserved, opened, and shared by many operations,
//! for clients that may have few connections at the same time.

use std::{sync::Arc, task::Context};

use async_graphql::parser::types::OperationType;
use axum::{
    extract::State,
    http::{HeaderName, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::{AbortHandle, Abortable};
use serde_json::Value;

use crate::{
    protocol::Subscribe,
    schema::{ApiError, Code, Prepared},
    transport::{
        Shared,
        admission::slots::{Client, ConnectionSlot, Full},
        http::{
            endpoint::{self, Call},
            negotiate::{self, Accepts, Form, Media},
            reply::{Reply, bad_request},
        },
        operation::{self, CallOrigin, Emitted},
        streaming::{
            body::{Content, Streaming},
            reservation::{Concluded, NoPlace, Place, Reservation, Task},
            sse,
        },
    },
};

const TOKEN: HeaderName = HeaderName::from_static("x-graphql-event-stream-token");

/// Bytes of a token before they are written as text: nobody guesses it.
const TOKEN_BYTES: usize = 24;

/// Where a request goes by its token.
pub(crate) enum Way {
    /// It is answered by itself.
    Distinct,
    /// It opens the reserved stream.
    Open(Arc<Reservation>),
    /// It starts an operation on the stream.
    Operate(Arc<Reservation>),
    /// It names a stream that there is not.
    Nowhere,
}

pub(crate) fn way(shared: &Shared, call: &Call) -> Way {
    let Some(token) = token(&call.parts) else {
        return Way::Distinct;
    };
    let wants_stream = call.accepts.for_answer() == Some(Form::EventStream);
    match (shared.reservations.find(&token, call.caller), wants_stream) {
        (Some(reservation), true) => Way::Open(reservation),
        (Some(reservation), false) => Way::Operate(reservation),
        (None, true) => Way::Distinct,
        (None, false) => Way::Nowhere,
    }
}

/// The token, in its header or in the address.
fn token(parts: &Parts) -> Option<String> {
    let header = parts
        .headers
        .get(TOKEN)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    header
        .or_else(|| parameter(parts, "token"))
        .filter(|token| !token.is_empty())
}

fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(parts.uri.query()?).ok()?;
    pairs
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// `PUT /graphql`: reserves a stream and tells its token.
pub(crate) async fn reserve(State(shared): State<Arc<Shared>>, parts: Parts) -> Response {
    let media = Accepts::read(&parts.headers).media();
    let caller = match endpoint::credentials(&shared, &parts).await {
        Ok(caller) => caller,
        Err(unwelcome) => return unwelcome.reply(media).into_response(),
    };
    if !negotiate::takes_plain_text(&parts.headers) {
        let error = bad_request("The token of a stream is text/plain.");
        return Reply::error(StatusCode::NOT_ACCEPTABLE, media, error).into_response();
    }
    if token(&parts).is_some_and(|token| shared.reservations.find(&token, caller).is_some()) {
        return conflict(media, "Stream already registered").into_response();
    }
    let seat = match shared.drain.is_cancelled() {
        true => Err(Full::Server),
        false => ConnectionSlot::take(&shared, Client::of(&parts, shared.proxies_trusted))
            .and_then(|seat| seat.taken_by(caller)),
    };
    let seat = match seat {
        Ok(seat) => seat,
        Err(full) => return Reply::full(media, full).into_response(),
    };
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>());
    let reservation = shared.reservations.reserve(token, caller, seat);
    expire_later(&shared, &reservation);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::CREATED, headers, reservation.token().to_owned()).into_response()
}

/// A reservation that nobody opens holds its place for a while only.
fn expire_later(shared: &Arc<Shared>, reservation: &Arc<Reservation>) {
    let timeout = shared.limits.reservation_timeout;
    let (task, registration) = AbortHandle::new_pair();
    let expiry = {
        let (shared, reservation) = (shared.clone(), reservation.clone());
        async move {
            let in_time = async {
                match timeout.is_zero() {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(timeout).await,
                }
            };
            tokio::select! {
                () = in_time => {}
                () = shared.drain.cancelled() => {}
            }
            shared.reservations.expire(&reservation);
        }
    };
    shared.tasks.spawn(Abortable::new(expiry, registration));
    reservation.expires_with(Task::new(task));
}

/// `DELETE /graphql?operationId=…`: stops an operation.
pub(crate) async fn stop(State(shared): State<Arc<Shared>>, parts: Parts) -> Response {
    let media = Accepts::read(&parts.headers).media();
    let caller = match endpoint::credentials(&shared, &parts).await {
        Ok(caller) => caller,
        Err(unwelcome) => return unwelcome.reply(media).into_response(),
    };
    let Some(reservation) =
        token(&parts).and_then(|token| shared.reservations.find(&token, caller))
    else {
        return nowhere(media);
    };
    match parameter(&parts, "operationId").filter(|id| !id.is_empty()) {
        Some(id) => {
            // One that is not known has ended by itself.
            reservation.stop(&id);
            StatusCode::OK.into_response()
        }
        None => missing_id(media).into_response(),
    }
}

pub(crate) fn nowhere(media: Media) -> Response {
    let error = ApiError::new(
        Code::NotFound,
        "There is no such event stream: reserve one with PUT.",
    );
    Reply::error(StatusCode::NOT_FOUND, media, error).into_response()
}

fn missing_id(media: Media) -> Reply {
    Reply::error(
        StatusCode::BAD_REQUEST,
        media,
        bad_request("Operation ID is missing"),
    )
}

fn conflict(media: Media, message: &str) -> Reply {
    Reply::error(
        StatusCode::CONFLICT,
        media,
        ApiError::new(Code::Conflict, message),
    )
}

/// Opens the stream. What was queued goes out at once.
pub(crate) fn open(shared: &Arc<Shared>, call: &Call, reservation: Arc<Reservation>) -> Response {
    if !reservation.open() {
        return conflict(call.accepts.media(), "Stream already open").into_response();
    }
    let content = Many {
        shared: shared.clone(),
        reservation,
    };
    sse::respond(
        Streaming::body(shared, content, shared.limits.heartbeat_interval),
        call.parts.version,
    )
}

/// Starts an operation whose results go out on the stream.
pub(crate) async fn operate(
    shared: Arc<Shared>,
    call: Call,
    reservation: Arc<Reservation>,
    body: Subscribe,
) -> Response {
    match try_operate(&shared, call, reservation, body).await {
        Ok(status) => status.into_response(),
        Err(reply) => reply.into_response(),
    }
}

async fn try_operate(
    shared: &Arc<Shared>,
    call: Call,
    reservation: Arc<Reservation>,
    body: Subscribe,
) -> Result<StatusCode, Reply> {
    let media = call.accepts.media();
    if !matches!(call.accepts.for_answer(), Some(Form::Single(_))) {
        let error = bad_request(
            "Results go out on the stream; what is wrong with a request is told as application/json.",
        );
        return Err(Reply::error(StatusCode::NOT_ACCEPTABLE, media, error));
    }
    let place = place(shared, &reservation, &body, media)?;
    let wrong = |errors: &[_]| Reply::errors(StatusCode::BAD_REQUEST, media, errors);
    let prepared = operation::prepare(shared, body).map_err(|errors| wrong(&errors))?;
    if prepared.kind() == OperationType::Mutation && call.parts.method != Method::POST {
        return Err(Reply::method(
            media,
            "A mutation must be sent by POST.",
            "POST",
        ));
    }
    match start(shared, prepared, call.origin(shared), place).await {
        Concluded::Accepted => Ok(StatusCode::ACCEPTED),
        Concluded::Stopped => Ok(StatusCode::NO_CONTENT),
        Concluded::Refused(errors) => Err(wrong(&errors)),
        Concluded::Later(errors) => Err(Reply::later(media, &errors)),
    }
}

/// The place of an operation by its id, `extensions.operationId`.
fn place(
    shared: &Shared,
    reservation: &Arc<Reservation>,
    body: &Subscribe,
    media: Media,
) -> Result<Place, Reply> {
    let limits = shared.limits.machine;
    let id = match body
        .extensions
        .as_ref()
        .and_then(|extensions| extensions.get("operationId"))
    {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        // Some clients count.
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(missing_id(media)),
    };
    if limits.operation_id_bytes_max != 0 && id.len() > limits.operation_id_bytes_max {
        let error = bad_request(format!(
            "The operation's id may have {} bytes.",
            limits.operation_id_bytes_max
        ));
        return Err(Reply::error(StatusCode::BAD_REQUEST, media, error));
    }
    reservation
        .take(&id, limits.operations_max)
        .map_err(|reason| match reason {
            NoPlace::Taken => conflict(media, "Operation with ID already exists"),
            NoPlace::Over => Reply::error(
                StatusCode::NOT_FOUND,
                media,
                ApiError::new(Code::NotFound, "The stream has ended."),
            ),
            NoPlace::Full => {
                let most = limits.operations_max;
                let message =
                    format!("This stream runs {most} operations already, which is the most.");
                Reply::error(
                    StatusCode::BAD_REQUEST,
                    media,
                    ApiError::new(Code::TooComplex, message),
                )
            }
        })
}

/// Runs in a task of its own: a client that does not wait for the answer has started it all the same.
async fn start(
    shared: &Arc<Shared>,
    prepared: Prepared,
    origin: CallOrigin,
    place: Place,
) -> Concluded {
    let (task, registration) = AbortHandle::new_pair();
    place.runs_as(Task::new(task));
    let run = operation::source(shared.clone(), prepared, origin);
    let bytes_max = shared.limits.reservation_bytes_max;
    let running = shared.tasks.spawn(Abortable::new(
        async move { place.conclude(run.await, bytes_max) },
        registration,
    ));
    match running.await {
        Ok(Ok(concluded)) => concluded,
        // Aborted, because it was stopped or the stream has ended.
        Ok(Err(_)) => Concluded::Stopped,
        Err(error) => Concluded::Later(vec![ApiError::internal(&error).into()]),
    }
}

/// All operations of a reservation as the content of its stream.
struct Many {
    shared: Arc<Shared>,
    reservation: Arc<Reservation>,
}

impl Content for Many {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(sse::COMMENT);
    }

    fn beat(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(sse::COMMENT);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        let mut over = false;
        let _ = self.reservation.poll_take(cx, bytes_max, |id, outcome| {
            let before = out.len();
            // What cannot go on must not look finished: the whole stream ends, and the client starts again.
            over |= matches!(outcome, Emitted::Later);
            write(out, id, &outcome);
            out.len() - before
        });
        over
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        self.shared.reservations.end(&self.reservation);
    }
}

/// Without `id:` lines: a stream of many operations has no one position to come back to.
fn write(out: &mut Vec<u8>, id: &str, outcome: &Emitted) {
    let id = Value::from(id);
    let last = |payload: &str, out: &mut Vec<u8>| {
        sse::write_event(
            out,
            format_args!("event: next\ndata: {{\"id\":{id},\"payload\":{payload}}}\n\n"),
        );
        sse::write_event(
            out,
            format_args!("event: complete\ndata: {{\"id\":{id}}}\n\n"),
        );
    };
    match outcome {
        Emitted::Event { payload, .. } => {
            sse::write_event(
                out,
                format_args!("event: next\ndata: {{\"id\":{id},\"payload\":{payload}}}\n\n"),
            );
        }
        Emitted::Answer(payload) => last(payload, out),
        Emitted::Refused(errors) => last(
            &format!(r#"{{"errors":{}}}"#, operation::errors_json(errors)),
            out,
        ),
        Emitted::Later => {}
    }
}
