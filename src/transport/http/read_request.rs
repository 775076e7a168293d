//! An entry point for the fuzz target: reads the parts of a request as the handlers read them, from
//! any bytes.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::{
    protocol::{Subscribe, read_json},
    transport::{
        http::request::parameters,
        response::negotiate::{Accepts, wants_html},
        streaming::sse::{LAST_EVENT_ID, Resumption},
    },
};

/// The parts of a request that the handlers read before they execute it.
#[derive(Debug)]
pub struct ReadRequest {
    /// The client accepts at least one media type of the server.
    pub acceptable: bool,
    /// A subscription would be answered with an event stream or a multipart response.
    pub streams: bool,
    /// The client resumes an event stream, or has seen its end.
    pub resumes: bool,
    /// The GraphQL request in the query string. None if it cannot be read.
    pub by_query: Option<Subscribe>,
    /// The GraphQL request in the body. None if it cannot be read.
    pub by_body: Option<Subscribe>,
}

/// Reads the parts of a request. The server does not call this; the fuzz target does.
pub fn read_request(accept: &[u8], last_event_id: &[u8], query: &str, body: &[u8]) -> ReadRequest {
    let mut headers = HeaderMap::new();
    for (name, value) in [(header::ACCEPT, accept), (LAST_EVENT_ID, last_event_id)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let accepts = Accepts::read(&headers);
    let by_body = read_json(body)
        .ok()
        .and_then(|body| Subscribe::from_object(body).ok());
    ReadRequest {
        acceptable: !accepts.is_empty() || wants_html(&headers),
        streams: accepts.for_stream().is_some(),
        resumes: Resumption::read(&headers) != Resumption::None,
        by_query: parameters(query).ok(),
        by_body,
    }
}
