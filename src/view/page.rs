//! Old frames, made in pages at fixed boundaries, so that readers at nearby positions share them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{
    ViewLimits,
    frame::Entry,
    room_view::{RoomView, log_failure, read},
};
use crate::{
    domain::{RoomId, Seq},
    schema::FeedError,
};

/// Events of one page.
const PAGE_EVENTS: u64 = 64;

/// Events that are run in one go: between two of these is looked whether somebody still reads.
const EVENTS_AT_ONCE: usize = 8;

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
    let (tasks, pages) = (view.plan.tasks.clone(), view.plan.pages.clone());
    let fetched = tasks.spawn(fetch(pages, Arc::downgrade(&view), key, cursor)).await;
    match fetched {
        Ok(Ok(page)) => Ok(page),
        Ok(Err(Unmade::Failed(error))) => Err(error),
        Ok(Err(Unmade::Unread)) | Err(_) => Err(FeedError("making a page was stopped".to_owned())),
    }
}

/// Why there is no page.
#[derive(Clone, Debug)]
enum Unmade {
    /// Making it was tried as often as may be.
    Failed(FeedError),
    /// Nobody reads the view any more for which it was being made.
    Unread,
}

impl From<FeedError> for Unmade {
    fn from(error: FeedError) -> Self {
        Self::Failed(error)
    }
}

async fn fetch(pages: Arc<Pages>, view: Weak<RoomView>, key: PageKey, cursor: Seq) -> Result<Arc<Page>, Unmade> {
    let cache = &pages.cache;
    if cache.get(&key).await.is_some_and(|page| page.upto <= cursor) {
        // Made when the head stood inside it. Whoever else sees that asks for the same new one.
        cache.invalidate(&key).await;
    }
    loop {
        let making = make(&pages, &view, key.number, key.revision);
        match cache.try_get_with_by_ref(&key, making).await.map_err(|error| Unmade::clone(&error)) {
            // The readers for whom another task was making it have gone; this one's have not.
            Err(Unmade::Unread) if view.strong_count() > 0 => {}
            made => return made,
        }
    }
}

/// Readers hold the view; this does not while it waits, so that nothing is made for those who have gone.
async fn make(pages: &Pages, view: &Weak<RoomView>, number: u64, revision: u64) -> Result<Arc<Page>, Unmade> {
    let start = Seq(number * PAGE_EVENTS);
    let mut failures = 0;
    loop {
        let error = match attempt(pages, view, start, revision).await {
            Ok(page) => return Ok(Arc::new(page)),
            Err(Unmade::Unread) => return Err(Unmade::Unread),
            Err(Unmade::Failed(error)) => error,
        };
        failures += 1;
        let pause = {
            let view = held(view)?;
            log_failure(view.room.id(), start, &error);
            view.plan.limits.pause_after(failures)
        };
        let Some(pause) = pause else { return Err(error.into()) };
        tokio::time::sleep(pause).await;
    }
}

fn held(view: &Weak<RoomView>) -> Result<Arc<RoomView>, Unmade> {
    view.upgrade().ok_or(Unmade::Unread)
}

async fn attempt(pages: &Pages, view: &Weak<RoomView>, start: Seq, revision: u64) -> Result<Page, Unmade> {
    let events = {
        let _permit = pages.making.acquire().await.expect("never closed");
        let room = held(view)?.room.clone();
        read(&room, start, Seq(start.0 + PAGE_EVENTS).min(room.head())).await?
    };
    let upto = events.last().map_or(start, |event| event.seq());
    let mut entries = Vec::with_capacity(events.len());
    for some in events.chunks(EVENTS_AT_ONCE) {
        let plan = held(view)?.plan.clone();
        entries.extend(plan.catch_up.entries(some.to_vec()).await?);
    }
    Ok(Page { entries, upto, revision })
}
