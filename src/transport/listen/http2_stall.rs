//! The write timeout of HTTP/2 streams (T1): a stream is reset if its client does not take the
//! response.
//!
//! The write timeout of the connection does not cover this. A client that keeps the flow control
//! window of one stream closed still takes data on other streams, and answers pings. Without this
//! timeout it could make the server hold responses for as long as it likes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, MutexGuard},
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

use crate::sync::Mutex;

/// Bytes of a response that are passed to a stream at a time. Bytes that were passed on stay in
/// memory until the client takes them or the stream is reset.
pub(super) const PORTION_BYTES_MAX: usize = 16 * 1024;

tokio::task_local! {
    /// The state of the stream that the task runs.
    static UNTAKEN: Untaken;
}

/// Since when a stream has data that the client has not taken. None while it has no such data.
#[derive(Clone, Default)]
pub(super) struct Untaken(Arc<Mutex<Option<Instant>>>);

impl Untaken {
    /// The state of the stream that the current task runs. A task that runs no stream gets a state
    /// that nothing reads.
    pub(super) fn of_this_stream() -> Self {
        UNTAKEN.try_with(Self::clone).unwrap_or_default()
    }

    /// Data was passed to the stream.
    pub(super) fn begin(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// The client has taken everything.
    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    fn since(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock()
    }
}

/// Runs each HTTP/2 stream as a task.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    /// How long a client may leave data untaken. Zero is no limit.
    pub(super) write_timeout: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(run_unless_stalled(stream, self.write_timeout));
    }
}

/// Runs a stream to its end, or drops it when its client has stalled, which resets it. It holds a
/// timer only while data is untaken.
async fn run_unless_stalled<F: Future>(stream: F, write_timeout: Duration) {
    let untaken = Untaken::default();
    let mut stream = pin!(UNTAKEN.scope(untaken.clone(), stream));
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let since = untaken.since().filter(|_| !write_timeout.is_zero());
        let Some(due) = since.map(|since| since + write_timeout) else {
            timer = None;
            return Poll::Pending;
        };
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
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
        run_unless_stalled(ready(()), TIMEOUT).await;
        assert_eq!(start.elapsed(), Duration::ZERO);

        let stalled = async {
            Untaken::of_this_stream().begin();
            pending::<()>().await;
        };
        run_unless_stalled(stalled, TIMEOUT).await;
        assert_eq!(start.elapsed(), TIMEOUT);

        // A stream continues if its client takes data now and then, or if it has no data.
        let start = Instant::now();
        let taken = async {
            for _ in 0..10 {
                Untaken::of_this_stream().begin();
                tokio::time::sleep(TIMEOUT / 2).await;
            }
            Untaken::of_this_stream().end();
            tokio::time::sleep(TIMEOUT * 100).await;
        };
        run_unless_stalled(taken, TIMEOUT).await;
        assert_eq!(start.elapsed(), TIMEOUT * 105);
    }
}
