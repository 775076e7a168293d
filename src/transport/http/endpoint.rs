//! The endpoint over HTTP: from a request's headers and body to the transport that answers it.

use std::{sync::Arc, time::Duration};

use async_graphql::{ServerError, parser::types::OperationType};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use serde_json::Value;

use crate::{
    domain::Caller,
    protocol::Subscribe,
    schema::{Answer, ApiError, Code, Prepared, is_temporary},
    transport::{
        Shared,
        admission::{
            address::Address,
            slots::{Client, ConnectionSlot, Full},
        },
        browser::cookie,
        http::{
            batch,
            negotiate::{self, Accepts, Form, Media},
            reply::{Reply, bad_request},
        },
        operation::{self, CallOrigin, Emitted, Running},
        streaming::{
            multipart,
            reservation::Reservation,
            sse::{self, Seen},
            sse_shared::{self, Way},
        },
    },
};

/// The methods of the endpoint.
const METHODS: &str = "GET, POST, PUT, DELETE";

/// What to accept, for whoever accepts nothing that is known here.
const ACCEPTABLE: &str = "Accept application/json or application/graphql-response+json; for streams text/event-stream or \
                          multipart/mixed;subscriptionSpec=1.0.";

/// A request whose sender was let in.
pub(crate) struct Call {
    pub(crate) parts: Parts,
    pub(crate) accepts: Accepts,
    pub(crate) caller: Caller,
}

impl Call {
    pub(crate) fn origin(&self, shared: &Shared) -> CallOrigin {
        let Parts {
            extensions,
            headers,
            ..
        } = &self.parts;
        CallOrigin {
            caller: self.caller,
            address: Address::of(extensions, headers, shared.proxies_trusted),
        }
    }

    /// What the client takes, and who asks. A bad token is refused, never taken for nobody.
    async fn admit(shared: &Shared, parts: Parts) -> Result<Self, Response> {
        let accepts = Accepts::read(&parts.headers);
        if accepts.is_empty() {
            return Err(not_acceptable(Media::Json, ACCEPTABLE).into_response());
        }
        match credentials(shared, &parts).await {
            Ok(caller) => Ok(Self {
                parts,
                accepts,
                caller,
            }),
            Err(refusal) => Err(refusal.reply(accepts.media()).into_response()),
        }
    }
}

/// `POST /graphql`.
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let (call, reserved) = match let_in(&shared, parts).await {
        Ok(let_in) => let_in,
        Err(response) => return response,
    };
    let body = match read(&shared, &call, body).await {
        Ok(body) => body,
        Err(reply) => return reply.into_response(),
    };
    let object = match (body, &reserved) {
        (Value::Array(entries), None) => return batch::run(shared, call, entries).await,
        (Value::Object(object), _) => Subscribe::from_object(object),
        _ => Err("it must be a JSON object".to_owned()),
    };
    match object {
        Ok(body) => dispatch(shared, call, reserved, body).await,
        Err(reason) => no_request(&reason).into_response(),
    }
}

/// `GET /graphql`, without an upgrade.
pub(crate) async fn get(shared: Arc<Shared>, parts: Parts) -> Response {
    let query = parts.uri.query().unwrap_or_default().to_owned();
    if query.is_empty() && negotiate::wants_html(&parts.headers) {
        return axum::response::Redirect::temporary("/graphiql").into_response();
    }
    let (call, reserved) = match let_in(&shared, parts).await {
        Ok(let_in) => let_in,
        Err(response) => return response,
    };
    match parameters(&query) {
        Ok(body) => dispatch(shared, call, reserved, body).await,
        Err(error) => Reply::error(StatusCode::BAD_REQUEST, Media::Json, error).into_response(),
    }
}

/// Lets a request in, and finds the reserved stream on which it starts an operation, if it does. An answer if there is
/// nothing else to do.
async fn let_in(
    shared: &Arc<Shared>,
    parts: Parts,
) -> Result<(Call, Option<Arc<Reservation>>), Response> {
    let call = Call::admit(shared, parts).await?;
    match sse_shared::way(shared, &call) {
        Way::Distinct => Ok((call, None)),
        Way::Operate(reservation) => Ok((call, Some(reservation))),
        Way::Open(reservation) => Err(sse_shared::open(shared, &call, reservation)),
        Way::Nowhere => Err(sse_shared::nowhere(call.accepts.media())),
    }
}

/// Any other method.
pub(crate) async fn method_not_allowed(headers: HeaderMap) -> Response {
    Reply::method(Accepts::read(&headers).media(), "Use GET or POST.", METHODS).into_response()
}

