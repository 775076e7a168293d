//! What one user, and all users at one address, may store in a day.
//!
//! The counts are in memory and begin again when the server starts. They bound how fast the
//! database can grow. A command is counted before it waits, whether or not it is refused later.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::HubLimits;
use crate::{
    domain::UserId,
    quota::{Rate, Rates},
    store::{Command, RoomChange},
};

/// The rows of one event, and of what it is about, in bytes. Their indexes are included.
const ROW_BYTES: usize = 512;

/// A kind of thing that is counted per day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DailyQuota {
    /// Rooms that were created.
    Rooms,
    /// Users that became members.
    Memberships,
    /// Bytes that were stored.
    Bytes,
}

/// The quotas of all users and addresses.
pub(super) struct DailyQuotas {
    rooms: PerDay,
    memberships: PerDay,
    bytes: PerDay,
}

/// One quota, by user and by address.
struct PerDay {
    by_user: Rates<UserId>,
    by_address: Rates<IpAddr>,
}

impl DailyQuotas {
    pub(super) fn new(limits: &HubLimits) -> Self {
        Self {
            rooms: PerDay::new(
                limits.rooms_per_day_per_user_max,
                limits.rooms_per_day_per_address_max,
            ),
            memberships: PerDay::new(
                limits.memberships_per_day_per_user_max,
                limits.memberships_per_day_per_address_max,
            ),
            bytes: PerDay::new(
                limits.stored_bytes_per_day_per_user_max,
                limits.stored_bytes_per_day_per_address_max,
            ),
        }
    }

    /// Counts a command. The error is the quota that is used up, and the time to wait.
    pub(super) fn take(
        &self,
        command: &Command,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), (DailyQuota, Duration)> {
        let (mut rooms, mut memberships) = (0, 0);
        let text_bytes = match command {
            Command::SendMessage(send) => send.text.as_str().len(),
            Command::CreateRoom(room) => {
                (rooms, memberships) = (1, 1);
                room.name.as_str().len()
            }
            Command::ChangeRoom(change) => {
                memberships = match change.change {
                    RoomChange::Join(_) | RoomChange::AddMember { .. } => 1,
                    _ => 0,
                };
                0
            }
        };
        let bytes = u64::try_from(text_bytes + ROW_BYTES).unwrap_or(u64::MAX);
        for (quota, per_day, count) in [
            (DailyQuota::Rooms, &self.rooms, rooms),
            (DailyQuota::Memberships, &self.memberships, memberships),
            (DailyQuota::Bytes, &self.bytes, bytes),
        ] {
            let taken = per_day.take(command.viewer(), address, count, now);
            taken.map_err(|wait| (quota, wait))?;
        }
        Ok(())
    }
}

impl PerDay {
    fn new(per_user_max: u64, per_address_max: u64) -> Self {
        Self {
            by_user: Rates::new(Rate::per_day(per_user_max)),
            by_address: Rates::new(Rate::per_day(per_address_max)),
        }
    }

    /// The user is counted first. So a user beyond their own quota takes nothing from others at
    /// their address.
    fn take(
        &self,
        user: UserId,
        address: Option<IpAddr>,
        count: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        if count == 0 {
            return Ok(());
        }
        self.by_user.take_many(user, count, now)?;
        address.map_or(Ok(()), |address| {
            self.by_address.take_many(address, count, now)
        })
    }
}
