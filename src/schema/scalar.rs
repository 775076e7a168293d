//! The scalars of the schema.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::domain::{self, Timestamp};

pub(super) struct CursorScalar(pub(super) String);

impl From<&domain::Cursor> for CursorScalar {
    fn from(cursor: &domain::Cursor) -> Self {
        Self(cursor.to_string())
    }
}

/// An opaque position in a room's log. Pass it as `after` to continue from that position, at any
/// later time. A cursor of another room fails with BAD_USER_INPUT. A cursor of another database, or
/// beyond the end of the log, fails with CURSOR_EXPIRED; `extensions.oldest` is then the cursor of
/// the beginning of the log.
#[Scalar(name = "Cursor")]
impl ScalarType for CursorScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            // The resolver checks it, because its errors carry a code.
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

pub(super) struct DateTime(pub(super) Timestamp);

/// A time in RFC 3339 format, in UTC.
#[Scalar(specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        parse_time(text)
            .map(Self)
            .ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        format_time(self.0).map_or(Value::Null, Value::String)
    }
}

/// Reads a time in RFC 3339 format.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Timestamp::from_nanoseconds(moment.unix_timestamp_nanos())
}

/// A time in RFC 3339 format, in UTC. None before the year 0 and after the year 9999.
pub fn format_time(time: Timestamp) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(time.nanoseconds());
    moment.ok()?.format(&Rfc3339).ok()
}