/// A bad token, and whether it was the cookie's; or one that cannot be checked for now.
pub(crate) struct Unwelcome {
    error: ApiError,
    by_cookie: bool,
}

impl Unwelcome {
    pub(crate) fn reply(self, media: Media) -> Reply {
        if self.error.is_temporary() {
            return Reply::later(media, &[self.error.into()]);
        }
        let reply = Reply::error(StatusCode::UNAUTHORIZED, media, self.error);
        if self.by_cookie {
            reply.with(header::SET_COOKIE, cookie::clear())
        } else {
            reply
        }
    }
}

/// Who asks: by the `Authorization` header, or by the cookie where that may be used.
pub(crate) async fn credentials(shared: &Shared, parts: &Parts) -> Result<Caller, Unwelcome> {
    if let Some(token) = cookie::token(parts, &shared.site) {
        let viewer = shared.bearer(&format!("Bearer {token}")).await;
        return viewer.map(Caller::Viewer).map_err(|error| Unwelcome {
            error: error.into(),
            by_cookie: true,
        });
    }
    bearer(shared, &parts.headers)
        .await
        .map_err(|error| Unwelcome {
            error,
            by_cookie: false,
        })
}

/// Who asks, by the `Authorization` header.
pub(crate) async fn bearer(shared: &Shared, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let refused = |reason| ApiError::new(Code::Unauthenticated, reason);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(Caller::Anonymous);
    };
    if values.next().is_some() {
        // What stands in front of this server may have looked at another one.
        return Err(refused("the request has more than one authorization"));
    }
    let value = value
        .to_str()
        .map_err(|_| refused("the authorization is no text"))?;
    Ok(Caller::Viewer(shared.bearer(value).await?))
}

/// The body as JSON.
async fn read(shared: &Shared, call: &Call, body: Body) -> Result<Value, Reply> {
    let media = call.accepts.media();
    if !is_json(&call.parts.headers) {
        let error = bad_request("The body must be JSON: send `Content-Type: application/json`.");
        return Err(Reply::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            media,
            error,
        ));
    }
    // The bound on the body travels with the request's parts.
    let request = axum::extract::Request::from_parts(call.parts.clone(), body);
    let body = in_time(
        Bytes::from_request(request, &()),
        shared.limits.body_timeout,
    )
    .await;
    let body = body
        .ok_or_else(|| slow(media))?
        .map_err(|rejection| unread(&rejection, media, shared.limits.body_bytes_max))?;
    serde_json::from_slice(&body).map_err(|error| no_request(&error.to_string()))
}

async fn in_time<F: Future>(future: F, timeout: Duration) -> Option<F::Output> {
    if timeout.is_zero() {
        Some(future.await)
    } else {
        tokio::time::timeout(timeout, future).await.ok()
    }
}

/// The rest of the body may still come, so the connection is of no more use.
fn slow(media: Media) -> Reply {
    let error = bad_request("The body did not come in time.");
    let reply = Reply::error(StatusCode::REQUEST_TIMEOUT, media, error);
    reply.with(header::CONNECTION, HeaderValue::from_static("close"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

fn unread(rejection: &BytesRejection, media: Media, bytes_max: usize) -> Reply {
    let status = rejection.status();
    let error = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            bad_request(format!("The body may have {bytes_max} bytes."))
        }
        _ => bad_request("The body could not be read."),
    };
    Reply::error(status, media, error)
}

/// What is no request at all is not answered as a GraphQL response.
pub(crate) fn no_request(reason: &str) -> Reply {
    let error = bad_request(format!("The body is no GraphQL request: {reason}."));
    Reply::error(StatusCode::BAD_REQUEST, Media::Json, error)
}

/// A request from a query string. An empty parameter is one that was not given.
pub(crate) fn parameters(query: &str) -> Result<Subscribe, ApiError> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
        .map_err(|_| bad_request("The query string cannot be read."))?;
    let mut body = Subscribe::default();
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        let object = |what: &str| {
            let refuse = |_| bad_request(format!("{what} must be a JSON object."));
            serde_json::from_str(&value).map_err(refuse)
        };
        match name.as_str() {
            "variables" => body.variables = object("variables")?,
            "extensions" => body.extensions = object("extensions")?,
            "operationName" => body.operation_name = Some(value),
            "query" => body.query = value,
            "documentId" => body.document_id = Some(value),
            "id" if body.document_id.is_none() => body.document_id = Some(value),
            _ => {}
        }
    }
    if body.names_document() {
        Ok(body)
    } else {
        Err(bad_request("The parameter query is missing."))
    }
}

async fn dispatch(
    shared: Arc<Shared>,
    call: Call,
    reserved: Option<Arc<Reservation>>,
    body: Subscribe,
) -> Response {
    match reserved {
        Some(reservation) => sse_shared::operate(shared, call, reservation, body).await,
        None => run(shared, call, body).await,
    }
}

