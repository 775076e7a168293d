//! Requests that wait for a room's log to grow, for a limited time (long polling).

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{bell::Listener, room::LiveRoom};
use crate::{
    domain::{QuotaKey, Seq},
    quota::{Exhausted, Slot, Slots},
    store::StoreError,
};

/// Why a caller cannot wait for a room.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The caller has as many waiting requests as it may have. It may try again when one of them
    /// has ended.
    #[error("the caller has too many waiting requests already")]
    TooMany,
    /// As many requests wait as may wait in all. The caller may try again later.
    #[error("too many requests wait for messages already")]
    Full,
    /// The room could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Exhausted> for WaitError {
    fn from(bound: Exhausted) -> Self {
        match bound {
            Exhausted::Key => Self::TooMany,
            Exhausted::All => Self::Full,
        }
    }
}

/// The requests that wait, bounded per caller and in all, and the signal that ends them.
pub(super) struct Waits {
    slots: Arc<Slots<QuotaKey>>,
    end: CancellationToken,
}

impl Waits {
    /// 0 is no limit.
    pub(super) fn new(waits_max: usize, each_max: usize) -> Self {
        Self {
            slots: Slots::new(each_max, waits_max),
            end: CancellationToken::new(),
        }
    }

    /// A slot for a request that is about to wait. Without a key it counts only towards the bound
    /// in all.
    pub(super) fn slot(&self, key: Option<QuotaKey>) -> Result<Slot<QuotaKey>, WaitError> {
        Ok(self.slots.take(key)?)
    }

    /// Begins to wait, for at most this long in all.
    pub(super) fn begin(
        &self,
        room: Arc<LiveRoom>,
        at_most: Duration,
        slot: Slot<QuotaKey>,
    ) -> Wait {
        Wait {
            listener: room.listen(),
            room,
            time: Box::pin(tokio::time::sleep(at_most)),
            end: Box::pin(self.end.clone().cancelled_owned()),
            _slot: slot,
        }
    }

    /// Ends all waits, now and from now on.
    pub(super) fn end(&self) {
        self.end.cancel();
    }
}

/// A request that waits for a room. It keeps the room live; dropping it frees everything.
pub struct Wait {
    room: Arc<LiveRoom>,
    listener: Listener,
    time: Pin<Box<Sleep>>,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    _slot: Slot<QuotaKey>,
}

impl Wait {
    /// The room that is waited for.
    pub fn room(&self) -> &LiveRoom {
        &self.room
    }

    /// Waits until the head is past `seq` and returns it. Returns `None` when the time is over or
    /// the server shuts down.
    pub async fn past(&mut self, seq: Seq) -> Option<Seq> {
        tokio::select! {
            // If the head is past `seq` already, it is returned even if the time is over.
            biased;
            head = self.listener.past(seq) => Some(head),
            () = self.time.as_mut() => None,
            () = self.end.as_mut() => None,
        }
    }
}
