//! Waiting for a room's log to grow, for those that come, wait a while and go.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Hub, Listener, LiveRoom};
use crate::{
    domain::{QuotaKey, RoomId, Seq},
    quota::{Slot, Slots},
    store::StoreError,
};

/// Why nobody can wait for a room.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// As many of the same quota_key wait as may: the caller may try again when one of them has ended.
    #[error("too many of the same wait already")]
    TooMany,
    /// As many wait as may: the caller may try again later.
    #[error("too many wait already")]
    Full,
    /// The room could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All that wait, bounded, and the end of all waits.
pub(super) struct Waits {
    permits: Option<Arc<Semaphore>>,
    seats: Arc<Slots<QuotaKey>>,
    end: CancellationToken,
}

impl Waits {
    /// 0 is no limit.
    pub(super) fn new(waits_max: usize, each_max: usize) -> Self {
        let permits = || Arc::new(Semaphore::new(waits_max.min(Semaphore::MAX_PERMITS)));
        let seats = Slots::new(each_max, 0);
        Self {
            permits: (waits_max != 0).then(permits),
            seats,
            end: CancellationToken::new(),
        }
    }

    fn seat(&self, quota_key: Option<QuotaKey>) -> Result<Option<Slot<QuotaKey>>, WaitError> {
        quota_key
            .map(|quota_key| self.seats.take(quota_key).ok_or(WaitError::TooMany))
            .transpose()
    }

    fn permit(&self) -> Result<Option<OwnedSemaphorePermit>, WaitError> {
        let permits = self.permits.clone();
        permits
            .map(|permits| permits.try_acquire_owned().map_err(|_| WaitError::Full))
            .transpose()
    }
}

/// One who waits for a room. It keeps the room live; dropping it frees everything.
pub struct Wait {
    room: Arc<LiveRoom>,
    listener: Listener,
    time: Pin<Box<Sleep>>,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    _seat: Option<Slot<QuotaKey>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Wait {
    /// The room that is waited for.
    pub fn room(&self) -> &LiveRoom {
        &self.room
    }

    /// The head once it is past `seq`; none when the time is over or the server leaves.
    pub async fn past(&mut self, seq: Seq) -> Option<Seq> {
        tokio::select! {
            // What is there already is taken, however little time is left.
            biased;
            head = self.listener.past(seq) => Some(head),
            () = self.time.as_mut() => None,
            () = self.end.as_mut() => None,
        }
    }
}

impl Hub {
    /// Somebody who waits for a room, for this long at most in all; none if there is no such room. It counts as one of the
    /// quota_key's, if there is one.
    pub async fn wait(
        &self,
        id: &RoomId,
        quota_key: Option<QuotaKey>,
        at_most: Duration,
    ) -> Result<Option<Wait>, WaitError> {
        let seat = self.waits.seat(quota_key)?;
        let permit = self.waits.permit()?;
        let Some(room) = self.enter(id).await? else {
            return Ok(None);
        };
        Ok(Some(Wait {
            listener: room.listen(),
            room,
            time: Box::pin(tokio::time::sleep(at_most)),
            end: Box::pin(self.waits.end.clone().cancelled_owned()),
            _seat: seat,
            _permit: permit,
        }))
    }

    /// Ends all waits, now and from now on: the server leaves, and those that wait come back to another.
    pub fn end_waits(&self) {
        self.waits.end.cancel();
    }
}
