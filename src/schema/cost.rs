//! Bounds the cost of one response: reads of the store, and bytes of JSON.
//!
//! `prepare` bounds what a document contains before it runs. The number of rows and texts in the
//! result is known only while it runs. So every read and every resolved value is charged to a
//! [`CostMeter`]. The requests of a batch share one meter. A subscription has a new allowance for
//! each event.
//!
//! When a limit is exceeded, the response gets one TOO_COMPLEX error per root field. A null further
//! down could be mistaken for a result, and one error per value could be as long as the refused
//! result.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use async_graphql::{
    PathSegment, QueryPathNode, QueryPathSegment, Response, ServerError, Value,
    parser::types::OperationType,
};
use futures::lock;

use super::error::{ApiError, Code};
use crate::{store::StoreError, sync::Mutex};

/// After this many resolved values an execution yields to other tasks of its thread. With nested
/// lists it may resolve a few times as many, because each level of nesting is polled separately.
const VALUES_PER_YIELD: usize = 64;

/// Approximate JSON size, in bytes, of a number, a Boolean, null or an enum value.
const SCALAR_BYTES: usize = 5;

/// The limits of one response. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostLimits {
    /// Reads of the store.
    pub reads_max: usize,
    /// Bytes of `data` as JSON.
    pub bytes_max: usize,
}

/// The kind of response that a meter bounds, for error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MeteredResponse {
    Answer,
    Batch,
    Frame,
}

impl MeteredResponse {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "an answer",
            Self::Batch => "all answers of a batch together",
            Self::Frame => "one result of a subscription",
        }
    }
}

/// Counts what one response, or one batch of responses, has cost so far.
#[derive(Debug)]
pub struct CostMeter {
    response: MeteredResponse,
    limits: CostLimits,
    reads: AtomicUsize,
    bytes: AtomicUsize,
    values: AtomicUsize,
    /// A read timed out. Further reads fail at once instead of waiting for the same time-out.
    store_is_busy: AtomicBool,
    /// Held during a read, so that one response does not occupy several database connections.
    read_turn: lock::Mutex<()>,
}

impl CostMeter {
    pub(super) fn new(response: MeteredResponse, limits: CostLimits) -> Arc<Self> {
        let [reads, bytes, values] = [const { AtomicUsize::new(0) }; 3];
        Arc::new(Self {
            response,
            limits,
            reads,
            bytes,
            values,
            store_is_busy: AtomicBool::new(false),
            read_turn: lock::Mutex::default(),
        })
    }

    fn reset(&self) {
        self.reads.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.store_is_busy.store(false, Ordering::Relaxed);
    }

    /// Whether a limit is exceeded. From then on, all further reads and values are refused.
    fn is_exceeded(&self) -> bool {
        exceeds(&self.reads, self.limits.reads_max) || exceeds(&self.bytes, self.limits.bytes_max)
    }

    /// Charges and runs one read.
    ///
    /// # Errors
    /// TOO_COMPLEX if a limit is exceeded, UNAVAILABLE if the store is busy, INTERNAL if it failed.
    pub(super) async fn read<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.is_exceeded() {
            return Err(self.refusal());
        }
        let _turn = self.read_turn.lock().await;
        // Other fields of this response may have exceeded a limit while this one waited.
        if self.is_exceeded() {
            return Err(self.refusal());
        }
        if self.store_is_busy.load(Ordering::Relaxed) {
            return Err(ApiError::busy());
        }
        let read = read.await;
        self.store_is_busy
            .fetch_or(matches!(read, Err(StoreError::Busy(_))), Ordering::Relaxed);
        Ok(read?)
    }

    fn refusal(&self) -> ApiError {
        let (limit, unit) = match exceeds(&self.reads, self.limits.reads_max) {
            true => (self.limits.reads_max, "reads of the database"),
            false => (self.limits.bytes_max, "bytes"),
        };
        let response = self.response.as_str();
        let message =
            format!("The request asks for too much; the limit of {response} is {limit} {unit}.");
        ApiError::new(Code::TooComplex, message)
    }
}

fn exceeds(count: &AtomicUsize, limit: usize) -> bool {
    limit != 0 && count.load(Ordering::Relaxed) > limit
}

/// Why a root field has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// It ran, and its result exceeded a limit.
    Result,
    /// It did not run: a limit was exceeded before.
    Field,
}

/// The cost of one execution: what it charges to the meter, and which root fields were refused.
pub(super) struct ResponseCost {
    meter: Arc<CostMeter>,
    /// Refused root fields by response key.
    refused: Mutex<BTreeMap<String, Refused>>,
}

impl ResponseCost {
    pub(super) fn new(meter: Arc<CostMeter>) -> Arc<Self> {
        Arc::new(Self {
            meter,
            refused: Mutex::default(),
        })
    }

    /// Starts a new response with a full allowance: the next event of a subscription.
    pub(super) fn reset(&self) {
        self.meter.reset();
        self.refused.lock().clear();
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.meter.is_exceeded()
    }

