//! The limits of ephemeral state: presence, typing and signals.

use std::time::Duration;

use clap::Args;

use crate::{
    limit::{at_least, defaults, duration},
    quota::Rate,
};

/// Memory bounds and rate limits for ephemeral state.
#[derive(Args, Clone, Copy, Debug)]
pub struct PresenceLimits {
    /// Maximum users listed as typing in one room (at least 1).
    #[arg(long, default_value_t = 20, value_parser = at_least::<usize>(1))]
    pub typing_users_max: usize,
    /// Time after which a user is no longer shown as typing, unless their client repeats
    /// `setTyping`.
    // Clients repeat it every few seconds while the user types.
    #[arg(long, default_value = "6s", value_parser = duration)]
    pub typing_lapse: Duration,
    /// Minimum time between two updates of who is typing in a room.
    #[arg(long, default_value = "100ms", value_parser = duration)]
    pub typing_interval: Duration,
    /// Maximum bytes of a signal's data, as JSON.
    // A WebRTC offer with several tracks fits.
    #[arg(long, default_value_t = 16 * 1024)]
    pub signal_bytes_max: usize,
    /// Maximum calls of `sendSignal` and `setTyping` per second per user.
    // A pointer that moves with every frame of the screen sends sixty signals per second.
    #[arg(long, default_value_t = 100)]
    pub signals_per_second_per_user_max: u32,
    /// Maximum burst of calls of `sendSignal` and `setTyping` by one user (at least 1).
    #[arg(long, default_value_t = 1_000, value_parser = at_least::<u32>(1))]
    pub signals_burst_max: u32,
    /// Recent signals kept in memory per room with `signals` subscribers (at least 1).
    #[arg(long, default_value_t = 256, value_parser = at_least::<usize>(1))]
    pub signals_kept_max: usize,
    /// Memory for recent signals per room, in bytes; the newest signal is always kept,
    /// and 0 keeps only that one.
    #[arg(long, default_value_t = 256 * 1024)]
    pub signals_kept_bytes_max: usize,
    /// Maximum users listed as present in one room (at least 1); users who are not listed are still
    /// counted.
    #[arg(long, default_value_t = 200, value_parser = at_least::<usize>(1))]
    pub presence_shown_max: usize,
    /// Time that a user stays present after their last subscription to a room ends.
    // A reconnect within this time is not shown as leaving.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub presence_grace: Duration,
    /// Minimum time between two updates of who is present in a room.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub presence_interval: Duration,
    /// Recent arrivals and departures kept in memory per room with `presence` subscribers (at least
    /// 1).
    #[arg(long, default_value_t = 1_024, value_parser = at_least::<usize>(1))]
    pub presence_moves_kept_max: usize,
    /// Maximum rooms kept in memory that have a typing user but no subscribers; 0 keeps none.
    #[arg(long, default_value_t = 10_000)]
    pub rooms_lingering_max: usize,
}

impl Default for PresenceLimits {
    fn default() -> Self {
        defaults()
    }
}

impl PresenceLimits {
    /// Signals and changes of the typing state from one user.
    pub(super) fn signals_per_user(&self) -> Rate {
        Rate::per_second(self.signals_per_second_per_user_max, self.signals_burst_max)
    }
}
