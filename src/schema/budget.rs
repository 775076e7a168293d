//! What one answer may cost.
//!
//! What stands in a document is bounded before it runs (`prepare`); how many rows and texts that comes to is known only while it
//! runs. So whatever reads or answers draws from a budget: reads of the store, and bytes of the answer as JSON. A batch of
//! requests has one budget; of a subscription each event has a new one.
//!
//! What overdraws it is answered by one TOO_COMPLEX per field of the root: a null further down could be mistaken for an
//! answer, and an error for each could be as long as what was refused.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use async_graphql::{
    Context, PathSegment, QueryPathNode, QueryPathSegment, Response, ServerError, Value,
    parser::types::OperationType,
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
    lock,
};

use super::error::{ApiError, Code};
use crate::{
    domain::{Member, Message, MessageId, Room, RoomId, Timestamp, UserId, Who},
    store::{Log, StoreError},
};

/// Values that are resolved before others on the same thread have their turn. It comes to a few times that where lists are nested:
/// each level polls on for a while when one of its entries rests.
const VALUES_AT_ONCE: usize = 64;

/// About what a value takes that is neither a text nor made of others.
const SCALAR_BYTES: usize = 5;

/// What one answer may cost. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Reads of the store.
    pub reads_max: usize,
    /// Bytes of data as JSON.
    pub bytes_max: usize,
}

/// For whom a budget is, as its errors say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Answer,
    Batch,
    Frame,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "an answer",
            Self::Batch => "all answers of a batch together",
            Self::Frame => "one result of a subscription",
        }
    }
}

/// What is left for one answer, or for those of a batch.
#[derive(Debug)]
pub struct Budget {
    purpose: Purpose,
    limits: BudgetLimits,
    reads: AtomicUsize,
    bytes: AtomicUsize,
    values: AtomicUsize,
    /// The store did not answer in time: it is not waited for again, once for each thing that is asked for.
    is_busy: AtomicBool,
    /// One read at a time, so that an answer takes turns with others, however many reads it needs.
    turn: lock::Mutex<()>,
}

impl Budget {
    pub(super) fn new(purpose: Purpose, limits: BudgetLimits) -> Arc<Self> {
        let [reads, bytes, values] = [const { AtomicUsize::new(0) }; 3];
        Arc::new(Self {
            purpose,
            limits,
            reads,
            bytes,
            values,
            is_busy: AtomicBool::new(false),
            turn: lock::Mutex::default(),
        })
    }

    fn renew(&self) {
        self.reads.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.is_busy.store(false, Ordering::Relaxed);
    }

    /// Whether more was drawn than there was. It stays so: what comes after is refused too.
    fn is_overdrawn(&self) -> bool {
        over(&self.reads, self.limits.reads_max) || over(&self.bytes, self.limits.bytes_max)
    }

    async fn read<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.is_overdrawn() {
            return Err(self.refusal());
        }
        let _turn = self.turn.lock().await;
        // Others may have drawn more while this waited: what is too much is not read to the end.
        if self.is_overdrawn() {
            return Err(self.refusal());
        }
        if self.is_busy.load(Ordering::Relaxed) {
            return Err(ApiError::busy());
        }
        let read = read.await;
        self.is_busy
            .fetch_or(matches!(read, Err(StoreError::Busy(_))), Ordering::Relaxed);
        Ok(read?)
    }

    fn refusal(&self) -> ApiError {
        let (most, what) = match over(&self.reads, self.limits.reads_max) {
            true => (self.limits.reads_max, "reads of the database"),
            false => (self.limits.bytes_max, "bytes"),
        };
        let message = format!(
            "This asks for too much: {} may take {most} {what}.",
            self.purpose.as_str()
        );
        ApiError::new(Code::TooComplex, message)
    }
}

fn over(drawn: &AtomicUsize, most: usize) -> bool {
    most != 0 && drawn.load(Ordering::Relaxed) > most
}

/// How a field of the root came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// It ran, and what it answers was too much.
    Short,
    /// It was not begun: there was nothing left.
    Unbegun,
}

/// What one execution draws from a budget, and what it found already. In the data of its request.
pub(super) struct Spending {
    budget: Arc<Budget>,
    found: Mutex<Found>,
    /// The fields of the root that are not answered, by their keys.
    cut: Mutex<BTreeMap<String, Cut>>,
}

/// What was looked up, so that the same is read once however often a document asks for it.
#[derive(Default)]
struct Found {
    messages: Lookups<(MessageId, bool), Message>,
    rooms: Lookups<(RoomId, bool), Room>,
    memberships: Lookups<(RoomId, bool), Member>,
}

/// By what is looked for, and whether whoever asks was let in to it already; who asks is the same in all of an execution.
type Lookups<K, T> = HashMap<K, Shared<BoxFuture<'static, Looked<T>>>>;

/// What looking it up came to.
type Looked<T> = Result<Option<Arc<T>>, ApiError>;

/// What the execution of this field draws from.
pub(super) fn spending<'a>(ctx: &Context<'a>) -> &'a Spending {
    ctx.data_unchecked::<Arc<Spending>>()
}