    /// Charges the JSON bytes of a resolved value. The members of an object or a list were charged
    /// when they were resolved; this adds the keys and punctuation. From time to time it yields to
    /// other tasks, because values that are in memory are resolved without ever waiting.
    pub(super) async fn charge(&self, value: &Value) {
        self.meter
            .bytes
            .fetch_add(json_bytes(value), Ordering::Relaxed);
        let values = self.meter.values.fetch_add(1, Ordering::Relaxed) + 1;
        if values.is_multiple_of(VALUES_PER_YIELD) {
            yield_now().await;
        }
    }

    /// Charges a value and all values in it, which were not charged before.
    pub(super) async fn charge_whole(&self, value: &Value) {
        let (bytes, values) = whole(value);
        self.meter.bytes.fetch_add(bytes, Ordering::Relaxed);
        let before = self.meter.values.fetch_add(values, Ordering::Relaxed);
        if before / VALUES_PER_YIELD != (before + values) / VALUES_PER_YIELD {
            yield_now().await;
        }
    }

    /// Refuses the result of the root field above `place`.
    pub(super) fn refuse_result(&self, place: &QueryPathNode<'_>) {
        self.refuse(place, Refused::Result);
    }

    /// Refuses to resolve the field at `place`. If it is a root field, it does not run at all.
    pub(super) fn refuse_field(&self, place: &QueryPathNode<'_>) {
        let is_root = place.parent.is_none();
        self.refuse(
            place,
            if is_root {
                Refused::Field
            } else {
                Refused::Result
            },
        );
    }

    fn refuse(&self, place: &QueryPathNode<'_>, refused: Refused) {
        let root = place.parents().last().unwrap_or(place);
        let QueryPathSegment::Name(key) = root.segment else {
            return;
        };
        let mut fields = self.refused.lock();
        if !fields.contains_key(key) {
            fields.insert(key.to_owned(), refused);
        }
    }

    /// Replaces the errors below each refused root field by one TOO_COMPLEX error for that field.
    /// `null_propagation` then sets the fields to null.
    pub(super) fn settle(&self, response: &mut Response, kind: OperationType) {
        let refused = std::mem::take(&mut *self.refused.lock());
        if refused.is_empty() {
            return;
        }
        let is_below_refused = |error: &ServerError| match error.path.first() {
            Some(PathSegment::Field(key)) => refused.contains_key(key),
            _ => false,
        };
        response.errors.retain(|error| !is_below_refused(error));
        response
            .errors
            .extend(refused.into_iter().map(|(key, how)| {
                let refusal = self.meter.refusal().with_sentence(effect(kind, how));
                let mut error = ServerError::from(refusal);
                error.path = vec![PathSegment::Field(key)];
                error
            }));
    }
}

/// Lets every other task of this thread that is ready run once.
async fn yield_now() {
    let mut has_yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// For a refused mutation: whether the change was made.
fn effect(kind: OperationType, refused: Refused) -> &'static str {
    match (kind, refused) {
        (OperationType::Mutation, Refused::Result) => {
            "The change was made; only its answer is missing."
        }
        (OperationType::Mutation, Refused::Field) => "Nothing was done.",
        _ => "",
    }
}

/// JSON bytes of a value without its members: keys, quotes and punctuation.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => json_string_bytes(text),
        // Per member: two quotes, a colon, and a comma or a brace.
        Value::Object(fields) => 2 + fields.keys().map(|key| key.len() + 4).sum::<usize>(),
        Value::List(items) => 2 + items.len(),
        _ => SCALAR_BYTES,
    }
}

/// JSON bytes of a value with its members, and the number of values.
fn whole(value: &Value) -> (usize, usize) {
    let mut sum = (json_bytes(value), 1);
    let mut add = |member: &Value| {
        let (bytes, values) = whole(member);
        sum = (sum.0 + bytes, sum.1 + values);
    };
    match value {
        Value::Object(fields) => fields.values().for_each(&mut add),
        Value::List(items) => items.iter().for_each(&mut add),
        _ => {}
    }
    sum
}

/// JSON bytes of a string, escapes and quotes included.
fn json_string_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_string_are_those_of_its_json() {
        for text in [
            "",
            "plain",
            "\"\\\n\r\t\u{8}\u{c}",
            "\u{1}\u{1f}",
            "ä€😀\u{7f}\u{2028}",
        ] {
            let written = serde_json::to_string(text).unwrap();
            assert_eq!(json_string_bytes(text), written.len(), "{text:?}");
        }
    }

    #[test]
    fn the_bytes_of_an_object_are_about_those_of_its_json() {
        let json = serde_json::json!({ "id": "1", "of": { "a": ["x", "y"] } });
        let object = Value::from_json(json).unwrap();
        let Value::Object(fields) = &object else {
            unreachable!()
        };
        let Value::Object(below) = &fields["of"] else {
            unreachable!()
        };
        let Value::List(items) = &below["a"] else {
            unreachable!()
        };
        let all = [
            &object,
            &fields["id"],
            &fields["of"],
            &below["a"],
            &items[0],
            &items[1],
        ];
        let counted = all.into_iter().map(json_bytes).sum::<usize>();
        let written = serde_json::to_string(&object).unwrap().len();
        assert!(
            (written..written + all.len()).contains(&counted),
            "{counted} for {written}"
        );
    }
}
