//! A task that owns one long-lived execution of a plan.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::frame::{Encoded, Entry};
use crate::{
    domain::{Caller, Event},
    schema::{Feed, FeedError, FeedItem, PlanDocument, Schema},
};

/// What becomes of each item; none where it shows nothing.
type Payloads = Vec<Option<Encoded>>;

/// Jobs that wait for a lane; whoever brings one more waits too.
const JOBS_MAX: usize = 64;

struct Job {
    items: Vec<FeedItem>,
    payloads: oneshot::Sender<Result<Payloads, FeedError>>,
}

/// The way to a lane. The lane ends when this is dropped.
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

    /// What a view keeps of these events, in their order.
    pub(super) async fn entries(&self, events: Vec<Arc<Event>>) -> Result<Vec<Entry>, FeedError> {
        let payloads = self
            .payloads(events.iter().cloned().map(FeedItem::Event).collect())
            .await?;
        Ok(events
            .iter()
            .zip(payloads)
            .filter_map(|(event, payload)| Entry::new(event, payload))
            .collect())
    }

    /// The encoded results, in the order of the items. Whoever asks may go away: what was fed is finished (V8).
    pub(super) async fn payloads(&self, items: Vec<FeedItem>) -> Result<Payloads, FeedError> {
        let (payloads, answer) = oneshot::channel();
        let gone = |_| FeedError::Ended;
        self.jobs
            .send(Job { items, payloads })
            .await
            .map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
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
        // A resolver's panic costs this execution, not the room: it is thrown away below.
        let work = AssertUnwindSafe(encode(open, &job)).catch_unwind();
        let result = match tokio::time::timeout(timeout, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(FeedError::Panicked),
            Err(_) => Err(FeedError::TimedOut),
        };
        if result.is_err() {
            // It may still hold an event whose response nobody took; the next feed must not be handed that one.
            feed = None;
        }
        let _ = job.payloads.send(result);
    }
}

async fn encode(feed: &mut Feed, job: &Job) -> Result<Payloads, FeedError> {
    let mut payloads = Vec::with_capacity(job.items.len());
    for item in &job.items {
        if job.payloads.is_closed() {
            // Nobody waits for the rest.
            break;
        }
        payloads.push(match feed.responds(item) {
            true => Some(Encoded::new(item.cursor(), &feed.next(item.clone()).await?)),
            false => None,
        });
    }
    Ok(payloads)
}
