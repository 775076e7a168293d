//! Reads an HTTP request: the credentials, the media types, and the GraphQL request in the query
//! string or in the body.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use crate::{
    domain::Caller,
    limit::unless_zero,
    protocol::{Subscribe, read_json},
    schema::ApiError,
    transport::{
        Shared,
        admission::{
            address::Address,
            slots::{AdmissionError, ConnectionSlot, SlotRequest, counted},
        },
        browser::cookie,
        response::{
            negotiate::{Accepts, Media},
            reply::{Reply, bad_request},
        },
        start::CallOrigin,
    },
};

/// The reply to a request that accepts no media type of this server.
const ACCEPTABLE: &str = "Accept application/json or application/graphql-response+json; for streams text/event-stream or \
                          multipart/mixed;subscriptionSpec=1.0.";

/// A request whose credentials were checked.
pub(crate) struct HttpCall {
    pub(crate) parts: Parts,
    pub(crate) accepts: Accepts,
    pub(crate) caller: Caller,
}

impl HttpCall {
    /// Reads the media types that the client accepts and checks its credentials. The error is the
    /// response to a request that is refused.
    pub(crate) async fn admit(shared: &Shared, parts: Parts) -> Result<Self, Response> {
        let accepts = Accepts::read(&parts.headers);
        if accepts.is_empty() {
            return Err(not_acceptable(Media::Json, ACCEPTABLE).into_response());
        }
        let address = Address::of(&parts.extensions, &parts.headers, shared.proxies_trusted);
        if let Err(error) = shared.admission.check_waiting(address) {
            return Err(error.reply(accepts.media()).into_response());
        }
        match credentials(shared, &parts).await {
            Ok(caller) => Ok(Self {
                parts,
                accepts,
                caller,
            }),
            Err(error) => Err(error.reply(accepts.media()).into_response()),
        }
    }

    /// The caller, and the address that its requests are counted by.
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

    /// The response that a reply becomes. Its memory is counted until the client has taken it. If
    /// too much waits for the client already, the reply is dropped, unless a mutation was executed.
    pub(super) fn respond(&self, shared: &Shared, reply: Reply, is_mutation: bool) -> Response {
        let address = self.origin(shared).address;
        match shared.admission.take_waiting(address, reply.bytes()) {
            Ok(waiting) => reply.into_response_with(|body| counted(body, waiting).into()),
            Err(_) if is_mutation => reply.into_response(),
            Err(error) => error.reply(self.accepts.media()).into_response(),
        }
    }

    /// Takes a slot for a stream.
    pub(super) fn take_slot(&self, shared: &Shared) -> Result<ConnectionSlot, AdmissionError> {
        let request = SlotRequest::of(&self.parts, shared.proxies_trusted);
        ConnectionSlot::take(&shared.admission, request)?.assigned_to(self.caller)
    }

    /// Reads the GraphQL request: of a POST in the body, else in the query string.
    pub(crate) async fn read_request(
        &self,
        shared: &Shared,
        body: Body,
    ) -> Result<Subscribe, Reply> {
        if self.parts.method == Method::POST {
            return request_in(self.read_json(shared, body).await?);
        }
        let query = self.parts.uri.query().unwrap_or_default();
        parameters(query).map_err(|error| Reply::error(StatusCode::BAD_REQUEST, Media::Json, error))
    }

    /// Reads the body as JSON.
    pub(super) async fn read_json(&self, shared: &Shared, body: Body) -> Result<Value, Reply> {
        let media = self.accepts.media();
        if !is_json(&self.parts.headers) {
            let error =
                bad_request("The body must be JSON: send `Content-Type: application/json`.");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Reply::error(status, media, error));
        }
        let length = self.parts.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let length = length.unwrap_or(shared.limits.body_bytes_max);
        let _waiting = shared
            .admission
            .take_waiting(
                self.origin(shared).address,
                length.min(shared.limits.body_bytes_max),
            )
            .map_err(|error| error.reply(media))?;
        // The extractor finds the bound on the body in the request's extensions.
        let request = Request::from_parts(self.parts.clone(), body);
        let reading = Bytes::from_request(request, &());
        let body = tokio::time::timeout(unless_zero(shared.limits.body_timeout), reading)
            .await
            .map_err(|_| body_timed_out(media))?
            .map_err(|rejection| unreadable(&rejection, media, shared.limits.body_bytes_max))?;
        read_json(&body).map_err(|error| not_a_request(&error.to_string()))
    }
}

