//! The streams of a connection of HTTP/2: one whose client takes nothing of what it asked for is reset.
//!
//! The write timeout of the connection below does not see them: a client that leaves the window of a stream shut still takes
//! what is sent on others, and answers pings. Each response that it does not take would be held for as long as it likes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

/// Bytes of a response that are given to a stream at once. What is given can no longer be taken back when the client does
/// not take it.
pub(crate) const PORTION_BYTES_MAX: usize = 16 * 1024;

tokio::task_local! {
    /// Of the stream that the task runs.
    static OWED: Owed;
}

/// Since when the client could take something and does not; none while there is nothing for it.
#[derive(Clone, Default)]
pub(crate) struct Owed(Arc<Mutex<Option<Instant>>>);

impl Owed {
    /// What the stream of this task owes; for a task that runs none it is noted and never looked at.
    pub(crate) fn of_this_stream() -> Self {
        OWED.try_with(Self::clone).unwrap_or_default()
    }

    /// There is something that the client has to take before more is asked for.
    pub(crate) fn begin(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// It has taken everything.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    fn since(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().expect("no panic under this lock")
    }
}

/// Runs each stream as a task.
#[derive(Clone)]
pub(crate) struct Streams {
    /// How long a client may refuse to take what is there. Zero is no limit.
    pub(crate) write_timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(unless_stuck(stream, self.write_timeout));
    }
}

/// Runs a stream to its end, or drops it, which resets it. It holds a timer only while its client takes nothing.
async fn unless_stuck<F: Future>(stream: F, write_timeout: Duration) {
    let owed = Owed::default();
    let mut stream = pin!(OWED.scope(owed.clone(), stream));
    let mut stuck: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let since = owed.since().filter(|_| !write_timeout.is_zero());
        let Some(due) = since.map(|since| since + write_timeout) else {
            stuck = None;
            return Poll::Pending;
        };
        let stuck = stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if stuck.deadline() != due {
            stuck.as_mut().reset(due);
        }
        stuck.as_mut().poll(cx)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn t1_a_stream_is_dropped_only_while_its_client_takes_nothing() {
        let start = Instant::now();
        unless_stuck(ready(()), TIMEOUT).await;
        assert_eq!(start.elapsed(), Duration::ZERO);

        let stuck = async {
            Owed::of_this_stream().begin();
            pending::<()>().await;
        };
        unless_stuck(stuck, TIMEOUT).await;
        assert_eq!(start.elapsed(), TIMEOUT);

        // One that is taken now and then, and one that has nothing to be taken, go on.
        let start = Instant::now();
        let taken = async {
            for _ in 0..10 {
                Owed::of_this_stream().begin();
                tokio::time::sleep(TIMEOUT / 2).await;
            }
            Owed::of_this_stream().end();
            tokio::time::sleep(TIMEOUT * 100).await;
        };
        unless_stuck(taken, TIMEOUT).await;
        assert_eq!(start.elapsed(), TIMEOUT * 105);
    }
}
