//! Whether an HTTP connection is in use. A connection that is not used for a while is closed.

use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
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
    /// The uses that end with an answer. The others are streams and WebSockets.
    answers: usize,
    /// Waits until no answer is due.
    reader: Option<Waker>,
    /// When the last use ended, or when the connection was opened.
    ended_at: Instant,
}

/// One use of a connection, until it is dropped: a request until its response was sent, or a
/// WebSocket.
pub(crate) struct ActivityGuard {
    activity: Arc<Activity>,
    /// An answer is due.
    owes_answer: AtomicBool,
}

impl Activity {
    /// The activity of a new connection.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            was_used: AtomicBool::new(false),
            uses: Mutex::new(Uses {
                count: 0,
                answers: 0,
                reader: None,
                ended_at: Instant::now(),
            }),
        })
    }

    /// Begins a use. Also returns whether it is the first one.
    pub(crate) fn begin(self: &Arc<Self>) -> (Arc<ActivityGuard>, bool) {
        {
            let mut uses = self.lock();
            uses.count += 1;
            uses.answers += 1;
        }
        let guard = ActivityGuard {
            activity: self.clone(),
            owes_answer: AtomicBool::new(true),
        };
        let is_first = !self.was_used.swap(true, Ordering::AcqRel);
        (Arc::new(guard), is_first)
    }

    /// Whether a request was not answered yet. If so, `waker` is woken when all are.
    pub(crate) fn owes_answer(&self, waker: &Waker) -> bool {
        let mut uses = self.lock();
        let owes = uses.answers > 0;
        uses.reader = owes.then(|| waker.clone());
        owes
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

impl ActivityGuard {
    /// No answer is due any more: it was sent, or it is a stream or a WebSocket, which may last.
    pub(crate) fn owe_nothing(&self) {
        if !self.owes_answer.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut uses = self.activity.lock();
        uses.answers -= 1;
        if uses.answers == 0
            && let Some(reader) = uses.reader.take()
        {
            reader.wake();
        }
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        self.owe_nothing();
        let mut uses = self.activity.lock();
        uses.count -= 1;
        uses.ended_at = Instant::now();
    }
}
