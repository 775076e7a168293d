//! What happens in one room and is not kept.

use std::sync::{
    Arc, Mutex, MutexGuard, Weak,
    atomic::{AtomicU64, Ordering},
};

use tokio::{sync::watch, time::Instant};

use super::{
    Lobbies, PresenceLimits,
    occupants::{Occupancy, Occupants, Person},
    signals::{Heard, Signal, Signals},
    typing::{Typing, TypingState},
};
use crate::domain::{Access, RoomId, Seq, ShutOuts, ShutsOut, User, UserId};

/// What can be listened to in a lobby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Who is typing.
    Typing,
    /// What is signalled.
    Signals,
    /// Who is here.
    Presence,
}

/// Since a right was read somebody lost theirs: read it anew and try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// The lobby of a room. It leaves the table when the last holder drops it (E3).
pub struct Lobby {
    id: RoomId,
    limits: PresenceLimits,
    state: Mutex<State>,
    /// Those who want to say something, in the order in which they asked.
    turns: tokio::sync::Mutex<()>,
    typing: watch::Sender<u64>,
    signals: watch::Sender<u64>,
    occupants: watch::Sender<u64>,
    shut_outs: watch::Sender<Seq>,
    /// The last event that took the right to read from somebody, to be looked at without a lock.
    shut_outs_head: AtomicU64,
    siblings: Weak<Lobbies>,
}

struct State {
    typing: Typing,
    signals: Signals,
    occupants: Occupants,
    shut_outs: ShutOuts,
}

impl Lobby {
    pub(super) fn new(
        id: RoomId,
        limits: PresenceLimits,
        shut_outs_kept_max: usize,
        siblings: Weak<Lobbies>,
    ) -> Self {
        let state = State {
            typing: Typing::new(limits.typing_users_max, limits.typing_lapse),
            signals: Signals::new(limits.signals_kept_max, limits.signals_kept_bytes_max),
            occupants: Occupants::new(limits.presence_grace, limits.presence_moves_kept_max),
            shut_outs: ShutOuts::new(shut_outs_kept_max),
        };
        Self {
            id,
            limits,
            typing: watch::Sender::new(state.typing.version()),
            signals: watch::Sender::new(state.signals.head()),
            occupants: watch::Sender::new(state.occupants.head()),
            state: Mutex::new(state),
            turns: tokio::sync::Mutex::default(),
            shut_outs: watch::Sender::new(Seq::START),
            shut_outs_head: AtomicU64::new(0),
            siblings,
        }
    }

    /// Of which room.
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// What holds here.
    pub fn limits(&self) -> &PresenceLimits {
        &self.limits
    }

    /// Waits until all who asked before have said what they had to say; dropping what is returned lets the next one speak. Held
    /// while a right is read, so that what somebody says twice in a row is heard in that order.
    pub async fn turn(&self) -> impl Drop {
        self.turns.lock().await
    }

    /// Somebody is typing, or is no longer. Their right to say so was good at the event `checked`. False if as many are shown
    /// as may be.
    pub fn set_typing(
        &self,
        user: Arc<User>,
        typing: bool,
        checked: Seq,
        now: Instant,
    ) -> Result<bool, Stale> {
        let mut state = self.lock();
        state.must_be_open(checked, user.id)?;
        let shown = match typing {
            true => state.typing.begin(user, now),
            false => {
                state.typing.end(user.id, now);
                true
            }
        };
        self.tell_typing(&state);
        Ok(shown)
    }

    /// Who is typing.
    pub fn typing(&self, now: Instant) -> TypingState {
        self.lock().typing.state(now)
    }

    /// Somebody signals. Their right to was good at the event `checked`.
    pub fn signal(&self, signal: Signal, checked: Seq) -> Result<(), Stale> {
        let mut state = self.lock();
        state.must_be_open(checked, signal.sender.id)?;
        if self.signals.receiver_count() == 0 {
            state.signals.clear();
            return Ok(());
        }
        state.signals.push(signal);
        self.signals.send_replace(state.signals.head());
        Ok(())
    }

    /// At most this many signals after a number.
    pub fn signals_after(&self, number: u64, most: usize) -> Heard {
        self.lock().signals.after(number, most)
    }

    /// Somebody is here from now on, until what is returned is dropped. Their right to be was good at the event `checked`.
    pub fn attend(
        self: &Arc<Self>,
        person: Person,
        checked: Seq,
        now: Instant,
    ) -> Result<Attendance, Stale> {
        let mut state = self.lock();
        state.must_be_open(checked, person.user)?;
        let stay = state.occupants.come(person, now);
        self.tell_people(&mut state);
        Ok(Attendance {
            lobby: self.clone(),
            user: person.user,
            stay,
        })
    }

    /// Who is here, and who came and went after a number.
    pub fn occupancy(&self, after: u64, now: Instant) -> Occupancy {
        self.lock()
            .occupants
            .occupancy(after, self.limits.presence_shown_max, now)
    }

    /// Tells when a stream moves, and where it stands. Signals, and who came and went, are kept
    /// only while somebody holds one of these.
    pub fn watch(&self, stream: Stream) -> watch::Receiver<u64> {
        match stream {
            Stream::Typing => self.typing.subscribe(),
            Stream::Signals => self.signals.subscribe(),
            Stream::Presence => self.occupants.subscribe(),
        }
    }

