//! The limits of the SQLite store.

use std::time::Duration;

use clap::Args;

use crate::limit::{at_least, defaults, duration};

/// Limits of connections, members and searches.
#[derive(Args, Clone, Copy, Debug)]
pub struct SqliteLimits {
    /// Maximum database connections that read at the same time (at least 1).
    #[arg(long, default_value_t = 4, value_parser = at_least::<u32>(1))]
    pub database_readers_max: u32,
    /// Time to wait for a free database connection, or for the lock of another process; 0 does not
    /// wait.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub database_busy_timeout: Duration,
    /// Bytes to which the write-ahead log shrinks after it has grown, for example because a search
    /// took long.
    #[arg(long, default_value_t = 64 * 1024 * 1024)]
    pub wal_bytes_max: u64,
    /// Maximum members of one room.
    #[arg(long, default_value_t = 100_000)]
    pub members_per_room_max: u32,
    /// Maximum searches that run at the same time (at least 1).
    // They have connections of their own, so that other reads do not wait for them.
    #[arg(long, default_value_t = 2, value_parser = at_least::<u32>(1))]
    pub searches_max: u32,
    /// Time after which one search looks for no older messages; 0 is no limit. It then ranks those
    /// that it has found.
    #[arg(long, default_value = "250ms", value_parser = duration)]
    pub search_timeout: Duration,
    /// Maximum matches that one search ranks (at least 1). If more messages match, only the newest
    /// are ranked, and the others are not found.
    #[arg(long, default_value_t = 1000, value_parser = at_least::<u32>(1))]
    pub search_candidates_max: u32,
    /// Maximum rooms that a search without `roomId` covers (at least 1): first the rooms that the
    /// viewer is a member of, then public rooms.
    #[arg(long, default_value_t = 500, value_parser = at_least::<u32>(1))]
    pub search_rooms_max: u32,
}

impl Default for SqliteLimits {
    fn default() -> Self {
        defaults()
    }
}
