//! The live entry of a room that has readers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::OnceCell;

use super::{
    HubLimits,
    bell::{Bell, Listener},
    tail::Tail,
};
use crate::{
    domain::{
        Access, Caller, Cursor, Epoch, Event, EventTag, Message, RoomId, Seq, ShutOuts, ShutsOut,
        UserId,
    },
    store::{Log, StoreError},
    sync::{Mutex, Registration, Registry},
};

/// The live rooms of a node. A room leaves when its last holder drops it (H3).
pub(super) type LiveRooms = Registry<RoomId, LiveRoom>;

/// A room in memory: its head and its tail. It is live for as long as it is held.
pub struct LiveRoom {
    registration: Registration<RoomId, Self>,
    log: Arc<dyn Log>,
    bell: Arc<Bell>,
    tail: Mutex<Tail>,
    /// Read with the head, once. The inner `None` means that there is no such room.
    facts: OnceCell<Option<RoomFacts>>,
    /// An event has changed the room since `facts` were read, so another set of users may read it.
    changed: AtomicBool,
    /// The last revision of any room of this node.
    revisions: Arc<AtomicU64>,
    revision: AtomicU64,
    rewritten_upto: AtomicU64,
    shut_outs: Mutex<ShutOuts>,
    /// The last event in `shut_outs`, to be compared without the lock.
    shut_outs_head: AtomicU64,
}

/// The facts of a room that were read with its head.
#[derive(Clone, Copy)]
struct RoomFacts {
    epoch: Epoch,
    /// The head that was read, and its tag.
    head: (Seq, EventTag),
    /// Every caller may read it.
    open: bool,
}

/// Why the next events of a log could not be read. A later try may succeed.
#[derive(Debug, thiserror::Error)]
pub enum LogReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The events that were read do not follow each other, so they are not used (H4).
    #[error("the events of the log have a gap")]
    Hole,
}

impl LiveRoom {
    pub(super) fn new(
        registration: Registration<RoomId, Self>,
        log: Arc<dyn Log>,
        limits: HubLimits,
        revisions: Arc<AtomicU64>,
    ) -> Self {
        let tail = Mutex::new(Tail::new(limits.tail_events_max, limits.tail_bytes_max));
        let revision = AtomicU64::new(revisions.fetch_add(1, Ordering::Relaxed));
        Self {
            registration,
            log,
            bell: Arc::default(),
            tail,
            facts: OnceCell::new(),
            changed: AtomicBool::new(false),
            revisions,
            revision,
            rewritten_upto: AtomicU64::new(0),
            shut_outs: Mutex::new(ShutOuts::new(limits.shut_outs_kept_max)),
            shut_outs_head: AtomicU64::new(0),
        }
    }

    /// Reads the epoch and the head, once. Returns false if there is no such room.
    pub(super) async fn load(&self) -> Result<bool, StoreError> {
        let read = async || {
            let room = self.log.room(self.id(), Caller::Shared).await?;
            Ok::<_, StoreError>(room.map(|room| {
                // Events before this head may have shut users out without a trace here. Later ones
                // are announced.
                self.shut_outs.lock().begin(room.head);
                self.shut_outs_head.fetch_max(room.head.0, Ordering::SeqCst);
                self.bell.ring(room.head);
                RoomFacts {
                    epoch: room.epoch,
                    head: (room.head, room.head_tag),
                    open: room.is_open(),
                }
            }))
        };
        Ok(self.facts.get_or_try_init(read).await?.is_some())
    }

    /// The epoch and the head of a log that every caller may read, if this is known without a read
    /// of the store.
    pub(super) fn open(&self) -> Option<(Epoch, Seq)> {
        let facts = self.facts.get().copied().flatten()?;
        // The head is read first. An event that closes the room after this comes after that head,
        // and shuts the readers out (V5).
        let head = self.head();
        (facts.open && !self.changed.load(Ordering::SeqCst)).then_some((facts.epoch, head))
    }

    /// The id of the room.
    pub fn id(&self) -> &RoomId {
        self.registration.key()
    }

    /// A position in its log.
    pub fn cursor(&self, seq: Seq) -> Cursor {
        let facts = self.facts.get().copied().flatten();
        Cursor {
            room: self.id().clone(),
            epoch: facts.expect("the hub hands out rooms that exist").epoch,
            seq,
            tag: self.tag(seq).unwrap_or(EventTag::UNKNOWN),
        }
    }

