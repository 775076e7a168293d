//! A room that somebody reads.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::OnceCell;

use super::{Bell, HubLimits, Listener, LiveRooms, tail::Tail};
use crate::{
    domain::{
        Access, Caller, Cursor, Epoch, Event, Message, RoomId, Seq, ShutOuts, ShutsOut, UserId,
    },
    store::{Log, StoreError},
};

/// The live entry of a room: its head and its last events. It leaves the hub when the last holder drops it (H3).
pub struct LiveRoom {
    id: RoomId,
    log: Arc<dyn Log>,
    bell: Arc<Bell>,
    tail: Mutex<Tail>,
    /// Known once the head was read; none if there is no such room.
    known: OnceCell<Option<RoomFacts>>,
    /// Since then something was said about who may read it.
    changed: AtomicBool,
    /// Where revisions of all rooms come from.
    revisions: Arc<AtomicU64>,
    revision: AtomicU64,
    redacted_upto: AtomicU64,
    shut_outs: Mutex<ShutOuts>,
    /// The last of these, to be looked at without the lock.
    shut_outs_head: AtomicU64,
    siblings: Weak<LiveRooms>,
}

/// What was read with the head.
#[derive(Clone, Copy)]
struct RoomFacts {
    epoch: Epoch,
    /// Anybody may read it.
    open: bool,
}

impl LiveRoom {
    pub(super) fn new(
        id: RoomId,
        log: Arc<dyn Log>,
        limits: HubLimits,
        revisions: Arc<AtomicU64>,
        siblings: Weak<LiveRooms>,
    ) -> Self {
        let tail = Mutex::new(Tail::new(limits.tail_events_max, limits.tail_bytes_max));
        let revision = AtomicU64::new(revisions.fetch_add(1, Ordering::Relaxed));
        Self {
            id,
            log,
            bell: Arc::default(),
            tail,
            known: OnceCell::new(),
            changed: AtomicBool::new(false),
            revisions,
            revision,
            redacted_upto: AtomicU64::new(0),
            shut_outs: Mutex::new(ShutOuts::new(limits.shut_outs_kept_max)),
            shut_outs_head: AtomicU64::new(0),
            siblings,
        }
    }

    /// Reads epoch and head once; false if there is no such room.
    pub(super) async fn settle(&self, log: &dyn Log) -> Result<bool, StoreError> {
        let read = async || {
            let room = log.room(&self.id, Caller::Shared).await?;
            Ok::<_, StoreError>(room.map(|room| {
                // Whoever was shut out before this was live is not known here; those since were announced.
                self.shut_outs
                    .lock()
                    .expect("no panic under this lock")
                    .begin(room.head);
                self.shut_outs_head.fetch_max(room.head.0, Ordering::SeqCst);
                self.bell.ring(room.head);
                RoomFacts {
                    epoch: room.epoch,
                    open: room.is_open(),
                }
            }))
        };
        Ok(self.known.get_or_try_init(read).await?.is_some())
    }

    /// The epoch and the head of a log that anybody may read, if that is known without asking the store.
    pub(super) fn open(&self) -> Option<(Epoch, Seq)> {
        let known = self.known.get().copied().flatten()?;
        // The head first: an event that closes the room later than this stands after it, and shuts its readers out (V5).
        let head = self.head();
        (known.open && !self.changed.load(Ordering::SeqCst)).then_some((known.epoch, head))
    }

    /// Which room.
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// A position in its log.
    pub fn cursor(&self, seq: Seq) -> Cursor {
        let known = self
            .known
            .get()
            .copied()
            .flatten()
            .expect("the hub hands out rooms that exist");
        Cursor {
            room: self.id.clone(),
            epoch: known.epoch,
            seq,
        }
    }

    /// How far its log reaches.
    pub fn head(&self) -> Seq {
        self.bell.head()
    }

    /// Somebody who waits for the head to move.
    pub fn listen(&self) -> Listener {
        self.bell.listen()
    }

    /// The events after `after` up to `upto`, ascending and without a hole, at most `limit`: from memory where the tail
    /// reaches back that far, else from the store.
    pub async fn read(
        &self,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let held =
            self.tail
                .lock()
                .expect("no panic under this lock")
                .read(after, upto, limit as usize);
        match held {
            Some(events) => Ok(events),
            None => self.log.events(&self.id, after, upto, limit).await,
        }
    }

    /// Whether somebody whose right to read was good at the event `checked` may be shown how the room stood at the event
    /// `upto` (V5). Asked only of events that the log reaches to here.
    pub fn access(&self, checked: Seq, upto: Seq, reader: Option<UserId>) -> Access {
        if self.shut_outs_head.load(Ordering::SeqCst) <= checked.0 {
            return Access::Open(checked);
        }
        self.shut_outs
            .lock()
            .expect("no panic under this lock")
            .access_upto(checked, upto, reader)
    }

    /// Waits until the log reaches to an event here too: what the store shows may be a moment ahead.
    pub async fn reached(&self, seq: Seq) {
        if self.head() < seq {
            self.listen().past(Seq(seq.0 - 1)).await;
        }
    }

    /// Changes whenever something was taken out of the log, and is never the same for two live entries: what was made of
    /// older events under another revision may show what is gone (V6).
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The last event before the newest deletion. What was made of events up to here may show what is gone: the message
    /// itself, or as the one that another answers.
    pub fn redacted_upto(&self) -> Seq {
        Seq(self.redacted_upto.load(Ordering::Acquire))
    }

    /// A message is deleted by the event after `before`: from now on nobody reads its text, and what was made so far is known
    /// to be stale.
    pub(super) fn redact(&self, left: &Arc<Message>, before: Seq) {
        let event = Arc::new(Event::MessageSent(left.clone()));
        self.tail
            .lock()
            .expect("no panic under this lock")
            .replace(event);
        self.redacted_upto.fetch_max(before.0, Ordering::AcqRel);
        self.revision.store(
            self.revisions.fetch_add(1, Ordering::Relaxed),
            Ordering::Release,
        );
    }

    /// An event was committed: it is in the tail before the head says so.
    pub(super) fn announce(&self, event: &Arc<Event>) {
        if let Event::Changed(change) = &**event
            && change.what.is_about_the_room()
        {
            self.changed.store(true, Ordering::SeqCst);
        }
        if *event.shuts_out() != ShutsOut::Nobody {
            self.shut_outs
                .lock()
                .expect("no panic under this lock")
                .push(event.seq(), event.shuts_out().clone());
            self.shut_outs_head
                .fetch_max(event.seq().0, Ordering::SeqCst);
        }
        self.tail
            .lock()
            .expect("no panic under this lock")
            .push(event.clone());
    }

    pub(super) fn ring(&self, head: Seq) {
        self.bell.ring(head);
    }
}

impl Drop for LiveRoom {
    fn drop(&mut self) {
        let Some(siblings) = self.siblings.upgrade() else {
            return;
        };
        let mut rooms = siblings.lock().expect("no panic under this lock");
        // Another entry may have taken the place meanwhile; it stays.
        if rooms
            .get(&self.id)
            .is_some_and(|room| room.strong_count() == 0)
        {
            rooms.remove(&self.id);
        }
    }
}
