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
    room_view::{RoomView, log_failure, read, settle},
};
use crate::{
    domain::{RoomId, Seq},
    schema::FeedError,
};

/// Events of one page.
const PAGE_EVENTS: u64 = 64;

/// Events that are run in one go: between two of these is looked whether somebody still reads.
const EVENTS_AT_ONCE: usize = 4;

/// What is kept of the events up to `upto`, which is the next boundary or where the head was. A page of long frames is cut: the
/// rest is the next page's.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) upto: Seq,
    is_cut: bool,
    /// The room's revision before the events were read: under another one this may show what is gone (V6).
    pub(super) revision: u64,
}

impl Page {
    /// Whether what comes after a cursor is in the next one.
    fn ends_before(&self, cursor: Seq) -> bool {
        self.is_cut && self.upto <= cursor
    }

    /// Whether more has come since than when the head stood inside it.
    fn is_stale(&self, cursor: Seq) -> bool {
        !self.is_cut && self.upto <= cursor
    }

    fn bytes(&self) -> usize {
        self.entries.iter().map(Entry::bytes).sum()
    }
}

/// Which page: a plan, a room as it stands, and after which event it begins: a boundary, or where one was cut.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PageKey {
    plan: u64,
    room: RoomId,
    revision: u64,
    start: Seq,
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
            u32::try_from(page.bytes() + size_of::<Page>()).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(limits.pages_bytes_max)
            .weigher(weigh)
            .time_to_idle(IDLE)
            .build();
        Self {
            cache,
            making: Semaphore::new(limits.pages_making_max),
        }
    }
}

/// The page that holds what comes after a cursor. Made once, however many ask for it at the same time (V4).
pub(super) async fn page(view: Arc<RoomView>, cursor: Seq) -> Result<Arc<Page>, FeedError> {
    let revision = view.room.revision();
    let mut start = Seq(cursor.0 / PAGE_EVENTS * PAGE_EVENTS);
    loop {
        let key = PageKey {
            plan: view.plan.id(),
            room: view.room.id().clone(),
            revision,
            start,
        };
        let page = known_or_made(&view, key, cursor).await?;
        if !page.ends_before(cursor) {
            return Ok(page);
        }
        start = page.upto;
    }
}

async fn known_or_made(
    view: &Arc<RoomView>,
    key: PageKey,
    cursor: Seq,
) -> Result<Arc<Page>, FeedError> {
    let known = view.plan.pages.cache.get(&key).await;
    if let Some(page) = known.filter(|page| !page.is_stale(cursor)) {
        return Ok(page);
    }
    // In a task of its own: others wait for the same page, and a reader that goes away, or whose client reads nothing
    // for a while, must not stop it (V8).
    let (tasks, pages) = (view.plan.tasks.clone(), view.plan.pages.clone());
    let fetched = tasks
        .spawn(fetch(pages, Arc::downgrade(view), key, cursor))
        .await;
    match fetched {
        Ok(Ok(page)) => Ok(page),
        Ok(Err(Unmade::Failed(error))) => Err(error),
        Ok(Err(Unmade::Unread)) | Err(_) => Err(FeedError::Ended),
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

async fn fetch(
    pages: Arc<Pages>,
    view: Weak<RoomView>,
    key: PageKey,
    cursor: Seq,
) -> Result<Arc<Page>, Unmade> {
    let cache = &pages.cache;
    if cache
        .get(&key)
        .await
        .is_some_and(|page| page.is_stale(cursor))
    {
        // Made when the head stood inside it. Whoever else sees that asks for the same new one.
        cache.invalidate(&key).await;
    }
    loop {
        let making = make(&pages, &view, key.start, key.revision);
        match cache
            .try_get_with_by_ref(&key, making)
            .await
            .map_err(|error| Unmade::clone(&error))
        {
            // The readers for whom another task was making it have gone; this one's have not.
            Err(Unmade::Unread) if view.strong_count() > 0 => {}
            made => return made,
        }
    }
}

/// Readers hold the view; this does not while it waits, so that nothing is made for those who have gone.
async fn make(
    pages: &Pages,
    view: &Weak<RoomView>,
    start: Seq,
    revision: u64,
) -> Result<Arc<Page>, Unmade> {
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
        let Some(pause) = pause else {
            return Err(error.into());
        };
        tokio::time::sleep(pause).await;
    }
}

fn held(view: &Weak<RoomView>) -> Result<Arc<RoomView>, Unmade> {
    view.upgrade().ok_or(Unmade::Unread)
}

async fn attempt(
    pages: &Pages,
    view: &Weak<RoomView>,
    start: Seq,
    revision: u64,
) -> Result<Page, Unmade> {
    let (room, events) = {
        let _permit = pages.making.acquire().await.expect("never closed");
        let room = held(view)?.room.clone();
        let boundary = Seq((start.0 / PAGE_EVENTS + 1) * PAGE_EVENTS);
        let events = read(&room, start, boundary.min(room.head())).await?;
        (room, events)
    };
    let mut page = Page {
        entries: Vec::with_capacity(events.len()),
        upto: start,
        is_cut: false,
        revision,
    };
    for some in events.chunks(EVENTS_AT_ONCE) {
        let plan = held(view)?.plan.clone();
        let most = plan.limits.page_bytes_max;
        page.is_cut = most != 0 && page.bytes() > most;
        if page.is_cut {
            break;
        }
        let entries = plan.catch_up.entries(some.to_vec()).await?;
        settle(&room, &entries).await;
        page.entries.extend(entries);
        page.upto = some.last().map_or(page.upto, |event| event.seq());
    }
    Ok(page)
}
