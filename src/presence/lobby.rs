//! The ephemeral state of one room.

use std::sync::{
    Arc, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use tokio::{sync::watch, time::Instant};

use super::{
    PresenceLimits,
    occupants::{Occupancy, Occupants, Person},
    position::Position,
    signals::{Signal, SignalBatch, SignalRing},
    typing::{Typing, TypingState},
};
use crate::{
    domain::{Access, RoomId, Seq, ShutOuts, ShutsOut, User, UserId},
    sync::{Mutex, Registration, Registry},
};

/// The lobbies of a node. A lobby leaves when its last holder drops it (E3).
pub(super) type Lobbies = Registry<RoomId, Lobby>;

/// The streams of a lobby, which a client can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The users who are typing.
    Typing,
    /// Signals.
    Signals,
    /// The users who are present.
    Presence,
}

/// The caller may have lost its right since the right was read. Read the right again and retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleRight;

/// The ephemeral state of a room. It exists for as long as it is held.
pub struct Lobby {
    registration: Registration<RoomId, Self>,
    limits: PresenceLimits,
    state: Mutex<LobbyState>,
    /// Callers that want to change the state, in the order in which they came.
    turns: tokio::sync::Mutex<()>,
    typing: watch::Sender<Position>,
    signals: watch::Sender<Position>,
    occupants: watch::Sender<Position>,
    shut_outs: watch::Sender<Seq>,
    /// The last event that took a right away, to be compared without the lock.
    shut_outs_head: AtomicU64,
}

struct LobbyState {
    typing: Typing,
    signals: SignalRing,
    occupants: Occupants,
    shut_outs: ShutOuts,
}

impl Lobby {
    pub(super) fn new(
        registration: Registration<RoomId, Self>,
        limits: PresenceLimits,
        shut_outs_kept_max: usize,
    ) -> Self {
        let state = LobbyState {
            typing: Typing::new(limits.typing_users_max, limits.typing_lapse),
            signals: SignalRing::new(limits.signals_kept_max, limits.signals_kept_bytes_max),
            occupants: Occupants::new(limits.presence_grace, limits.presence_moves_kept_max),
            shut_outs: ShutOuts::new(shut_outs_kept_max),
        };
        Self {
            registration,
            limits,
            typing: watch::Sender::new(state.typing.version()),
            signals: watch::Sender::new(state.signals.head()),
            occupants: watch::Sender::new(state.occupants.head()),
            state: Mutex::new(state),
            turns: tokio::sync::Mutex::default(),
            shut_outs: watch::Sender::new(Seq::START),
            shut_outs_head: AtomicU64::new(0),
        }
    }

    /// The id of the room.
    pub fn id(&self) -> &RoomId {
        self.registration.key()
    }

    /// The limits of this lobby.
    pub fn limits(&self) -> &PresenceLimits {
        &self.limits
    }

    /// Waits until all callers that came before are done. Dropping the guard lets the next one
    /// continue. A caller holds it while it reads the right, so that two signals of one user arrive
    /// in the order in which they were sent.
    pub async fn turn(&self) -> impl Drop {
        self.turns.lock().await
    }

    /// Sets whether a user is typing. Their right was valid at the event `checked`. Returns false
    /// if the bound on the users who are shown is reached.
    pub fn set_typing(
        &self,
        user: Arc<User>,
        typing: bool,
        checked: Seq,
        now: Instant,
    ) -> Result<bool, StaleRight> {
        let mut state = self.lock();
        state.check_right(checked, user.id)?;
        let shown = match typing {
            true => state.typing.begin(user, now),
            false => {
                state.typing.end(user.id, now);
                true
            }
        };
        self.announce_typing(&state);
        Ok(shown)
    }

    /// Ends the typing of a user, for example because their message was sent.
    pub fn end_typing(&self, user: UserId, now: Instant) {
        let mut state = self.lock();
        state.typing.end(user, now);
        self.announce_typing(&state);
    }

    /// The users who are typing.
    pub fn typing(&self, now: Instant) -> TypingState {
        self.lock().typing.state(now)
    }

    /// Accepts a signal. The right of its sender was valid at the event `checked`.
    pub fn signal(&self, signal: Signal, checked: Seq) -> Result<(), StaleRight> {
        let mut state = self.lock();
        state.check_right(checked, signal.sender.id)?;
        if self.signals.receiver_count() == 0 {
            state.signals.clear();
            return Ok(());
        }
        state.signals.push(signal);
        self.signals.send_replace(state.signals.head());
        Ok(())
    }

    /// At most `limit` signals after a position.
    pub fn signals_after(&self, position: Position, limit: usize) -> SignalBatch {
        self.lock().signals.after(position, limit)
    }

    /// A user is present until the returned attendance is dropped. Their right was valid at the
    /// event `checked`.
    pub fn attend(
        self: &Arc<Self>,
        person: Person,
        checked: Seq,
        now: Instant,
    ) -> Result<Attendance, StaleRight> {
        let mut state = self.lock();
        state.check_right(checked, person.user)?;
        let stay = state.occupants.arrive(person, now);
        self.announce_occupants(&mut state);
        Ok(Attendance {
            lobby: self.clone(),
            user: person.user,
            stay,
        })
    }

    /// The users who are present, and the changes after a position.
    pub fn occupancy(&self, after: Position, now: Instant) -> Occupancy {
        self.lock()
            .occupants
            .occupancy(after, self.limits.presence_shown_max, now)
    }

    /// The position of a stream, and a notification when it moves. Signals and changes of presence
    /// are kept only while such a receiver exists.
    pub fn watch(&self, stream: Stream) -> watch::Receiver<Position> {
        match stream {
            Stream::Typing => self.typing.subscribe(),
            Stream::Signals => self.signals.subscribe(),
            Stream::Presence => self.occupants.subscribe(),
        }
    }