impl Spending {
    pub(super) fn new(budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget,
            found: Mutex::default(),
            cut: Mutex::default(),
        })
    }

    /// Begins anew, for the next event.
    pub(super) fn renew(&self) {
        self.budget.renew();
        self.forget();
        self.cut.lock().expect("no panic under this lock").clear();
    }

    /// What was found may have changed since.
    pub(super) fn forget(&self) {
        *self.found.lock().expect("no panic under this lock") = Found::default();
    }

    /// Reads from the store when it is this answer's turn, or refuses.
    pub(super) async fn read<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        self.budget.read(read).await
    }

    /// A message, read unless it was found already.
    pub(super) async fn message(
        &self,
        log: &Arc<dyn Log>,
        id: MessageId,
        who: Who,
    ) -> Looked<Message> {
        let log = log.clone();
        let read = async move { log.message(&id, who).await };
        self.look_up((id, who == Who::Shared), |found| &mut found.messages, read)
            .await
    }

    /// A room, read unless it was found already.
    pub(super) async fn room(&self, log: &Arc<dyn Log>, id: &RoomId, who: Who) -> Looked<Room> {
        let (log, key) = (log.clone(), (id.clone(), who == Who::Shared));
        let id = id.clone();
        let read = async move { Ok(log.room(&id, who).await?.map(Arc::new)) };
        self.look_up(key, |found| &mut found.rooms, read).await
    }

    /// The membership of whoever asks, read unless it was found already.
    pub(super) async fn membership(
        &self,
        log: &Arc<dyn Log>,
        room: &RoomId,
        user: UserId,
        now: Timestamp,
    ) -> Looked<Member> {
        let (log, id) = (log.clone(), room.clone());
        let read = async move { Ok(log.membership(&id, user, now).await?.map(Arc::new)) };
        self.look_up((room.clone(), false), |found| &mut found.memberships, read)
            .await
    }

    /// Whoever comes first reads, and the others wait for that.
    async fn look_up<K: Hash + Eq, T>(
        &self,
        key: K,
        of: impl FnOnce(&mut Found) -> &mut Lookups<K, T>,
        read: impl Future<Output = Result<Option<Arc<T>>, StoreError>> + Send + 'static,
    ) -> Looked<T> {
        let lookup = {
            let mut found = self.found.lock().expect("no panic under this lock");
            let budget = self.budget.clone();
            of(&mut found)
                .entry(key)
                .or_insert_with(|| async move { budget.read(read).await }.boxed().shared())
                .clone()
        };
        lookup.await
    }

    /// Whether nothing is left.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.budget.is_overdrawn()
    }

    /// Draws what a value takes as JSON. What an object is made of was drawn when it was resolved, but for its keys. Now and
    /// then others have their turn: what was read already is resolved without ever waiting.
    pub(super) async fn draw(&self, value: &Value) {
        self.budget
            .bytes
            .fetch_add(json_bytes(value), Ordering::Relaxed);
        if self.budget.values.fetch_add(1, Ordering::Relaxed) % VALUES_AT_ONCE == VALUES_AT_ONCE - 1
        {
            let_others().await;
        }
    }

    /// The field of the root above this place is cut short.
    pub(super) fn cut_short(&self, place: &QueryPathNode<'_>) {
        self.cut(place, Cut::Short);
    }

    /// Nothing is resolved here; where that is a field of the root, it is not even begun.
    pub(super) fn refuse(&self, place: &QueryPathNode<'_>) {
        self.cut(
            place,
            if place.parent.is_none() {
                Cut::Unbegun
            } else {
                Cut::Short
            },
        );
    }

    fn cut(&self, place: &QueryPathNode<'_>, how: Cut) {
        let root = place.parents().last().unwrap_or(place);
        let QueryPathSegment::Name(key) = root.segment else {
            return;
        };
        let mut cut = self.cut.lock().expect("no panic under this lock");
        if !cut.contains_key(key) {
            cut.insert(key.to_owned(), how);
        }
    }

    /// Puts one error for each field of the root that was cut short, in place of all that went wrong below it. Nulls are put
    /// where errors are by `complete`.
    pub(super) fn settle(&self, response: &mut Response, kind: OperationType) {
        let cut = std::mem::take(&mut *self.cut.lock().expect("no panic under this lock"));
        if cut.is_empty() {
            return;
        }
        let is_below = |error: &ServerError| match error.path.first() {
            Some(PathSegment::Field(key)) => cut.contains_key(key),
            _ => false,
        };
        response.errors.retain(|error| !is_below(error));
        response.errors.extend(cut.into_iter().map(|(key, how)| {
            let mut error = ServerError::from(self.budget.refusal().saying(after(kind, how)));
            error.path = vec![PathSegment::Field(key)];
            error
        }));
    }
}

/// Waits until this task is run again, which is after all that wait now.
async fn let_others() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What somebody has to know who asked for a change.
fn after(kind: OperationType, cut: Cut) -> &'static str {
    match (kind, cut) {
        (OperationType::Mutation, Cut::Short) => "The change was made; only its answer is missing.",
        (OperationType::Mutation, Cut::Unbegun) => "Nothing was done.",
        _ => "",
    }
}

/// What a value takes as JSON, without the values that it is made of.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text_bytes(text),
        // A quote on either side, a colon, and a comma or a brace.
        Value::Object(fields) => 2 + fields.keys().map(|key| key.len() + 4).sum::<usize>(),
        Value::List(items) => 2 + items.len(),
        _ => SCALAR_BYTES,
    }
}

/// What a text takes as JSON, with what is escaped in it.
fn text_bytes(text: &str) -> usize {
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
    fn a_text_is_counted_as_it_is_written() {
        for text in [
            "",
            "plain",
            "\"\\\n\r\t\u{8}\u{c}",
            "\u{1}\u{1f}",
            "ä€😀\u{7f}\u{2028}",
        ] {
            assert_eq!(
                text_bytes(text),
                serde_json::to_string(text).unwrap().len(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_counted_of_an_object_is_what_it_is_written_as() {
        let object =
            Value::from_json(serde_json::json!({ "id": "1", "of": { "a": ["x", "y"] } })).unwrap();
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
