//! The encoded result of a document on one event.

use std::sync::Arc;

use async_graphql::{Response, ServerError, Value};
use serde::Serialize;

use crate::domain::{Cursor, Seq};

/// A GraphQL result as JSON text, made once and shared by all readers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The event that this shows.
    pub seq: Seq,
    /// `{"data":…,"extensions":{"cursor":"…"}}`.
    pub payload: Arc<str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    data: &'a Value,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    extensions: Extensions,
}

#[derive(Serialize)]
struct Extensions {
    cursor: String,
}

impl Frame {
    pub(super) fn new(cursor: &Cursor, response: &Response) -> Self {
        let extensions = Extensions { cursor: cursor.to_string() };
        let payload = Payload { data: &response.data, errors: &response.errors, extensions };
        let text = serde_json::to_string(&payload).expect("a response has a JSON form");
        Self { seq: cursor.seq, payload: text.into() }
    }

    /// About how many bytes of memory this frame holds, for bounds.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}