    /// The last event that took a right away, and a notification when there is another one.
    pub fn watch_shut_outs(&self) -> watch::Receiver<Seq> {
        self.shut_outs.subscribe()
    }

    /// Whether a listener whose right was valid at the event `checked` may continue.
    pub fn access(&self, checked: Seq, reader: Option<UserId>) -> Access {
        // In the common case no right was taken away since, and no lock is needed.
        match self.shut_outs_head.load(Ordering::SeqCst) > checked.0 {
            false => Access::Open(checked),
            true => self.lock().shut_outs.access(checked, reader),
        }
    }

    /// The event `at` takes the right to read the room from some users.
    pub(super) fn shut_out(&self, at: Seq, shuts_out: &ShutsOut) {
        let mut state = self.lock();
        state.shut_outs.push(at, shuts_out.clone());
        // Listeners are notified first, so that no user who is shut out sees the changes below.
        self.shut_outs_head.store(at.0, Ordering::SeqCst);
        self.shut_outs.send_replace(at);
        state.typing.shut_out(shuts_out);
        state.occupants.shut_out(shuts_out);
        self.announce_typing(&state);
        self.announce_occupants(&mut state);
    }

    /// The moment until which the state must be kept without listeners: when typing lapses.
    pub(super) fn keep_until(&self, now: Instant) -> Option<Instant> {
        self.lock()
            .typing
            .lasts_until()
            .filter(|until| *until > now)
    }

    /// Whether there may be state to keep without listeners.
    pub(super) fn has_state_to_keep(&self) -> bool {
        self.lock().typing.lasts_until().is_some()
    }

    fn announce_typing(&self, state: &LobbyState) {
        let version = state.typing.version();
        self.typing
            .send_if_modified(|announced| std::mem::replace(announced, version) != version);
    }

    /// Also called when a grace begins: listeners then look up when it ends.
    fn announce_occupants(&self, state: &mut LobbyState) {
        if self.occupants.receiver_count() == 0 {
            return state.occupants.clear_moves();
        }
        self.occupants.send_replace(state.occupants.head());
    }

    fn lock(&self) -> MutexGuard<'_, LobbyState> {
        self.state.lock()
    }
}

/// A user is present in a room while this is held.
pub struct Attendance {
    lobby: Arc<Lobby>,
    user: UserId,
    stay: u64,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut state = self.lobby.lock();
        state.occupants.depart(self.user, self.stay, Instant::now());
        self.lobby.announce_occupants(&mut state);
    }
}

impl LobbyState {
    fn check_right(&self, checked: Seq, user: UserId) -> Result<(), StaleRight> {
        match self.shut_outs.access(checked, Some(user)) {
            Access::Open(_) => Ok(()),
            Access::Shut | Access::Unknown => Err(StaleRight),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::domain::{SignalKind, Timestamp};

    fn signal(number: u32) -> Signal {
        let kind = SignalKind::new("k").unwrap();
        Signal {
            sender: user(number),
            to: None,
            kind,
            data: "1".into(),
            sent_at: Timestamp(0),
        }
    }

    #[test]
    fn e4_nothing_is_accepted_on_a_right_that_was_read_before_its_loss() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        let _listens = lobby.watch(Stream::Signals);
        lobby.set_typing(user(1), true, Seq(3), now).unwrap();
        presence.shut_out(&room("a"), Seq(5), &ShutsOut::User(id(1)));
        assert!(names(&lobby.typing(now)).is_empty());
        assert_eq!(
            lobby.set_typing(user(1), true, Seq(4), now),
            Err(StaleRight)
        );
        assert_eq!(lobby.signal(signal(1), Seq(4)), Err(StaleRight));
        assert_eq!(
            lobby.set_typing(user(2), true, Seq(4), now),
            Ok(true),
            "another user"
        );
        assert_eq!(
            lobby.set_typing(user(1), true, Seq(5), now),
            Ok(true),
            "the right was granted again"
        );
        assert_eq!(lobby.signal(signal(1), Seq(5)), Ok(()));
        assert_eq!(names(&lobby.typing(now)), ["2", "1"]);
        assert_eq!(lobby.access(Seq(4), Some(id(1))), Access::Shut);
        assert_eq!(lobby.access(Seq(4), Some(id(2))), Access::Open(Seq(5)));
    }

    #[test]
    fn e3_signals_without_listeners_are_not_kept() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        lobby.signal(signal(1), Seq(0)).unwrap();
        assert_eq!(lobby.signals_after(Position(1), 9).upto, Position(1));
        let mut listens = lobby.watch(Stream::Signals);
        lobby.signal(signal(1), Seq(0)).unwrap();
        assert!(listens.has_changed().unwrap());
        assert_eq!(
            (
                *listens.borrow_and_update(),
                lobby.signals_after(Position(1), 9).signals.len()
            ),
            (Position(2), 1)
        );
        drop(listens);
        lobby.signal(signal(1), Seq(0)).unwrap();
        assert!(lobby.signals_after(Position(1), 9).signals.is_empty());
    }

    #[test]
    fn only_changes_of_the_typing_state_are_announced() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        let mut watch = lobby.watch(Stream::Typing);
        lobby.set_typing(user(1), true, Seq(0), now).unwrap();
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        lobby.set_typing(user(1), true, Seq(0), now).unwrap();
        lobby.set_typing(user(2), false, Seq(0), now).unwrap();
        presence.shut_out(&room("a"), Seq(1), &ShutsOut::User(id(3)));
        assert!(!watch.has_changed().unwrap());
    }
}