    /// Tells when somebody lost the right to read.
    pub fn watch_shut_outs(&self) -> watch::Receiver<Seq> {
        self.shut_outs.subscribe()
    }

    /// Whether somebody may go on listening whose right was good at the event `checked`.
    pub fn access(&self, checked: Seq, reader: Option<UserId>) -> Access {
        // Nearly always nothing happened: a look without a lock.
        match self.shut_outs_head.load(Ordering::SeqCst) > checked.0 {
            false => Access::Open(checked),
            true => self.lock().shut_outs.access(checked, reader),
        }
    }

    /// The event of this number took from somebody the right to read the room.
    pub(super) fn shut_out(&self, at: Seq, shuts_out: &ShutsOut) {
        let mut state = self.lock();
        state.shut_outs.push(at, shuts_out.clone());
        // First who listens: nobody who is shut out sees what comes of it.
        self.shut_outs_head.store(at.0, Ordering::SeqCst);
        self.shut_outs.send_replace(at);
        state.typing.shut_out(shuts_out);
        state.occupants.shut_out(shuts_out);
        self.tell_typing(&state);
        self.tell_people(&mut state);
    }

    /// Until when there is something to keep although nobody listens.
    pub(super) fn keeps_until(&self, now: Instant) -> Option<Instant> {
        self.lock()
            .typing
            .lasts_until()
            .filter(|until| *until > now)
    }

    /// Whether there may be something to keep although nobody listens.
    pub(super) fn has_something_to_keep(&self) -> bool {
        self.lock().typing.lasts_until().is_some()
    }

    fn tell_typing(&self, state: &State) {
        let version = state.typing.version();
        self.typing
            .send_if_modified(|told| std::mem::replace(told, version) != version);
    }

    /// Also when somebody may have left only later: those who follow look when that is.
    fn tell_people(&self, state: &mut State) {
        if self.occupants.receiver_count() == 0 {
            return state.occupants.clear_moves();
        }
        self.occupants.send_replace(state.occupants.head());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}

/// Somebody is in a room for as long as this is held.
pub struct Attendance {
    lobby: Arc<Lobby>,
    user: UserId,
    stay: u64,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut state = self.lobby.lock();
        state.occupants.go(self.user, self.stay, Instant::now());
        self.lobby.tell_people(&mut state);
    }
}

impl State {
    fn must_be_open(&self, checked: Seq, user: UserId) -> Result<(), Stale> {
        match self.shut_outs.access(checked, Some(user)) {
            Access::Open(_) => Ok(()),
            Access::Shut | Access::Unknown => Err(Stale),
        }
    }
}

impl Drop for Lobby {
    fn drop(&mut self) {
        let Some(siblings) = self.siblings.upgrade() else {
            return;
        };
        let mut lobbies = siblings.lock().expect("no panic under this lock");
        // Another one may have taken the place meanwhile; it stays.
        if lobbies
            .get(&self.id)
            .is_some_and(|lobby| lobby.strong_count() == 0)
        {
            lobbies.remove(&self.id);
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
    fn e4_nothing_is_let_in_on_a_right_that_is_older_than_its_loss() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        let _listens = lobby.watch(Stream::Signals);
        lobby.set_typing(user(1), true, Seq(3), now).unwrap();
        presence.shut_out(&room("a"), Seq(5), &ShutsOut::User(id(1)));
        assert!(names(&lobby.typing(now)).is_empty());
        assert_eq!(lobby.set_typing(user(1), true, Seq(4), now), Err(Stale));
        assert_eq!(lobby.signal(signal(1), Seq(4)), Err(Stale));
        assert_eq!(
            lobby.set_typing(user(2), true, Seq(4), now),
            Ok(true),
            "somebody else"
        );
        assert_eq!(
            lobby.set_typing(user(1), true, Seq(5), now),
            Ok(true),
            "let in again"
        );
        assert_eq!(lobby.signal(signal(1), Seq(5)), Ok(()));
        assert_eq!(names(&lobby.typing(now)), ["2", "1"]);
        assert_eq!(lobby.access(Seq(4), Some(id(1))), Access::Shut);
        assert_eq!(lobby.access(Seq(4), Some(id(2))), Access::Open(Seq(5)));
    }

    #[test]
    fn e3_signals_that_nobody_listens_to_are_not_kept() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        lobby.signal(signal(1), Seq(0)).unwrap();
        assert_eq!(lobby.signals_after(1, 9).upto, 1);
        let mut listens = lobby.watch(Stream::Signals);
        lobby.signal(signal(1), Seq(0)).unwrap();
        assert!(listens.has_changed().unwrap());
        assert_eq!(
            (
                *listens.borrow_and_update(),
                lobby.signals_after(1, 9).signals.len()
            ),
            (2, 1)
        );
        drop(listens);
        lobby.signal(signal(1), Seq(0)).unwrap();
        assert!(lobby.signals_after(1, 9).signals.is_empty());
    }

    #[test]
    fn only_a_change_of_the_state_is_told() {
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
