//! Ephemeral state: presence, typing and signals. It lives in memory and is never written to a log.
//!
//! Each room with a reader who is signed in, a listener or a typing user has a **[`Lobby`]**. The
//! lobby holds the ephemeral state of that room, and is dropped with its last holder. It has three
//! **streams**. Each has a [`Position`], which moves with every change:
//!
//! | stream | state | position |
//! |---|---|---|
//! | typing | the users who are typing | the version of the whole list |
//! | presence | the users with a subscription to the room | the number of the last change |
//! | signals | a ring of the newest signals | the number of the last signal |
//!
//! Nothing is pushed to a listener. It waits for the position to move, and then reads what is new
//! after its own:
//!
//! ```text
//! presence   1    2: Ann joined    3: Bob joined    4: Ann left
//!            ^                     ^
//!            reads {Bob joined}    reads {Ann left}
//! ```
//!
//! - **Typing** is a **snapshot** each time: the list is short. A slow listener skips versions.
//! - **Presence** is a snapshot, and **deltas** of who joined and left since a position. A user
//!   stays present for a short grace after their last subscription ends, so a reconnect is no
//!   departure.
//! - **Signals** are read in order. A listener that falls out of the ring learns that some were
//!   lost.
//!
//! Nothing here is a background task: typing that lapsed and graces that ended are removed at the
//! next access. All of it is on one node. State of other nodes would arrive through the same calls:
//! [`Lobby::set_typing`], [`Lobby::signal`] and [`Presence::shut_out`].
//!
//! - **E1** State is delivered whole. A listener that skips versions, or reconnects, misses nothing
//!   that still holds.
//! - **E2** A listener receives each signal for it once and in order, or learns that some were
//!   lost.
//! - **E3** Ephemeral state is bounded. A room without listeners holds only the users who are
//!   typing, until that lapses.
//! - **E4** A user who loses the right to read a room leaves its state at once and stops listening.
//!   Nothing is accepted on a right that was read before its loss.
//! - **E5** However often a state changes, listeners receive at most one update in an interval.
//!
//! Proved by the tests beside the code and by `tests/it/ephemeral.rs`.

mod limits;
mod lobby;
mod occupants;
mod position;
mod signals;
mod typing;

use std::{collections::HashMap, sync::Arc, time::Duration};

/// Moments of a clock that only goes forward. A test may hold it.
pub use tokio::time::Instant;

pub use limits::PresenceLimits;
use lobby::Lobbies;
pub use lobby::{Attendance, Lobby, StaleRight, Stream};
pub use occupants::{Occupancy, Person};
pub use position::Position;
pub use signals::{Signal, SignalBatch};
pub use typing::TypingState;

use crate::{
    domain::{RoomId, Seq, ShutsOut, UserId},
    quota::Rates,
    sync::Mutex,
};

/// The minimum time between two searches for lobbies that need not be kept any longer.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The lobbies of this node.
pub struct Presence {
    lobbies: Lobbies,
    lingering: Mutex<Lingering>,
    rates: Rates<UserId>,
    limits: PresenceLimits,
    shut_outs_kept_max: usize,
}

/// Lobbies that are kept without a listener because a user is typing there.
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
            lobbies: Lobbies::default(),
            lingering: Mutex::default(),
            rates,
            limits,
            shut_outs_kept_max,
        })
    }

    /// The limits of all lobbies.
    pub fn limits(&self) -> &PresenceLimits {
        &self.limits
    }

    /// Takes one from the allowance of a user for signals and changes of typing, or returns how
    /// long to wait for it.
    pub fn take_allowance(&self, user: UserId, now: Instant) -> Result<(), Duration> {
        self.rates.take(user, now.into_std())
    }

    /// The lobby of a room, which is kept while it is held. The caller checks whether the room
    /// exists.
    ///
    /// Enter a lobby before you read a right (E4): the lobby then learns of every later loss.
    pub fn enter(&self, id: &RoomId, now: Instant) -> Arc<Lobby> {
        self.sweep(now);
        let any = |_: &Lobby| true;
        self.lobbies.enter(id.clone(), any, |registration| {
            Lobby::new(registration, self.limits, self.shut_outs_kept_max)
        })
    }

    /// The lobby of a room, if it has one.
    pub fn find(&self, id: &RoomId) -> Option<Arc<Lobby>> {
        self.lobbies.find(id)
    }

    /// Keeps a lobby without listeners until typing lapses there. If too many lobbies are kept
    /// already, this one is dropped with its last holder.
    pub fn keep(&self, lobby: &Arc<Lobby>, now: Instant) {
        let until = lobby.keep_until(now);
        let mut lingering = self.lingering.lock();
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

    /// The event `at` takes the right to read a room from some users. Must be called before any
    /// reader of the log may see that event.
    pub fn shut_out(&self, id: &RoomId, at: Seq, shuts_out: &ShutsOut) {
        let Some(lobby) = self.find(id) else { return };
        lobby.shut_out(at, shuts_out);
        if !lobby.has_state_to_keep() {
            self.lingering.lock().lobbies.remove(id);
        }
    }

    /// The number of rooms that have a lobby.
    pub fn rooms_live(&self, now: Instant) -> usize {
        self.sweep(now);
        self.lobbies.len()
    }

    /// Drops the lobbies that need not be kept any longer, at most once per interval, so that the
    /// cost per call stays small.
    fn sweep(&self, now: Instant) {
        let mut lingering = self.lingering.lock();
        if lingering.sweep_at.is_some_and(|at| at > now) {
            return;
        }
        lingering.sweep_at = Some(now + SWEEP_INTERVAL);
        lingering.lobbies.retain(|_, (lobby, until)| {
            if *until > now {
                return true;
            }
            let still = lobby.keep_until(now);
            *until = still.unwrap_or(now);
            still.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};

    #[test]
    fn e3_a_lobby_without_listeners_is_kept_until_typing_lapses() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        let lobby = presence.enter(&room("a"), now);
        lobby.set_typing(user(1), true, Seq(0), now).unwrap();
        presence.keep(&lobby, now);
        drop(lobby);
        let lobby = presence.enter(&room("a"), now);
        assert_eq!(
            names(&lobby.typing(now)),
            ["1"],
            "a later listener sees who is typing"
        );
        drop(lobby);
        assert_eq!(presence.rooms_live(now + Duration::from_secs(5)), 1);
        assert_eq!(presence.rooms_live(now + Duration::from_secs(6)), 0);
    }

    #[test]
    fn e3_a_user_who_stops_typing_leaves_no_lobby_behind() {
        let (presence, now) = (presence(PresenceLimits::default()), Instant::now());
        for typing in [true, false] {
            let lobby = presence.enter(&room("a"), now);
            lobby.set_typing(user(1), typing, Seq(0), now).unwrap();
            presence.keep(&lobby, now);
        }
        assert_eq!(presence.rooms_live(now), 0);
    }

    #[test]
    fn e3_a_user_who_is_shut_out_leaves_no_lobby_behind() {
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
    fn e3_lobbies_without_listeners_are_bounded() {
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

    /// A user whose name is their number.
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
