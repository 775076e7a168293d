//! The limits of tokens, and of the keys that an identity provider publishes.

use std::time::Duration;

use clap::Args;

use crate::limit::{at_least, defaults, duration};

/// Limits of tokens, and of the keys that an identity provider publishes.
#[derive(Args, Clone, Copy, Debug)]
pub struct AuthLimits {
    /// Maximum bytes of a token (at least 1).
    #[arg(long, default_value_t = 8192, value_parser = at_least::<usize>(1))]
    pub token_bytes_max: usize,
    /// Memory for tokens whose signature was verified, which is not repeated for them; with 0, it
    /// is verified each time.
    #[arg(long, default_value_t = 16 * 1024 * 1024)]
    pub verified_tokens_bytes_max: u64,
    /// Users of the identity provider kept in memory; others are looked up in the database (at
    /// least 1).
    #[arg(long, default_value_t = 10_000, value_parser = at_least::<u64>(1))]
    pub subjects_cached_max: u64,
    /// Revoked tokens kept in memory; others are looked up in the database (at least 1).
    #[arg(long, default_value_t = 100_000, value_parser = at_least::<usize>(1))]
    pub revocations_cached_max: usize,
    /// Interval at which the server reads the revocations that other processes wrote to the same
    /// database; with 0, it reads them only at its start.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub revocations_check_interval: Duration,
    /// Maximum bytes of an identity provider's key set (at least 1).
    #[arg(long, default_value_t = 256 * 1024, value_parser = at_least::<usize>(1))]
    pub jwks_bytes_max: usize,
    /// Time allowed for one fetch of an identity provider's key set.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub jwks_timeout: Duration,
    /// Age at which an identity provider's key set is fetched again even if no key is missing.
    #[arg(long, default_value = "10m", value_parser = duration)]
    pub jwks_refresh_age: Duration,
    /// Minimum time between the starts of two fetches of an identity provider's key set.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub jwks_refetch_interval: Duration,
}

impl Default for AuthLimits {
    fn default() -> Self {
        defaults()
    }
}
