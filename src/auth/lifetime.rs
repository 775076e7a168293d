//! How long a token that was found good stays good.

use std::time::Duration;

use super::Auth;
use crate::domain::{Clock, Timestamp, Viewer};

/// The time to an expiry is looked at again after this long, so that a clock that is set does not go unnoticed.
const EXPIRY_LOOK_MAX: Duration = Duration::from_secs(60);

/// How long a token is good from this moment on, or how long not to look again; none if it has expired.
pub fn time_left(viewer: &Viewer, now: Timestamp) -> Option<Duration> {
    let left = now.until(viewer.expires_at);
    (!left.is_zero()).then(|| left.min(EXPIRY_LOOK_MAX))
}

impl Auth {
    /// Whether a token that was found good is good still: it has not expired, and was not signed out as far as is known
    /// without asking the database. That holds for what was signed out here, while it has room in memory.
    pub fn is_still_good(&self, viewer: &Viewer, now: Timestamp) -> bool {
        time_left(viewer, now).is_some() && !self.revocations.knows(viewer.token)
    }

    /// Ready when the viewer's token has expired or was signed out.
    pub fn end_of(&self, viewer: Viewer, clock: Clock) -> impl Future<Output = ()> + Send + use<> {
        let watch = self.watch(&viewer);
        async move {
            while let Some(left) = time_left(&viewer, clock()) {
                if tokio::time::timeout(left, watch.revoked()).await.is_ok() {
                    return;
                }
            }
        }
    }
}