/// One request, answered by the transport that its kind and its `Accept` ask for.
async fn run(shared: Arc<Shared>, call: Call, body: Subscribe) -> Response {
    // An EventSource comes back also after the end; this is what stops it.
    if call.accepts.takes(Form::EventStream) && Seen::read(&call.parts.headers) == Seen::Everything
    {
        return StatusCode::NO_CONTENT.into_response();
    }
    let media = call.accepts.media();
    let prepared = match operation::prepare(&shared, body) {
        Ok(prepared) => prepared,
        Err(errors) => return unprepared(&shared, &call, errors),
    };
    let form = match prepared.kind() {
        OperationType::Mutation if call.parts.method != Method::POST => {
            return Reply::method(media, "A mutation must be sent by POST.", "POST")
                .into_response();
        }
        OperationType::Subscription => call.accepts.for_stream(),
        OperationType::Query | OperationType::Mutation => call.accepts.for_answer(),
    };
    match form {
        Some(Form::Single(media)) => answer(&shared, &call, prepared, media).await,
        Some(form) => stream(shared, call, form, prepared).await,
        None => not_acceptable(
            media,
            "A subscription needs a stream: accept text/event-stream or multipart/mixed;subscriptionSpec=1.0, or open a \
             WebSocket here, graphql-transport-ws.",
        )
        .into_response(),
    }
}

fn not_acceptable(media: Media, message: &str) -> Reply {
    Reply::error(StatusCode::NOT_ACCEPTABLE, media, bad_request(message))
}

/// A document that did not get as far as having a kind.
fn unprepared(shared: &Arc<Shared>, call: &Call, errors: Vec<ServerError>) -> Response {
    match call.accepts.for_answer() {
        Some(Form::Single(media)) => Reply::refused(&errors, media).into_response(),
        Some(form) if !Code::GraphqlParseFailed.is_of(&errors) => match seat(shared, call) {
            Ok(seat) => respond(
                shared,
                call,
                form,
                Running::Ending(Emitted::Refused(errors)),
                seat,
            ),
            Err(full) => Reply::full(call.accepts.media(), full).into_response(),
        },
        _ => Reply::errors(StatusCode::BAD_REQUEST, Media::Json, &errors).into_response(),
    }
}

/// The place of a stream.
fn seat(shared: &Arc<Shared>, call: &Call) -> Result<ConnectionSlot, Full> {
    ConnectionSlot::take(shared, Client::of(&call.parts, shared.proxies_trusted))?
        .taken_by(call.caller)
}

async fn answer(shared: &Shared, call: &Call, prepared: Prepared, media: Media) -> Response {
    let notes = shared.notes(call.origin(shared).address);
    let reply = match shared
        .schema
        .execute_noting(prepared, call.caller, &notes)
        .await
    {
        Answer::Executed(response) => Reply::executed(&response, media),
        Answer::Refused(errors) => Reply::refused(&errors, media),
    };
    cookie::change(reply, shared, &call.parts, &notes).into_response()
}

/// A subscription is opened before anything is said, so that a server that cannot do it for now says so in the status.
async fn stream(shared: Arc<Shared>, call: Call, form: Form, prepared: Prepared) -> Response {
    let media = call.accepts.media();
    let seat = match seat(&shared, &call) {
        Ok(seat) => seat,
        Err(full) => return Reply::full(media, full).into_response(),
    };
    let resume = match (form, Seen::read(&call.parts.headers)) {
        (Form::EventStream, Seen::UpTo(cursor)) => Some(cursor),
        _ => None,
    };
    let source = match prepared.kind() {
        OperationType::Subscription => {
            match operation::subscribe(&shared, prepared, call.origin(&shared), resume).await {
                Ok(source) => source,
                Err(errors) if errors.iter().any(is_temporary) => {
                    return Reply::later(media, &errors).into_response();
                }
                Err(errors) => Running::Ending(Emitted::Refused(errors)),
            }
        }
        OperationType::Query | OperationType::Mutation => {
            let answer = operation::execute(shared.clone(), prepared, call.origin(&shared));
            Running::Starting(answer.map(|(answer, _)| answer.into()).boxed())
        }
    };
    respond(&shared, &call, form, source, seat)
}

fn respond(
    shared: &Arc<Shared>,
    call: &Call,
    form: Form,
    source: Running,
    seat: ConnectionSlot,
) -> Response {
    match form {
        Form::Multipart => multipart::stream(shared, source, seat),
        _ => sse::stream(shared, source, seat, call.parts.version),
    }
}
