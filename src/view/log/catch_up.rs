//! Making pages, for readers that are older than the ring.

use std::sync::{Arc, Weak};

use super::{
    page::{PAGE_EVENTS, Page, PageKey, Pages},
    view::{LogView, settle},
};
use crate::{
    domain::Seq,
    view::{
        frame::FrameError,
        live::{Backoff, Source},
    },
};

/// Events that are encoded in one step. Between two steps is checked whether the view still has
/// readers.
const EVENTS_AT_ONCE: usize = 4;

/// The page that holds the events after a cursor. It is made once for any number of readers that
/// ask for it at the same time (V4).
pub(super) async fn page(view: Arc<LogView>, cursor: Seq) -> Result<Arc<Page>, FrameError> {
    let revision = view.source.room.revision();
    let mut start = Seq(cursor.0 / PAGE_EVENTS * PAGE_EVENTS);
    loop {
        let key = PageKey {
            plan: view.plan.id(),
            room: view.source.room().clone(),
            revision,
            start,
        };
        let page = cached_or_made(&view, key, cursor).await?;
        if !page.ends_before(cursor) {
            return Ok(page);
        }
        start = page.upto;
    }
}

async fn cached_or_made(
    view: &Arc<LogView>,
    key: PageKey,
    cursor: Seq,
) -> Result<Arc<Page>, FrameError> {
    let pages = view.source.pages.clone();
    let cached = pages.cache.get(&key).await;
    if let Some(page) = cached.filter(|page| !page.is_stale(cursor)) {
        return Ok(page);
    }
    // Made in a task of its own. Other readers wait for the same page, so it must not depend on
    // this reader, which may go away or not be polled for a while (V8).
    let making = fetch(pages, Arc::downgrade(view), key, cursor);
    let made = view.plan.tasks.spawn(making).await;
    made.unwrap_or(Err(FrameError::Abandoned))
}

async fn fetch(
    pages: Arc<Pages>,
    view: Weak<LogView>,
    key: PageKey,
    cursor: Seq,
) -> Result<Arc<Page>, FrameError> {
    let cached = pages.cache.get(&key).await;
    if cached.is_some_and(|page| page.is_stale(cursor)) {
        // Other readers that see the same stale page ask for the same new one.
        pages.cache.invalidate(&key).await;
    }
    loop {
        let making = make(&pages, &view, &key);
        let made = pages.cache.try_get_with_by_ref(&key, making).await;
        match made.map_err(|error| FrameError::clone(&error)) {
            // It was being made for other readers, which have gone. The readers here have not.
            Err(FrameError::Abandoned) if view.strong_count() > 0 => {}
            made => return made,
        }
    }
}

/// Makes a page, with retries. The readers hold the view, and this does not while it waits, so that
/// no page is made for readers that have gone.
async fn make(pages: &Pages, view: &Weak<LogView>, key: &PageKey) -> Result<Arc<Page>, FrameError> {
    let mut backoff = Backoff::default();
    loop {
        let error = match attempt(pages, view, key).await {
            Ok(page) => return Ok(Arc::new(page)),
            Err(error) => error,
        };
        if view.strong_count() == 0 {
            return Err(FrameError::Abandoned);
        }
        let pause = backoff.pause(&pages.limits, &key.room, key.start.0, &error);
        pause.await.map_err(|_| error)?;
    }
}

fn held(view: &Weak<LogView>) -> Result<Arc<LogView>, FrameError> {
    view.upgrade().ok_or(FrameError::Abandoned)
}

async fn attempt(pages: &Pages, view: &Weak<LogView>, key: &PageKey) -> Result<Page, FrameError> {
    let start = key.start;
    let (room, events) = {
        let _permit = pages.making.acquire().await.expect("never closed");
        let room = held(view)?.source.room.clone();
        let boundary = Seq((start.0 / PAGE_EVENTS + 1) * PAGE_EVENTS);
        let upto = boundary.min(room.head());
        let events = room.read_next(start, upto, PAGE_EVENTS as u32).await?;
        (room, events)
    };
    let mut page = Page {
        entries: Vec::with_capacity(events.len()),
        upto: start,
        is_cut: false,
        revision: key.revision,
    };
    for some in events.chunks(EVENTS_AT_ONCE) {
        let plan = held(view)?.plan.clone();
        let most = pages.limits.page_bytes_max;
        page.is_cut = most != 0 && page.bytes() > most;
        if page.is_cut {
            break;
        }
        let entries = plan.catch_up.entries(some).await?;
        settle(&room, &entries).await;
        page.entries.extend(entries);
        page.upto = some.last().map_or(page.upto, |event| event.seq());
    }
    Ok(page)
}
