//! The limits of writes, and of the memory for rooms that have readers.

use clap::Args;

use crate::{
    limit::{at_least, defaults},
    quota::Rate,
};

/// Limits of waiting writes, live rooms and waiting requests.
#[derive(Args, Clone, Copy, Debug)]
pub struct HubLimits {
    /// Maximum writes that wait for the database (at least 1); further writes are refused.
    #[arg(long, default_value_t = 4096, value_parser = at_least::<usize>(1))]
    pub append_queue_max: usize,
    /// Maximum writes of one user that wait for the database (at least 1).
    #[arg(long, default_value_t = 512, value_parser = at_least::<usize>(1))]
    pub append_queue_per_user_max: usize,
    /// Maximum writes to one room that wait for the database (at least 1).
    #[arg(long, default_value_t = 2048, value_parser = at_least::<usize>(1))]
    pub append_queue_per_room_max: usize,
    /// Maximum mutations of rooms per second per user, `sendMessage` included.
    #[arg(long, default_value_t = 500)]
    pub mutations_per_second_per_user_max: u32,
    /// Maximum burst of mutations of rooms by one user (at least 1).
    #[arg(long, default_value_t = 5_000, value_parser = at_least::<u32>(1))]
    pub mutations_burst_max: u32,
    /// Maximum rooms that one user creates per day.
    #[arg(long, default_value_t = 1_000)]
    pub rooms_per_day_per_user_max: u64,
    /// Maximum rooms that all users at one address create per day.
    #[arg(long, default_value_t = 5_000)]
    pub rooms_per_day_per_address_max: u64,
    /// Maximum memberships that one user begins per day, their own and those of users they add.
    #[arg(long, default_value_t = 10_000)]
    pub memberships_per_day_per_user_max: u64,
    /// Maximum memberships that all users at one address begin per day.
    #[arg(long, default_value_t = 100_000)]
    pub memberships_per_day_per_address_max: u64,
    /// Maximum bytes that one user stores per day. Each change counts as its text plus 512 bytes.
    #[arg(long, default_value_t = 256 * 1024 * 1024)]
    pub stored_bytes_per_day_per_user_max: u64,
    /// Maximum bytes that all users at one address store per day.
    #[arg(long, default_value_t = 2 * 1024 * 1024 * 1024)]
    pub stored_bytes_per_day_per_address_max: u64,
    /// Maximum writes in one database transaction (at least 1).
    #[arg(long, default_value_t = 512, value_parser = at_least::<usize>(1))]
    pub append_batch_max: usize,
    /// Recent events kept in memory per room that has subscribers or waiting `pollMessages` calls;
    /// 0 keeps none.
    #[arg(long, default_value_t = 256)]
    pub tail_events_max: usize,
    /// Memory for recent events per room that has subscribers or waiting `pollMessages` calls, in
    /// bytes; 0 keeps none.
    #[arg(long, default_value_t = 256 * 1024)]
    pub tail_bytes_max: usize,
    /// Recent events that took read access from users (a removal, a room made private), kept in
    /// memory per room (at least 1). A subscriber that lags behind an event that is no longer kept
    /// is disconnected; its access is checked when it reconnects.
    #[arg(long, default_value_t = 256, value_parser = at_least::<usize>(1))]
    pub shut_outs_kept_max: usize,
    /// Maximum `pollMessages` calls that wait at the same time.
    #[arg(long, default_value_t = 10_000)]
    pub waits_max: usize,
    /// Maximum `pollMessages` calls of one user that wait at the same time (of one address for
    /// anonymous callers).
    #[arg(long, default_value_t = 1_000)]
    pub waits_per_viewer_max: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        defaults()
    }
}

impl HubLimits {
    /// Commands from one user. A command beyond it is refused before it waits.
    pub(super) fn commands_per_user(&self) -> Rate {
        Rate::per_second(
            self.mutations_per_second_per_user_max,
            self.mutations_burst_max,
        )
    }
}
