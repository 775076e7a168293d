//! What happens in rooms and is not kept: who is here, who is typing, and what is signalled. None of it stands in a log.
//!
//! A room that somebody signed in reads, that somebody listens to or types in has a **lobby**. Who is here is whoever has a
//! subscription of the room, and for a short grace after their last one, so that a reconnect is no leave. Who is typing is a **state with a version**: whoever is told that
//! the version moved reads the state that is current, so that a slow reader skips versions and costs nothing. Signals are a
//! short **ring**: each has a number, and whoever listens reads on from its own; one that falls out of the ring is told so.
//!
//! This is one node. What others say would come in through the same calls: [`Lobby::set_typing`], [`Lobby::signal`] and
//! [`Presence::shut_out`].
//!
//! - **E1** A state is told whole. Who skips versions, or comes back, misses nothing that still holds.
//! - **E2** Whoever listens gets each signal that is for them, once and in order, or is told that some were lost.
//! - **E3** What is held is bounded. A room that nobody listens to holds who is typing until that lapses, and nothing else.
//! - **E4** Whoever loses the right to read a room leaves its states at once, and listens no longer; nothing is let in on
//!   a right that is older than its loss.
//! - **E5** However often a state changes, it is told at most once in an interval.
//!
//! Proved by the tests beside the code and by `tests/it/ephemeral.rs`.

mod limits;
mod lobby;
mod occupants;
mod signals;
mod typing;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

/// Moments of a clock that only goes forward; a test may hold it.
pub use tokio::time::Instant;

pub use limits::PresenceLimits;
pub use lobby::{Attendance, Lobby, Stale, Stream};
pub use occupants::{Occupancy, Person};
pub use signals::{Heard, Signal};
pub use typing::TypingState;

use crate::{
    domain::{RoomId, Seq, ShutsOut, UserId},
    quota::Rates,
};

/// How often it is looked for lobbies that need not be kept any more, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

type Lobbies = Mutex<HashMap<RoomId, Weak<Lobby>>>;

/// The lobbies of this node.
pub struct Presence {
    lobbies: Arc<Lobbies>,
    lingering: Mutex<Lingering>,
    rates: Rates<UserId>,
    limits: PresenceLimits,
    shut_outs_kept_max: usize,
}

/// Lobbies that are kept although nobody may listen, until there is nothing more to keep.
#[derive(Default)]
struct Lingering {
    lobbies: HashMap<RoomId, (Arc<Lobby>, Instant)>,
    sweep_at: Option<Instant>,
}

impl Presence {
    /// No lobbies yet. Each lobby will keep the last `shut_outs_kept_max` losses of the right to
    /// read, which is at least 1.
    pub fn new(limits: PresenceLimits, shut_outs_kept_max: usize) -> Arc<Self> {
        let rates = Rates::new(limits.signals_per_user());
        Arc::new(Self {
            lobbies: Arc::default(),
            lingering: Mutex::default(),
            rates,
            limits,
            shut_outs_kept_max,
        })
    }

    /// What holds here.
    pub fn limits(&self) -> &PresenceLimits {
        &self.limits
    }

    /// Takes one of what a user may say, or tells how long to wait for it.
    pub fn take_allowance(&self, user: UserId, now: Instant) -> Result<(), Duration> {
        self.rates.take(user, now.into_std())
    }

    /// The lobby of a room; whether there is such a room is the caller's question. It is kept while somebody holds it. Enter
    /// before reading a right (E4): every loss of it from then on is known to the lobby.
    pub fn enter(&self, id: &RoomId, now: Instant) -> Arc<Lobby> {
        self.sweep(now);
        let mut lobbies = self.lobbies.lock().expect("no panic under this lock");
        if let Some(lobby) = lobbies.get(id).and_then(Weak::upgrade) {
            return lobby;
        }
        let lobby = Arc::new(Lobby::new(
            id.clone(),
            self.limits,
            self.shut_outs_kept_max,
            Arc::downgrade(&self.lobbies),
        ));
        lobbies.insert(id.clone(), Arc::downgrade(&lobby));
        lobby
    }

    /// The lobby of a room, if it has one.
    pub fn find(&self, id: &RoomId) -> Option<Arc<Lobby>> {
        self.lobbies
            .lock()
            .expect("no panic under this lock")
            .get(id)
            .and_then(Weak::upgrade)
    }

    /// Keeps a lobby for as long as it has something to keep, whoever holds it. If too many are kept already, it goes with its
    /// last holder.
    pub fn keep(&self, lobby: &Arc<Lobby>, now: Instant) {
        let until = lobby.keeps_until(now);
        let mut lingering = self.lingering.lock().expect("no panic under this lock");
        let full = lingering.lobbies.len() >= self.limits.rooms_lingering_max;
        match until {
            Some(until) if !full || lingering.lobbies.contains_key(lobby.id()) => {
                lingering
                    .lobbies
                    .insert(lobby.id().clone(), (lobby.clone(), until));
            }
            Some(_) => {}
            None => {
                lingering.lobbies.remove(lobby.id());
            }
        }
    }

