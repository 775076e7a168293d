//! Answers that are one JSON text.

use std::time::Duration;

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    quota::retry_after_seconds,
    schema::{ApiError, Code},
    transport::{
        admission::slots::{Full, LEAVING_WAIT},
        http::negotiate::Media,
        operation,
    },
};

/// After how many seconds one who was turned away may come back.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A request that did not get as far as GraphQL, or an answer of GraphQL's.
pub(crate) struct Reply {
    status: StatusCode,
    media: Media,
    body: String,
    more: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// A body that is ready.
    pub(crate) fn new(status: StatusCode, media: Media, body: String) -> Self {
        Self {
            status,
            media,
            body,
            more: Vec::new(),
        }
    }

    pub(crate) fn error(status: StatusCode, media: Media, error: ApiError) -> Self {
        Self::errors(status, media, &[error.into()])
    }

    /// Errors of the request: no `data` at all.
    pub(crate) fn errors(status: StatusCode, media: Media, errors: &[ServerError]) -> Self {
        Self::new(
            status,
            media,
            format!(r#"{{"errors":{}}}"#, operation::errors_json(errors)),
        )
    }

    /// It ran.
    pub(crate) fn executed(response: &GraphqlResponse, media: Media) -> Self {
        let body = serde_json::to_string(response).expect("a response has a JSON form");
        Self::new(StatusCode::OK, media, body)
    }

    /// A document that cannot be run. Clients of `application/json` read the errors only from a 200.
    pub(crate) fn refused(errors: &[ServerError], media: Media) -> Self {
        let status = match media {
            Media::Json => StatusCode::OK,
            Media::GraphqlResponse => StatusCode::BAD_REQUEST,
        };
        Self::errors(status, media, errors)
    }

    /// Not by this method.
    pub(crate) fn method(media: Media, message: &str, allow: &'static str) -> Self {
        let reply = Self::error(StatusCode::METHOD_NOT_ALLOWED, media, bad_request(message));
        reply.with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// The same request may succeed a moment later.
    pub(crate) fn later(media: Media, errors: &[ServerError]) -> Self {
        Self::errors(StatusCode::SERVICE_UNAVAILABLE, media, errors)
            .with(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// There is no place for one more connection.
    pub(crate) fn full(media: Media, full: Full) -> Self {
        match full {
            Full::Server => {
                let message = "The server has as many connections as it takes; try again.";
                Self::later(media, &[ApiError::new(Code::Unavailable, message).into()])
            }
            Full::Address => Self::too_many(
                media,
                "Your address has as many connections as it may have.",
                LEAVING_WAIT,
            ),
            Full::User => Self::too_many(
                media,
                "You have as many connections as you may have.",
                LEAVING_WAIT,
            ),
            Full::TooOften(wait) => Self::too_many(media, "Your address connects too often.", wait),
        }
    }

    /// There were as many requests as there may be for now.
    pub(crate) fn too_fast(media: Media, wait: Duration) -> Self {
        Self::too_many(media, "You send too many requests.", wait)
    }

    fn too_many(media: Media, message: &str, wait: Duration) -> Self {
        let error = ApiError::rate_limited(message, wait);
        let reply = Self::error(StatusCode::TOO_MANY_REQUESTS, media, error);
        reply.with(
            header::RETRY_AFTER,
            HeaderValue::from(retry_after_seconds(wait)),
        )
    }

    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.more.push((name, value));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.media.content_type()),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.extend(self.more);
        response
    }
}

pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::BadUserInput, message)
}
