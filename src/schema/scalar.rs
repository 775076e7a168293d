//! Scalars on the wire.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::domain::{self, Timestamp};

pub(super) struct Cursor(pub(super) String);

impl From<&domain::Cursor> for Cursor {
    fn from(cursor: &domain::Cursor) -> Self {
        Self(cursor.to_string())
    }
}

/// An opaque position in a room's log: it holds the room, the log's epoch and the Seq. Give it back as `after` to go on
/// from there, on any node, at any later time. Another room's cursor is BAD_USER_INPUT; one of another epoch or beyond the
/// head is CURSOR_EXPIRED with the oldest cursor there is.
#[Scalar]
impl ScalarType for Cursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            // Whether it is a good one is the resolver's question: the answer has a code.
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

pub(super) struct DateTime(pub(super) Timestamp);

/// A moment as RFC 3339, in UTC.
#[Scalar(specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        let moment = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| InputValueError::expected_type(value.clone()))?;
        Timestamp::from_nanoseconds(moment.unix_timestamp_nanos())
            .map(Self)
            .ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(self.0.nanoseconds());
        let text = moment.ok().and_then(|moment| moment.format(&Rfc3339).ok());
        text.map_or(Value::Null, Value::String)
    }
}
