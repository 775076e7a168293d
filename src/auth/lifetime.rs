//! How long a token that was accepted stays valid.

use std::time::Duration;

use super::authenticator::Auth;
use crate::domain::{Clock, Timestamp, Viewer};

/// The expiry is compared with the clock at least this often. A clock that is set forward is
/// noticed earlier, by the watches of tokens.
const EXPIRY_CHECK_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// How long a caller may wait before it checks the token again: until the token expires, but at
/// most one minute. `None` if the token has expired.
pub fn time_left(viewer: &Viewer, now: Timestamp) -> Option<Duration> {
    let remaining = now.until(viewer.expires_at);
    (!remaining.is_zero()).then(|| remaining.min(EXPIRY_CHECK_INTERVAL_MAX))
}

impl Auth {
    /// Whether a token that was accepted is still valid. It does not ask the database, so it does
    /// not notice a revocation that is not in memory.
    pub fn is_valid(&self, viewer: &Viewer, now: Timestamp) -> bool {
        time_left(viewer, now).is_some() && !self.revocations.is_cached(viewer.token)
    }

    /// Waits until the viewer's token has expired or was revoked.
    pub fn wait_until_invalid(
        &self,
        viewer: Viewer,
        clock: Clock,
    ) -> impl Future<Output = ()> + Send + use<> {
        let watch = self.watch(&viewer);
        async move {
            while let Some(remaining) = time_left(&viewer, clock()) {
                if tokio::time::timeout(remaining, watch.invalid())
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        }
    }
}
