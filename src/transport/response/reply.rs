//! Responses that are one JSON text.

use std::time::Duration;

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    quota::retry_after_seconds,
    schema::{ApiError, Code},
    transport::{
        operation::{refused_json, response_json},
        response::negotiate::Media,
    },
};

/// Seconds after which a client may retry when the server is unavailable.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A response that is one JSON text: a GraphQL response, or an error before GraphQL was reached.
pub(crate) struct Reply {
    status: StatusCode,
    media: Media,
    body: String,
    extra_headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// A reply with this body.
    pub(crate) fn new(status: StatusCode, media: Media, body: String) -> Self {
        Self {
            status,
            media,
            body,
            extra_headers: Vec::new(),
        }
    }

    /// A reply with one error.
    pub(crate) fn error(status: StatusCode, media: Media, error: ApiError) -> Self {
        Self::errors(status, media, &[error.into()])
    }

    /// A reply with errors and no `data`: the request was not executed.
    pub(crate) fn errors(status: StatusCode, media: Media, errors: &[ServerError]) -> Self {
        Self::new(status, media, refused_json(errors))
    }

    /// The reply to a request that was executed.
    pub(crate) fn executed(response: &GraphqlResponse, media: Media) -> Self {
        Self::new(StatusCode::OK, media, response_json(response))
    }

    /// The reply to a document that cannot be executed. Clients that accept only `application/json`
    /// read errors only from a response with status 200.
    pub(crate) fn refused(errors: &[ServerError], media: Media) -> Self {
        let status = match media {
            Media::Json => StatusCode::OK,
            Media::GraphqlResponse => StatusCode::BAD_REQUEST,
        };
        Self::errors(status, media, errors)
    }

    /// The method is not allowed. `allow` lists the methods that are.
    pub(crate) fn method(media: Media, message: &str, allow: &'static str) -> Self {
        let reply = Self::error(StatusCode::METHOD_NOT_ALLOWED, media, bad_request(message));
        reply.with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// The same request may succeed a moment later (503).
    pub(crate) fn later(media: Media, errors: &[ServerError]) -> Self {
        Self::errors(StatusCode::SERVICE_UNAVAILABLE, media, errors)
            .with(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// The reply to a request that exceeds a request rate.
    pub(crate) fn too_many_requests(media: Media, wait: Duration) -> Self {
        Self::rate_limited(media, "You send too many requests.", wait)
    }

    /// A reply with RATE_LIMITED, and the time to wait.
    pub(crate) fn rate_limited(media: Media, message: &str, wait: Duration) -> Self {
        let error = ApiError::rate_limited(message, wait);
        let reply = Self::error(StatusCode::TOO_MANY_REQUESTS, media, error);
        reply.with(
            header::RETRY_AFTER,
            HeaderValue::from(retry_after_seconds(wait)),
        )
    }

    /// The length of the body, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// The response, with a body that `wrap` makes of its text.
    pub(crate) fn into_response_with(self, wrap: impl FnOnce(Vec<u8>) -> Body) -> Response {
        let mut response = (self.status, wrap(self.body.into_bytes())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.media.content_type()),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.extend(self.extra_headers);
        response
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.extra_headers.push((name, value));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        self.into_response_with(Body::from)
    }
}

/// An error in the client's request.
pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::BadUserInput, message)
}
