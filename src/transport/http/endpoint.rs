//! Queries, mutations and subscriptions over HTTP, each answered by a response of its own.

use std::sync::Arc;

use async_graphql::{ServerError, parser::types::OperationType};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use serde_json::Value;

use crate::{
    protocol::Subscribe,
    schema::{Answer, Code, Prepared, is_temporary},
    transport::{
        Shared,
        admission::slots::ConnectionSlot,
        browser::cookie,
        http::{
            batch,
            request::{HttpCall, not_acceptable, parameters, request_in},
        },
        operation::{OperationEnd, Running},
        response::{
            negotiate::{self, Accepts, Form, Media},
            reply::Reply,
        },
        start,
        streaming::{
            multipart,
            sse::{self, Resumption},
        },
    },
};

/// The methods of the endpoint.
const METHODS: &str = "GET, POST, PUT, DELETE";

/// `POST /graphql`.
pub(crate) async fn post(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let call = match HttpCall::admit(&shared, parts).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let body = match call.read_json(&shared, body).await {
        Ok(Value::Array(entries)) => return batch::run(shared, call, entries).await,
        Ok(body) => request_in(body),
        Err(reply) => Err(reply),
    };
    match body {
        Ok(body) => respond(shared, call, body).await,
        Err(reply) => reply.into_response(),
    }
}

/// `GET /graphql`, without an upgrade to WebSocket. A browser that navigates here is sent to the
/// playground.
pub(crate) async fn get(shared: Arc<Shared>, parts: Parts) -> Response {
    let query = parts.uri.query().unwrap_or_default().to_owned();
    if query.is_empty() && negotiate::wants_html(&parts.headers) {
        let playground = shared.site.base_path.playground(parts.uri.path());
        return Redirect::temporary(&playground).into_response();
    }
    let call = match HttpCall::admit(&shared, parts).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    match parameters(&query) {
        Ok(body) => respond(shared, call, body).await,
        Err(error) => Reply::error(StatusCode::BAD_REQUEST, Media::Json, error).into_response(),
    }
}

/// Any other method.
pub(crate) async fn method_not_allowed(headers: HeaderMap) -> Response {
    Reply::method(Accepts::read(&headers).media(), "Use GET or POST.", METHODS).into_response()
}

/// Executes a request and responds in the form that the client prefers for its kind of operation.
async fn respond(shared: Arc<Shared>, call: HttpCall, body: Subscribe) -> Response {
    // An EventSource that reconnects after its last result stops only at this status.
    if call.accepts.accepts_form(Form::EventStream)
        && Resumption::read(&call.parts.headers) == Resumption::Ended
    {
        return StatusCode::NO_CONTENT.into_response();
    }
    let media = call.accepts.media();
    let prepared = match start::prepare(&shared, body) {
        Ok(prepared) => prepared,
        Err(errors) => return refuse(&shared, &call, errors),
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

/// The response to a document that could not be prepared, so that its kind is not known.
fn refuse(shared: &Arc<Shared>, call: &HttpCall, errors: Vec<ServerError>) -> Response {
    match call.accepts.for_answer() {
        Some(Form::Single(media)) => Reply::refused(&errors, media).into_response(),
        Some(form) if !Code::GraphqlParseFailed.is_of(&errors) => match call.take_slot(shared) {
            Ok(slot) => {
                let running = Running::ending(OperationEnd::Refused(errors));
                stream_response(shared, call, form, running, slot)
            }
            Err(error) => error.reply(call.accepts.media()).into_response(),
        },
        _ => Reply::errors(StatusCode::BAD_REQUEST, Media::Json, &errors).into_response(),
    }
}

/// Executes a query or a mutation and responds with one JSON text.
async fn answer(shared: &Shared, call: &HttpCall, prepared: Prepared, media: Media) -> Response {
    let context = shared.request_context(call.origin(shared).address);
    let is_mutation = prepared.kind() == OperationType::Mutation;
    let address = call.origin(shared).address;
    let permit = shared.admission.admit_execution(address, &prepared).await;
    let answer = shared
        .schema
        .execute(prepared, call.caller, &context, None)
        .await;
    let reply = match answer {
        Answer::Executed(response) => Reply::executed(&response, media),
        Answer::Refused(errors) => Reply::refused(&errors, media),
    };
    drop(permit);
    let reply = cookie::update(reply, &shared.site, (shared.clock)(), &call.parts, &context);
    call.respond(shared, reply, is_mutation)
}

/// Responds with a stream. A subscription is opened first, so that the status can say that the
/// server cannot serve it for now.
async fn stream(shared: Arc<Shared>, call: HttpCall, form: Form, prepared: Prepared) -> Response {
    let media = call.accepts.media();
    let slot = match call.take_slot(&shared) {
        Ok(slot) => slot,
        Err(error) => return error.reply(media).into_response(),
    };
    let resume = match (form, Resumption::read(&call.parts.headers)) {
        (Form::EventStream, Resumption::After(cursor)) => Some(cursor),
        _ => None,
    };
    let is_subscription = prepared.is_subscription();
    let starting = start::start(shared.clone(), prepared, call.origin(&shared), resume);
    let running = if is_subscription {
        match starting.await {
            Ok(running) => running,
            Err(errors) if errors.iter().any(is_temporary) => {
                return Reply::later(media, &errors).into_response();
            }
            Err(errors) => Running::ending(OperationEnd::Refused(errors)),
        }
    } else {
        Running::starting(starting)
    };
    stream_response(&shared, &call, form, running, slot)
}

fn stream_response(
    shared: &Arc<Shared>,
    call: &HttpCall,
    form: Form,
    running: Running,
    slot: ConnectionSlot,
) -> Response {
    match form {
        Form::Multipart => multipart::response(shared, running, slot),
        Form::EventStream | Form::Single(_) => {
            sse::response(shared, running, slot, call.parts.version)
        }
    }
}
