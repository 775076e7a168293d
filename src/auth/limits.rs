//! The limits of tokens, and of the keys that an identity provider publishes.

use std::time::Duration;

/// How long a guest's token is valid, unless a flag sets another time.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the check of tokens may use.
#[derive(Clone, Copy, Debug)]
pub struct AuthLimits {
    /// Bytes of a token. It cannot be unlimited.
    pub token_bytes_max: usize,
    /// Users of an identity provider that are kept in memory.
    pub subjects_cached_max: u64,
    /// Revoked tokens that are kept in memory. Others are looked up in the database.
    pub revocations_cached_max: usize,
    /// Time between checks for tokens that other processes on the same database revoked; 0 never
    /// checks.
    pub revocations_check_interval: Duration,
    /// Bytes of an identity provider's key set. It cannot be unlimited.
    pub jwks_bytes_max: usize,
    /// Time for one fetch of an identity provider's key set.
    pub jwks_timeout: Duration,
    /// Age at which an identity provider's key set is fetched again even if no key is missing.
    pub jwks_refresh_age: Duration,
    /// Minimum time between two fetches of an identity provider's key set.
    pub jwks_refetch_interval: Duration,
}

impl Default for AuthLimits {
    fn default() -> Self {
        Self {
            token_bytes_max: 8192,
            subjects_cached_max: 10_000,
            revocations_cached_max: 100_000,
            revocations_check_interval: Duration::from_secs(1),
            jwks_bytes_max: 256 * 1024,
            jwks_timeout: Duration::from_secs(5),
            jwks_refresh_age: Duration::from_secs(10 * 60),
            jwks_refetch_interval: Duration::from_secs(10),
        }
    }
}