    /// The event of this number took from somebody the right to read a room. To be called before any reader of the log may see
    /// that event.
    pub fn shut_out(&self, id: &RoomId, at: Seq, shuts_out: &ShutsOut) {
        let Some(lobby) = self.find(id) else { return };
        lobby.shut_out(at, shuts_out);
        if !lobby.has_something_to_keep() {
            self.lingering
                .lock()
                .expect("no panic under this lock")
                .lobbies
                .remove(id);
        }
    }

    /// How many rooms have a lobby.
    pub fn rooms_live(&self, now: Instant) -> usize {
        self.sweep(now);
        self.lobbies.lock().expect("no panic under this lock").len()
    }

    /// Lets go of what has nothing more to keep; at most once in a while, so that it costs each caller next to nothing.
    fn sweep(&self, now: Instant) {
        let mut lingering = self.lingering.lock().expect("no panic under this lock");
        if lingering.sweep_at.is_some_and(|at| at > now) {
            return;
        }
        lingering.sweep_at = Some(now + SWEEP_INTERVAL);
        lingering.lobbies.retain(|_, (lobby, until)| {
            if *until > now {
                return true;
            }
            let still = lobby.keeps_until(now);
            *until = still.unwrap_or(now);
            still.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};

    #[test]
    fn e3_a_room_that_nobody_listens_to_is_kept_until_typing_lapses() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        lobby.set_typing(user(1), true, Seq(0), now).unwrap();
        presence.keep(&lobby, now);
        drop(lobby);
        let lobby = presence.enter(&room("a"), now);
        assert_eq!(
            names(&lobby.typing(now)),
            ["1"],
            "who comes now sees who types"
        );
        drop(lobby);
        assert_eq!(presence.rooms_live(now + Duration::from_secs(5)), 1);
        assert_eq!(presence.rooms_live(now + Duration::from_secs(6)), 0);
    }

    #[test]
    fn e3_who_stops_typing_leaves_nothing_behind() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        for typing in [true, false] {
            let lobby = presence.enter(&room("a"), now);
            lobby.set_typing(user(1), typing, Seq(0), now).unwrap();
            presence.keep(&lobby, now);
        }
        assert_eq!(presence.rooms_live(now), 0);
    }

    #[test]
    fn e3_who_is_shut_out_leaves_nothing_behind() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        lobby.set_typing(user(1), true, Seq(0), now).unwrap();
        presence.keep(&lobby, now);
        drop(lobby);
        presence.shut_out(&room("a"), Seq(1), &ShutsOut::User(id(2)));
        assert_eq!(presence.rooms_live(now), 1);
        presence.shut_out(&room("a"), Seq(2), &ShutsOut::Everybody);
        assert_eq!(presence.rooms_live(now), 0);
    }

    #[test]
    fn e3_rooms_without_listeners_are_bounded() {
        let limits = PresenceLimits {
            rooms_lingering_max: 2,
            ..PresenceLimits::default()
        };
        let (presence, now) = (presence(limits), Instant::now());
        for id in ["a", "b", "c", "a"] {
            let lobby = presence.enter(&room(id), now);
            lobby.set_typing(user(1), true, Seq(0), now).unwrap();
            presence.keep(&lobby, now);
        }
        assert_eq!(presence.rooms_live(now), 2);
        assert!(names(&presence.enter(&room("c"), now).typing(now)).is_empty());
        assert_eq!(names(&presence.enter(&room("b"), now).typing(now)), ["1"]);
    }
}

#[cfg(test)]
mod testing {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::{Presence, PresenceLimits, TypingState};
    use crate::domain::{RoomId, Timestamp, User, UserId, UserName};

    pub(super) fn presence(limits: PresenceLimits) -> Arc<Presence> {
        Presence::new(limits, 8)
    }

    pub(super) fn room(id: &str) -> RoomId {
        id.parse().unwrap()
    }

    pub(super) fn id(number: u32) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number.into()))
    }

    /// A user who is called like their number.
    pub(super) fn user(number: u32) -> Arc<User> {
        let name = UserName::new(&number.to_string()).unwrap();
        Arc::new(User {
            id: id(number),
            name,
            created_at: Timestamp(0),
        })
    }

    pub(super) fn names(state: &TypingState) -> Vec<String> {
        state
            .users
            .iter()
            .map(|user| user.name.to_string())
            .collect()
    }
}
