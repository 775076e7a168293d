//! The limits of views, their frames and their executions.

use std::time::Duration;

use clap::Args;

use crate::limit::{at_least, defaults, duration};

/// What views may hold in memory, and how long their executions may take.
#[derive(Args, Clone, Copy, Debug)]
pub struct ViewLimits {
    /// Recent frames kept in memory per view, which is one document in one room.
    #[arg(long, default_value_t = 256)]
    pub ring_frames_max: usize,
    /// Bytes of recent frames kept in memory per view, which is one document in one room.
    #[arg(long, default_value_t = 256 * 1024)]
    pub ring_bytes_max: usize,
    /// Bytes of recent frames kept in memory for all views together.
    #[arg(long, default_value_t = 512 * 1024 * 1024)]
    pub frames_bytes_max: usize,
    /// Estimated bytes of memory for all different documents that have subscribers.
    #[arg(long, default_value_t = 512 * 1024 * 1024)]
    pub plans_bytes_max: usize,
    /// Estimated bytes of memory for subscribed documents that one user was the first to send, or
    /// one address for anonymous callers.
    #[arg(long, default_value_t = 32 * 1024 * 1024)]
    pub plans_bytes_per_viewer_max: usize,
    /// Estimated bytes of memory for subscribed documents that the callers at one address were the
    /// first to send, all of them together.
    #[arg(long, default_value_t = 256 * 1024 * 1024)]
    pub plans_bytes_per_address_max: usize,
    /// Subscriptions of one user, on all connections together.
    #[arg(long, default_value_t = 1_000)]
    pub subscriptions_per_viewer_max: usize,
    /// Bytes of older frames kept in memory for readers that catch up; 0 keeps none.
    #[arg(long, default_value_t = 64 * 1024 * 1024)]
    pub pages_bytes_max: u64,
    /// Bytes of frames after which a page for readers that catch up is cut.
    // A reader holds the page that it takes, whatever `pages_bytes_max` is.
    #[arg(long, default_value_t = 1024 * 1024)]
    pub page_bytes_max: usize,
    /// Pages that are made at the same time for readers that catch up (at least 1).
    #[arg(long, default_value_t = 2, value_parser = at_least::<usize>(1))]
    pub pages_making_max: usize,
    /// Maximum time that a view waits for its readers to take the last frames before it makes new
    /// ones.
    #[arg(long, default_value = "200ms", value_parser = duration)]
    pub round_wait: Duration,
    /// Time for one execution of a subscription's document.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub execution_timeout: Duration,
    /// Time before a failed execution is retried for the first time; it doubles with each retry.
    #[arg(long, default_value = "50ms", value_parser = duration)]
    pub retry_first: Duration,
    /// Tries of an execution before its readers are disconnected and may come back later (at least
    /// 1).
    // With the default `retry_first`, eight tries take about six seconds.
    #[arg(long, default_value_t = 8, value_parser = at_least::<u32>(1))]
    pub tries_max: u32,
}

impl Default for ViewLimits {
    fn default() -> Self {
        defaults()
    }
}

impl ViewLimits {
    /// How long to wait before the next try after this many failures. None after the last try.
    pub(super) fn pause_after(&self, failures: u32) -> Option<Duration> {
        (failures < self.tries_max)
            .then(|| self.retry_first.saturating_mul(1 << (failures - 1).min(20)))
    }
}
