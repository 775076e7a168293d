//! A lane: a task with one long-lived execution of a plan. Items go in, frames come out.
//!
//! The execution belongs to the task and not to a reader. So a reader that goes away at any await
//! changes no other reader's frames, and an item that was fed is always finished (V8).

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::frame::{Encoded, Entry};
use crate::{
    domain::{Caller, Event},
    limit::unless_zero,
    schema::{Feed, FeedError, FeedItem, PlanDocument, Schema},
};

/// The result for each item. `None` if the document shows nothing of it.
type Results = Vec<Option<Encoded>>;

/// The jobs that may wait for a lane. A caller with one more waits too.
const JOBS_MAX: usize = 64;

struct Job {
    items: Vec<FeedItem>,
    results: oneshot::Sender<Result<Results, FeedError>>,
}

/// The way to the task of a lane. The task ends when this is dropped.
pub(super) struct Lane {
    jobs: mpsc::Sender<Job>,
}

impl Lane {
    pub(super) fn spawn(
        schema: Schema,
        plan: Arc<PlanDocument>,
        caller: Caller,
        timeout: Duration,
        tasks: &TaskTracker,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        tasks.spawn(run(schema, plan, caller, timeout, queue));
        Self { jobs }
    }

    /// The entries of a view for these events, in order.
    pub(super) async fn entries(&self, events: &[Arc<Event>]) -> Result<Vec<Entry>, FeedError> {
        let items = events.iter().cloned().map(FeedItem::Event).collect();
        let results = self.results(items).await?;
        Ok(events
            .iter()
            .zip(results)
            .filter_map(|(event, result)| Entry::new(event, result))
            .collect())
    }

    /// The encoded results of these items, in order. The caller may go away; the lane finishes the
    /// item that it was fed (V8).
    pub(super) async fn results(&self, items: Vec<FeedItem>) -> Result<Results, FeedError> {
        let (results, answer) = oneshot::channel();
        let sent = self.jobs.send(Job { items, results }).await;
        sent.map_err(|_| FeedError::Ended)?;
        answer.await.map_err(|_| FeedError::Ended)?
    }
}

async fn run(
    schema: Schema,
    plan: Arc<PlanDocument>,
    caller: Caller,
    timeout: Duration,
    mut queue: mpsc::Receiver<Job>,
) {
    let mut feed: Option<Feed> = None;
    while let Some(job) = queue.recv().await {
        let open = feed.get_or_insert_with(|| schema.feed(&plan, caller));
        // If a resolver panics, this execution is lost and not the room: it is dropped below.
        let work = AssertUnwindSafe(encode(open, &job)).catch_unwind();
        let result = match tokio::time::timeout(unless_zero(timeout), work).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(FeedError::Panicked),
            Err(_) => Err(FeedError::TimedOut),
        };
        if result.is_err() {
            // The execution may still hold a response that was not taken. The next job must not
            // receive it.
            feed = None;
        }
        let _ = job.results.send(result);
    }
}

async fn encode(feed: &mut Feed, job: &Job) -> Result<Results, FeedError> {
    let mut results = Vec::with_capacity(job.items.len());
    for item in &job.items {
        if job.results.is_closed() {
            // The caller is gone and does not need the rest.
            break;
        }
        results.push(match feed.responds(item) {
            true => Some(Encoded::new(item.cursor(), &feed.next(item.clone()).await?)),
            false => None,
        });
    }
    Ok(results)
}
