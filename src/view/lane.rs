//! A task that owns one long-lived execution of a plan.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::Frame;
use crate::{
    domain::Event,
    schema::{Feed, FeedError, PlanDocument, Schema},
};

/// Jobs that wait for a lane; whoever brings one more waits too.
const JOBS_MAX: usize = 64;

struct Job {
    events: Vec<Arc<Event>>,
    frames: oneshot::Sender<Result<Vec<Frame>, FeedError>>,
}

/// The way to a lane. The lane ends when this is dropped.
pub(super) struct Lane {
    jobs: mpsc::Sender<Job>,
}

impl Lane {
    pub(super) fn spawn(schema: Schema, plan: Arc<PlanDocument>, timeout: Duration, tasks: &TaskTracker) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        tasks.spawn(run(schema, plan, timeout, queue));
        Self { jobs }
    }

    /// The frames of these events, in their order. Whoever asks may go away: what was fed is finished (V8).
    pub(super) async fn frames(&self, events: Vec<Arc<Event>>) -> Result<Vec<Frame>, FeedError> {
        let (frames, answer) = oneshot::channel();
        let gone = |_| FeedError("the lane has ended".to_owned());
        self.jobs.send(Job { events, frames }).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }
}

async fn run(schema: Schema, plan: Arc<PlanDocument>, timeout: Duration, mut queue: mpsc::Receiver<Job>) {
    let mut feed: Option<Feed> = None;
    while let Some(job) = queue.recv().await {
        let open = feed.get_or_insert_with(|| schema.feed(&plan));
        // A resolver's panic costs this execution, not the room: it is thrown away below.
        let work = AssertUnwindSafe(encode(open, &job.events)).catch_unwind();
        let result = match tokio::time::timeout(timeout, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(FeedError("a resolver panicked".to_owned())),
            Err(_) => Err(FeedError("the execution took too long".to_owned())),
        };
        if result.is_err() {
            // It may still hold an event whose response nobody took; the next feed must not be handed that one.
            feed = None;
        }
        let _ = job.frames.send(result);
    }
}

async fn encode(feed: &mut Feed, events: &[Arc<Event>]) -> Result<Vec<Frame>, FeedError> {
    let mut frames = Vec::with_capacity(events.len());
    for event in events {
        let response = feed.next(event.clone()).await?;
        frames.push(Frame::new(event.cursor(), &response));
    }
    Ok(frames)
}
