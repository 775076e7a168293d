//! GraphQL over HTTP: queries and mutations by POST, queries by GET.

use std::sync::Arc;

use async_graphql::{Response as GraphqlResponse, ServerError, parser::types::OperationType};
use axum::{
    body::Bytes,
    extract::{FromRequest, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    Shared,
    accept::{self, Media},
    operation,
};
use crate::{
    domain::Who,
    protocol::Subscribe,
    schema::{Answer, ApiError, Code},
};

/// A request that did not get as far as GraphQL, or an answer of GraphQL's.
struct Reply {
    status: StatusCode,
    media: Media,
    body: String,
    allow: Option<&'static str>,
}

impl Reply {
    fn error(status: StatusCode, media: Media, error: ApiError) -> Self {
        Self::errors(status, media, vec![error.into()])
    }

    /// Errors of the request: no `data` at all.
    fn errors(status: StatusCode, media: Media, errors: Vec<ServerError>) -> Self {
        let body = format!(r#"{{"errors":{}}}"#, operation::errors_json(&errors));
        Self { status, media, body, allow: None }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media.content_type()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::BadUserInput, message)
}

/// `POST /graphql`.
pub(super) async fn post(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let (media, who) = match admit(&shared, &parts.headers).await {
        Ok(admitted) => admitted,
        Err(reply) => return reply.into_response(),
    };
    if !is_json(&parts.headers) {
        let error = bad_request("The body must be JSON: send `Content-Type: application/json`.");
        return Reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, media, error).into_response();
    }
    let request = axum::extract::Request::from_parts(parts, body);
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return unread(&rejection, media, shared.limits.body_bytes_max).into_response(),
    };
    let read = serde_json::from_slice(&body).map_err(|error| error.to_string()).and_then(Subscribe::from_object);
    match read {
        Ok(body) => run(shared, body, who, media, Method::POST).await.into_response(),
        Err(reason) => {
            let error = bad_request(format!("The body is no GraphQL request: {reason}."));
            // What is no request at all is not answered as a GraphQL response.
            Reply::error(StatusCode::BAD_REQUEST, Media::Json, error).into_response()
        }
    }
}

/// `GET /graphql`, without an upgrade.
pub(super) async fn get(shared: Arc<Shared>, headers: HeaderMap, query: &str) -> Response {
    if query.is_empty() && accept::wants_html(&headers) {
        return axum::response::Redirect::temporary("/graphiql").into_response();
    }
    let (media, who) = match admit(&shared, &headers).await {
        Ok(admitted) => admitted,
        Err(reply) => return reply.into_response(),
    };
    match parameters(query) {
        Ok(body) => run(shared, body, who, media, Method::GET).await.into_response(),
        Err(error) => Reply::error(StatusCode::BAD_REQUEST, Media::Json, error).into_response(),
    }
}

/// Any other method.
pub(super) async fn method_not_allowed(headers: HeaderMap) -> Response {
    let media = accept::negotiate(&headers).unwrap_or(Media::Json);
    let mut reply = Reply::error(StatusCode::METHOD_NOT_ALLOWED, media, bad_request("Use GET or POST."));
    reply.allow = Some("GET, POST");
    reply.into_response()
}

/// The media type of the answer, and who asks. A bad token is refused, never taken for nobody.
async fn admit(shared: &Shared, headers: &HeaderMap) -> Result<(Media, Who), Reply> {
    let Some(media) = accept::negotiate(headers) else {
        let error = bad_request("Accept application/graphql-response+json or application/json.");
        return Err(Reply::error(StatusCode::NOT_ACCEPTABLE, Media::Json, error));
    };
    match bearer(shared, headers).await {
        Ok(who) => Ok((media, who)),
        Err(error) if error.is_passing() => Err(Reply::error(StatusCode::SERVICE_UNAVAILABLE, media, error)),
        Err(error) => Err(Reply::error(StatusCode::UNAUTHORIZED, media, error)),
    }
}

/// Who asks, by the `Authorization` header.
pub(super) async fn bearer(shared: &Shared, headers: &HeaderMap) -> Result<Who, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Who::Nobody) };
    let value = value.to_str().map_err(|_| ApiError::new(Code::Unauthenticated, "the authorization is no text"))?;
    Ok(Who::Viewer(shared.bearer(value).await?))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

fn unread(rejection: &BytesRejection, media: Media, bytes_max: usize) -> Reply {
    let status = rejection.status();
    let error = match status {
        StatusCode::PAYLOAD_TOO_LARGE => bad_request(format!("The body may have {bytes_max} bytes.")),
        _ => bad_request("The body could not be read."),
    };
    Reply::error(status, media, error)
}

/// A request from a query string. An empty parameter is one that was not given.
fn parameters(query: &str) -> Result<Subscribe, ApiError> {
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(query).map_err(|_| bad_request("The query string cannot be read."))?;
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
            _ => {}
        }
    }
    if body.query.is_empty() { Err(bad_request("The parameter query is missing.")) } else { Ok(body) }
}

async fn run(shared: Arc<Shared>, body: Subscribe, who: Who, media: Media, method: Method) -> Reply {
    let prepared = match shared.schema.prepare(operation::request(body)) {
        Ok(prepared) => prepared,
        Err(errors) => return refused(errors, media),
    };
    match (prepared.kind(), method) {
        (OperationType::Mutation, Method::GET) => {
            let error = bad_request("A mutation must be sent by POST.");
            let mut reply = Reply::error(StatusCode::METHOD_NOT_ALLOWED, media, error);
            reply.allow = Some("POST");
            reply
        }
        (OperationType::Subscription, _) => {
            let error = bad_request("A subscription needs a stream: open a WebSocket here, graphql-transport-ws.");
            Reply::error(StatusCode::NOT_ACCEPTABLE, media, error)
        }
        _ => match shared.schema.execute(prepared, who).await {
            Answer::Executed(response) => executed(&response, media),
            Answer::Refused(errors) => refused(errors, media),
        },
    }
}

fn executed(response: &GraphqlResponse, media: Media) -> Reply {
    let body = serde_json::to_string(response).expect("a response has a JSON form");
    Reply { status: StatusCode::OK, media, body, allow: None }
}

/// A document that cannot be run. Clients of `application/json` read the errors only from a 200.
fn refused(errors: Vec<ServerError>, media: Media) -> Reply {
    let status = match media {
        Media::Json => StatusCode::OK,
        Media::GraphqlResponse => StatusCode::BAD_REQUEST,
    };
    Reply::errors(status, media, errors)
}
