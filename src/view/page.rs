//! Old frames, made in pages at fixed boundaries, so that readers at nearby positions share them.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{
    ViewLimits,
    frame::Entry,
    room_view::{RoomView, log_failure, read, settle},
};
use crate::{
    domain::{RoomId, Seq},
    schema::FeedError,
};

/// Events of one page.
const PAGE_EVENTS: u64 = 64;

/// What is kept of the events from a boundary up to `upto`, which is the next boundary or where the head was.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) upto: Seq,
    /// The room's revision before the events were read: under another one this may show what is gone (V6).
    pub(super) revision: u64,
}

/// Which page: a plan, a room as it stands, and which run of [`PAGE_EVENTS`].
#[derive(Clone, PartialEq, Eq, Hash)]
struct PageKey {
    plan: u64,
    room: RoomId,
    revision: u64,
    number: u64,
}

/// A page that nobody asks for is dropped after this long: also one that a deletion has made stale.
const IDLE: Duration = Duration::from_secs(60);

/// All pages of all views, bounded in bytes.
pub(super) struct Pages {
    cache: Cache<PageKey, Arc<Page>>,
    /// So that catching up leaves the database's readers to others.
    making: Semaphore,
}

impl Pages {
    pub(super) fn new(limits: ViewLimits) -> Self {
        let weigh = |_: &PageKey, page: &Arc<Page>| {
            let bytes = page.entries.iter().map(Entry::bytes).sum::<usize>() + size_of::<Page>();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(limits.pages_bytes_max).weigher(weigh).time_to_idle(IDLE).build();
        Self { cache, making: Semaphore::new(limits.pages_making_max) }
    }
}

/// The page that holds what comes after a cursor. Made once, however many ask for it at the same time (V4).
pub(super) async fn page(view: Arc<RoomView>, cursor: Seq) -> Result<Arc<Page>, FeedError> {
    let number = cursor.0 / PAGE_EVENTS;
    let (room, revision) = (view.room.id().clone(), view.room.revision());
    let key = PageKey { plan: view.plan.id(), room, revision, number };
    let known = view.plan.pages.cache.get(&key).await;
    if let Some(page) = known.filter(|page| page.upto > cursor) {
        return Ok(page);
    }
    // In a task of its own: others wait for the same page, and a reader that goes away, or whose client reads nothing
    // for a while, must not stop it (V8).
    let tasks = view.plan.tasks.clone();
    let fetched = tasks.spawn(fetch(view, key, cursor)).await;
    fetched.unwrap_or_else(|_| Err(FeedError("making a page was stopped".to_owned())))
}

async fn fetch(view: Arc<RoomView>, key: PageKey, cursor: Seq) -> Result<Arc<Page>, FeedError> {
    let cache = &view.plan.pages.cache;
    if cache.get(&key).await.is_some_and(|page| page.upto <= cursor) {
        // Made when the head stood inside it. Whoever else sees that asks for the same new one.
        cache.invalidate(&key).await;
    }
    let making = make(view.clone(), key.number, key.revision);
    let made = cache.try_get_with(key, making).await;
    made.map_err(|error| FeedError::clone(&error))
}

async fn make(view: Arc<RoomView>, number: u64, revision: u64) -> Result<Arc<Page>, FeedError> {
    let start = Seq(number * PAGE_EVENTS);
    let mut failures = 0;
    loop {
        match attempt(&view, start, revision).await {
            Ok(page) => return Ok(Arc::new(page)),
            Err(error) => {
                log_failure(view.room.id(), start, &error);
                failures += 1;
                let Some(pause) = view.plan.limits.pause_after(failures) else { return Err(error) };
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn attempt(view: &RoomView, start: Seq, revision: u64) -> Result<Page, FeedError> {
    let upto = Seq(start.0 + PAGE_EVENTS).min(view.room.head());
    let events = {
        let _permit = view.plan.pages.making.acquire().await.expect("never closed");
        read(&view.room, start, upto).await?
    };
    let upto = events.last().map_or(start, |event| event.seq());
    let entries = view.plan.catch_up.entries(events).await?;
    settle(&view.room, &entries).await;
    Ok(Page { entries, upto, revision })
}