/// Why the credentials of a request are refused.
pub(crate) struct CredentialsError {
    error: ApiError,
    /// Deletes the cookie, if the token was in it.
    cleared_cookie: Option<HeaderValue>,
}

impl CredentialsError {
    pub(crate) fn reply(self, media: Media) -> Reply {
        if self.error.is_temporary() {
            return Reply::later(media, &[self.error.into()]);
        }
        let reply = Reply::error(StatusCode::UNAUTHORIZED, media, self.error);
        match self.cleared_cookie {
            Some(cookie) => reply.with(header::SET_COOKIE, cookie),
            None => reply,
        }
    }
}

/// The caller by the token in the header, or in the cookie where that may be used. Without a token
/// the caller is anonymous. An invalid token is an error; its sender is never treated as anonymous.
pub(crate) async fn credentials(
    shared: &Shared,
    parts: &Parts,
) -> Result<Caller, CredentialsError> {
    let mut token = shared.token_header.token(&parts.headers);
    let by_cookie = token == Ok(None) && cookie::may_use(parts, &shared.site);
    if by_cookie {
        token = cookie::token(&parts.headers);
    }
    let address = Address::of(&parts.extensions, &parts.headers, shared.proxies_trusted);
    let caller = shared.caller(token, address).await;
    caller.map_err(|error| CredentialsError {
        error: error.into(),
        cleared_cookie: by_cookie.then(|| cookie::clear(&shared.site)),
    })
}

/// Closes the connection: the rest of the body may still arrive, so no other request can follow.
fn body_timed_out(media: Media) -> Reply {
    let error = bad_request("The body was not received in time.");
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

fn unreadable(rejection: &BytesRejection, media: Media, bytes_max: usize) -> Reply {
    let status = rejection.status();
    let error = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            bad_request(format!("The body may have at most {bytes_max} bytes."))
        }
        _ => bad_request("The body could not be read."),
    };
    Reply::error(status, media, error)
}

/// The reply to a body that holds no GraphQL request. It is plain JSON, because there is no request
/// that a GraphQL response could answer.
pub(super) fn not_a_request(reason: &str) -> Reply {
    let error = bad_request(format!("The body is not a GraphQL request: {reason}."));
    Reply::error(StatusCode::BAD_REQUEST, Media::Json, error)
}

pub(super) fn not_acceptable(media: Media, message: &str) -> Reply {
    Reply::error(StatusCode::NOT_ACCEPTABLE, media, bad_request(message))
}

/// The GraphQL request in a JSON body.
pub(super) fn request_in(body: Value) -> Result<Subscribe, Reply> {
    let Value::Object(object) = body else {
        return Err(not_a_request("it must be a JSON object"));
    };
    Subscribe::from_object(object).map_err(|reason| not_a_request(&reason))
}

/// The GraphQL request in a query string. An empty parameter counts as absent.
pub(super) fn parameters(query: &str) -> Result<Subscribe, ApiError> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
        .map_err(|_| bad_request("The query string cannot be read."))?;
    let mut given = Map::new();
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        let value = match name.as_str() {
            "variables" | "extensions" => read_json(value.as_bytes())
                .map_err(|_| bad_request(format!("{name} must be a JSON object.")))?,
            _ => Value::String(value),
        };
        given.insert(name, value);
    }
    Subscribe::from_object(given).map_err(|reason| bad_request(format!("{reason}.")))
}
