//! The limits of views, their frames and their executions.

use std::time::Duration;

use clap::Args;

use crate::limit::{at_least, defaults, duration};

/// Limits of the memory of views, and of the time of their executions.
#[derive(Args, Clone, Copy, Debug)]
pub struct ViewLimits {
    /// Recent results kept in memory per subscription document and room; 0 keeps none.
    #[arg(long, default_value_t = 256)]
    pub ring_frames_max: usize,
    /// Memory for recent results per subscription document and room, in bytes; 0 keeps none.
    #[arg(long, default_value_t = 256 * 1024)]
    pub ring_bytes_max: usize,
    /// Memory for recent results of all subscription documents and rooms together, in bytes.
    #[arg(long, default_value_t = 512 * 1024 * 1024)]
    pub frames_bytes_max: usize,
    /// Estimated memory for plans (distinct subscription documents in use), in bytes.
    #[arg(long, default_value_t = 512 * 1024 * 1024)]
    pub plans_bytes_max: usize,
    /// Estimated memory for the plans of one user, in bytes (of one address for anonymous callers);
    /// a plan belongs to the caller that subscribed with it first.
    #[arg(long, default_value_t = 32 * 1024 * 1024)]
    pub plans_bytes_per_viewer_max: usize,
    /// Estimated memory for the plans of all callers at one address together, in bytes.
    #[arg(long, default_value_t = 256 * 1024 * 1024)]
    pub plans_bytes_per_address_max: usize,
    /// Maximum subscriptions of one signed-in user, on all connections together.
    #[arg(long, default_value_t = 1_000)]
    pub subscriptions_per_viewer_max: usize,
    /// Memory for the cache of pages (older results for subscribers that catch up), in bytes; 0
    /// turns the cache off.
    #[arg(long, default_value_t = 64 * 1024 * 1024)]
    pub pages_bytes_max: u64,
    /// Bytes at which a page of older results is cut.
    // A reader holds the page that it takes, whatever `pages_bytes_max` is.
    #[arg(long, default_value_t = 1024 * 1024)]
    pub page_bytes_max: usize,
    /// Maximum pages of older results that are made at the same time (at least 1).
    #[arg(long, default_value_t = 2, value_parser = at_least::<usize>(1))]
    pub pages_making_max: usize,
    /// Longest time that new results wait for slow subscribers to take the previous ones. After it,
    /// slow subscribers fall behind and do not delay the others.
    #[arg(long, default_value = "200ms", value_parser = duration)]
    pub round_wait: Duration,
    /// Time allowed for one attempt to make results of a subscription.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub execution_timeout: Duration,
    /// Delay before a failed attempt to make results is repeated; it doubles with each repetition.
    #[arg(long, default_value = "50ms", value_parser = duration)]
    pub retry_first: Duration,
    /// Maximum attempts to make a result (at least 1). If the last one fails, the subscribers are
    /// disconnected, to resume later.
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
