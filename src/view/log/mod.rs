//! Views of logs.
//!
//! The **ring** holds the newest frames of a view, and the **pump** adds to it. A reader whose
//! cursor is older than the ring takes **pages**: the frames of up to 64 old events, between fixed
//! boundaries, made on demand and cached. Readers at nearby positions share pages.
//!
//! ```text
//! log     1 ............ 64 ............ 128 ............ 192 ..... 201
//! pages   [ 1-64        ][ 65-128       ][ 129-192      ]
//! ring                                                [ 170 ... 201 ]
//! ```

mod catch_up;
mod page;
mod pump;
mod reader;
mod ring;
mod view;

use std::sync::Arc;

use self::{page::Pages, ring::Ring, view::RoomLog};
pub(super) use self::{reader::LogReader, view::LogView};
use super::{
    ViewLimits,
    live::{Live, View, ViewKey},
    plan::Plan,
};
use crate::{hub::LiveRoom, quota::Bytes, sync::Registry};

/// The views of logs on this node, and the memory that they share.
pub(super) struct LogViews {
    views: Registry<ViewKey, LogView>,
    pages: Arc<Pages>,
    frames: Arc<Bytes>,
}

impl LogViews {
    /// No views yet. All rings count towards `frames`.
    pub(super) fn new(limits: ViewLimits, frames: Arc<Bytes>) -> Self {
        Self {
            views: Registry::default(),
            pages: Arc::new(Pages::new(limits)),
            frames,
        }
    }

    /// The view of a room's log through a plan.
    pub(super) fn enter(&self, plan: Arc<Plan>, room: Arc<LiveRoom>) -> Arc<LogView> {
        let source = RoomLog {
            room: room.clone(),
            pages: self.pages.clone(),
        };
        let open = || {
            let head = room.head();
            Live::new(Ring::new(head, self.frames.share()), head)
        };
        View::enter(&self.views, plan, source, open, pump::run)
    }
}