    /// The tag of an event, if it is known without a read of the store.
    pub fn tag(&self, seq: Seq) -> Option<EventTag> {
        let facts = self.facts.get().copied().flatten();
        let at_load = facts
            .map(|facts| facts.head)
            .filter(|(head, _)| *head == seq);
        let at_load = at_load.map(|(_, tag)| tag);
        at_load.or_else(|| self.tail.lock().tag(seq))
    }

    /// The last event of its log.
    pub fn head(&self) -> Seq {
        self.bell.head()
    }

    /// A listener for the head.
    pub fn listen(&self) -> Listener {
        self.bell.listen()
    }

    /// At most `limit` events after `after` and up to `upto`, ascending and without a hole. They
    /// come from memory if the tail reaches back that far, else from the store.
    pub async fn read(
        &self,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let held = self.tail.lock().read(after, upto, limit as usize);
        match held {
            Some(events) => Ok(events),
            None => self.log.events(self.id(), after, upto, limit).await,
        }
    }

    /// At most `limit` events after `after` and up to `upto`, for a caller that knows from the head
    /// that there are some. Fails if there are none, or if there is a gap after `after` (H4).
    pub async fn read_next(
        &self,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, LogReadError> {
        let events = self.read(after, upto, limit).await?;
        let expected = std::iter::successors(Some(after.next()), |seq| Some(seq.next()));
        let follow = |(event, seq): (&Arc<Event>, Seq)| event.seq() == seq;
        if !events.is_empty() && events.iter().zip(expected).all(follow) {
            Ok(events)
        } else {
            Err(LogReadError::Hole)
        }
    }

    /// Whether a reader whose right was valid at the event `checked` may see the room as of the
    /// event `upto` (V5). The log must reach `upto` here; see [`Self::reached`].
    pub fn access(&self, checked: Seq, upto: Seq, reader: Option<UserId>) -> Access {
        if self.shut_outs_head.load(Ordering::SeqCst) <= checked.0 {
            return Access::Open(checked);
        }
        self.shut_outs.lock().access_upto(checked, upto, reader)
    }

    /// Waits until the log reaches an event here too. A read of the store may be a moment ahead of
    /// the announcement.
    pub async fn reached(&self, seq: Seq) {
        if self.head() < seq {
            self.listen().past(Seq(seq.0 - 1)).await;
        }
    }

    /// A number that changes whenever a stored message is rewritten, such as by its deletion. No
    /// two live entries share it. Frames that were made under another revision may show deleted
    /// text (V6).
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The last event before the newest one that rewrote a message. Frames of events up to it may
    /// show the former text: that of the message itself, or of the message that another one replies
    /// to.
    pub fn rewritten_upto(&self) -> Seq {
        Seq(self.rewritten_upto.load(Ordering::Acquire))
    }

    /// The event after `before` rewrites a message, which is `message` from then on: without its
    /// text, if the event deletes it. From now on no read returns the former text, and frames that
    /// were made before are stale.
    pub(super) fn rewrite(&self, message: &Arc<Message>, before: Seq) {
        let event = Arc::new(Event::MessageSent(message.clone()));
        self.tail.lock().replace(event);
        self.rewritten_upto.fetch_max(before.0, Ordering::AcqRel);
        self.revision.store(
            self.revisions.fetch_add(1, Ordering::Relaxed),
            Ordering::Release,
        );
    }

    /// Puts a committed event into the tail. The head moves later, with [`Self::ring`].
    pub(super) fn announce(&self, event: &Arc<Event>) {
        if let Event::Changed(change) = &**event
            && change.kind.is_about_the_room()
        {
            self.changed.store(true, Ordering::SeqCst);
        }
        if *event.shuts_out() != ShutsOut::Nobody {
            let (at, shuts_out) = (event.seq(), event.shuts_out().clone());
            self.shut_outs.lock().push(at, shuts_out);
            self.shut_outs_head.fetch_max(at.0, Ordering::SeqCst);
        }
        self.tail.lock().push(event.clone());
    }

    /// Moves the head and wakes the listeners.
    pub(super) fn ring(&self, head: Seq) {
        self.bell.ring(head);
    }
}
