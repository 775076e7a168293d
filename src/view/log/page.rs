//! Pages: the frames of old events, between fixed boundaries.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::{
    domain::{RoomId, Seq},
    view::{ViewLimits, frame::Entry},
};

/// The events from one page boundary to the next.
pub(super) const PAGE_EVENTS: u64 = 64;

/// A page that no reader takes is dropped after this time. That includes pages that a deletion has
/// made stale.
const IDLE: Duration = Duration::from_secs(60);

/// The entries of the events up to `upto`, which is the next boundary or was the head.
///
/// If its frames are long, a page is cut: it ends early, and another page begins where it ends.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) upto: Seq,
    pub(super) is_cut: bool,
    /// The room's revision before the events were read. Under another one this page may show
    /// deleted text (V6).
    pub(super) revision: u64,
}

impl Page {
    /// Whether the events after a cursor are in the page that follows this cut one.
    pub(super) fn ends_before(&self, cursor: Seq) -> bool {
        self.is_cut && self.upto <= cursor
    }

    /// Whether the page was made when the head was inside it, and lacks the events after a cursor.
    pub(super) fn is_stale(&self, cursor: Seq) -> bool {
        !self.is_cut && self.upto <= cursor
    }

    /// The estimated bytes of memory of all entries.
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().map(Entry::bytes).sum()
    }
}

/// Identifies a page.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) plan: u64,
    pub(super) room: RoomId,
    pub(super) revision: u64,
    /// The page begins after this event: a boundary, or the end of a page that was cut.
    pub(super) start: Seq,
}

/// The pages of all views, in one cache that is bounded in bytes.
pub(super) struct Pages {
    pub(super) cache: Cache<PageKey, Arc<Page>>,
    /// Bounds how many pages read the database at the same time, so that others can read it too.
    pub(super) making: Semaphore,
    pub(super) limits: ViewLimits,
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
            limits,
        }
    }
}
