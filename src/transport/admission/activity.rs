//! Whether an HTTP connection is in use. A connection that is not used for a while is closed.

use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::sync::Mutex;

/// The uses of one connection.
pub(crate) struct Activity {
    was_used: AtomicBool,
    uses: Mutex<Uses>,
}

struct Uses {
    count: usize,
    /// When the last use ended, or when the connection was opened.
    ended_at: Instant,
}

/// One use of a connection, until it is dropped: a request until its response was sent, or a
/// WebSocket.
pub(crate) struct ActivityGuard(Arc<Activity>);

impl Activity {
    /// The activity of a new connection.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            was_used: AtomicBool::new(false),
            uses: Mutex::new(Uses {
                count: 0,
                ended_at: Instant::now(),
            }),
        })
    }

    /// Begins a use. Also returns whether it is the first one.
    pub(crate) fn begin(self: &Arc<Self>) -> (Arc<ActivityGuard>, bool) {
        self.lock().count += 1;
        (
            Arc::new(ActivityGuard(self.clone())),
            !self.was_used.swap(true, Ordering::AcqRel),
        )
    }

    /// Whether the connection was ever used.
    pub(crate) fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Acquire)
    }

    /// The moment at which the connection will have been idle for `timeout`, if no other use
    /// begins. While it is in use, that is `timeout` from now.
    pub(crate) fn idle_at(&self, timeout: Duration) -> Instant {
        let uses = self.lock();
        if uses.count == 0 {
            uses.ended_at + timeout
        } else {
            Instant::now() + timeout
        }
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock()
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        let mut uses = self.0.lock();
        uses.count -= 1;
        uses.ended_at = Instant::now();
    }
}
