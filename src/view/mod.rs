//! Views: each result of a subscription is made and encoded once, for all its readers.
//!
//! Ten thousand clients that subscribe to one room with the same document receive the same results.
//! So the server runs the document once per event, and every client gets the same bytes:
//!
//! ```text
//!            new events           frames            cursors
//! room log ──────────────► pump ──────────► ring ─────────► readers
//!     │      old events      │ both through a lane of the plan
//!     └──────────────────► pages ─────────────────────────► readers that are behind
//! ```
//!
//! - A **plan** is a subscription document without the arguments of its root field. All its
//!   subscribers share it, in any room (`plan.rs`).
//! - A **lane** is a task with one long-lived execution of a plan. Events go in, frames come out
//!   (`lane.rs`).
//! - A **view** is one source seen through one plan. A source is the log of a room, or a stream of
//!   its lobby (`live.rs`).
//! - The **pump** of a view is the task that makes its new frames (`log/pump.rs`,
//!   `ephemeral/pump.rs`).
//! - A **frame** is the encoded result of a plan for one event (`frame.rs`).
//! - The **ring** of a view holds the newest frames of a log (`log/ring.rs`).
//! - A **page** holds the frames of up to 64 old events. It is made on demand and cached
//!   (`log/page.rs`, `log/catch_up.rs`).
//! - A **snapshot** and its **deltas** are what the view of an ephemeral stream holds: a whole
//!   state, then changes (`ephemeral/snapshots.rs`).
//! - A **reader** is the cursor of one subscriber over a view (`reader.rs`).
//! - Its **gate** is what is known of its right to read (`frame.rs`).
//!
//! Nothing is pushed to a reader. It is woken when its view has more, and takes references to the
//! frames after its cursor. So a slow reader holds no memory and delays no other reader. When its
//! cursor is older than the ring, it takes pages.
//!
//! - **V1** N readers of one document cost one execution and one encoding per event.
//! - **V2** A shared execution has no viewer. A document with a field named `viewer…` has a plan of
//!   its viewer's own.
//! - **V3** Memory is bounded: per view, for all views, for plans and pages, and per viewer.
//!   Dropped frames are made again from the log.
//! - **V4** Any number of readers at one old position cost one execution per event, because each
//!   page is made once for all readers that wait for it.
//! - **V5** The last frame of a reader that is shut out is the one before the event that does so.
//!   - Each entry holds the users whom its event shuts out. A reader compares them with its user,
//!     for every entry after the head at which its right was read. That takes no read of the store.
//!   - A frame may be made long after its event. If it shows more than its event, it carries the
//!     head as of which it shows the room. A reader that was shut out by then does not receive it.
//! - **V6** No frame that is sent at or after a deletion holds the deleted text. Frames that were
//!   made before are known to be stale by the room's revision, and are made again.
//! - **V7** A temporary failure is never a frame. It is retried with backoff. After the last retry
//!   the readers end with a [`ReadError`], and their sockets close with code 1013.
//! - **V8** A reader that goes away at any await changes no other reader's frames: lanes and pages
//!   belong to tasks, and an item that was fed is finished.
//!
//! Proved by the tests in `tests/it/delivery.rs`, `readers.rs` and `ephemeral.rs`.

mod ephemeral;
mod frame;
mod lane;
mod live;
mod log;
mod plan;
mod reader;

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_graphql::ServerError;
use tokio_util::task::TaskTracker;

pub use frame::Frame;
pub use live::ReadError;
pub use reader::Reader;

use self::{
    ephemeral::{EphemeralReader, EphemeralViews},
    frame::Gate,
    log::{LogReader, LogViews},
    plan::{Plan, PlanRefused, Plans},
};
use crate::{
    domain::{Caller, RoomId, Timestamp, UserId},
    hub::{Hub, LiveRoom},
    presence::{Attendance, Instant, Lobby, Person},
    quota::{Bytes, Slot, Slots},
    schema::{ApiError, Code, OpenedSubscription, PlanDocument, Prepared, ReadTarget, Schema},
};

/// What views may hold and how long they may try.
#[derive(Clone, Copy, Debug)]
pub struct ViewLimits {
    /// Frames kept per view.
    pub ring_frames_max: usize,
    /// Bytes of frames kept per view.
    pub ring_bytes_max: usize,
    /// Bytes of frames kept in all views together. 0 is no limit.
    pub frames_bytes_max: usize,
    /// About how many bytes all plans together may hold: documents, and lanes that run them. 0 is no limit.
    pub plans_bytes_max: usize,
    /// The same, of those that one user made; or one address, where nobody signed in.
    pub plans_bytes_per_viewer_max: usize,
    /// The same, of those that all at one address made together, whoever they are.
    pub plans_bytes_per_address_max: usize,
    /// Subscriptions of one viewer, on all connections together. 0 is no limit.
    pub subscriptions_per_viewer_max: usize,
    /// Bytes of frames kept in all pages of all views.
    pub pages_bytes_max: u64,
    /// Bytes of frames after which a page is cut: whoever takes it holds it, whatever all pages together may have. 0 is no limit.
    pub page_bytes_max: usize,
    /// Pages that are made at the same time.
    pub pages_making_max: usize,
    /// How long new frames wait for the readers of the last ones to have had their turn.
    pub round_wait: Duration,
    /// How long one execution may take before it counts as failed.
    pub execution_timeout: Duration,
    /// A failed execution is tried again after this long, then after twice as long, and so on.
    pub retry_first: Duration,
    /// After so many tries the readers are sent away to come back later.
    pub tries_max: u32,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self {
            ring_frames_max: 256,
            ring_bytes_max: 256 * 1024,
            frames_bytes_max: 512 * 1024 * 1024,
            plans_bytes_max: 512 * 1024 * 1024,
            plans_bytes_per_viewer_max: 32 * 1024 * 1024,
            plans_bytes_per_address_max: 256 * 1024 * 1024,
            subscriptions_per_viewer_max: 1_000,
            pages_bytes_max: 64 * 1024 * 1024,
            page_bytes_max: 1024 * 1024,
            pages_making_max: 2,
            round_wait: Duration::from_millis(200),
            execution_timeout: Duration::from_secs(10),
            retry_first: Duration::from_millis(50),
            // About six seconds in all.
            tries_max: 8,
        }
    }
}

impl ViewLimits {
    /// How long to wait after so many failures, or nothing if that was the last try.
    fn pause_after(&self, failures: u32) -> Option<Duration> {
        (failures < self.tries_max)
            .then(|| self.retry_first.saturating_mul(1 << (failures - 1).min(20)))
    }
}

/// The plans and views of this node.
pub struct Views {
    schema: Schema,
    hub: Arc<Hub>,
    limits: ViewLimits,
    plans: Plans,
    logs: LogViews,
    streams: EphemeralViews,
    subscriptions: Arc<Slots<UserId>>,
}

impl Views {
    /// No views yet.
    pub fn new(schema: Schema, hub: Arc<Hub>, limits: ViewLimits, tasks: TaskTracker) -> Self {
        let frames = Bytes::new(0, limits.frames_bytes_max);
        Self {
            plans: Plans::new(schema.clone(), limits, tasks),
            schema,
            hub,
            limits,
            logs: LogViews::new(limits, frames.clone()),
            streams: EphemeralViews::new(frames),
            subscriptions: Slots::new(limits.subscriptions_per_viewer_max, 0),
        }
    }

    /// A reader of a subscription, if the caller may read the room.
    pub async fn subscribe(
        &self,
        prepared: Prepared,
        caller: Caller,
    ) -> Result<Reader, Vec<ServerError>> {
        self.resume(prepared, caller, None, None).await
    }

    /// A reader of a subscription, if the caller at this address may read the room.
    ///
    /// `after` is the last cursor that the client has seen, if the transport knows it. It wins over
    /// the document's own argument.
    pub async fn resume(
        &self,
        prepared: Prepared,
        caller: Caller,
        address: Option<IpAddr>,
        after: Option<String>,
    ) -> Result<Reader, Vec<ServerError>> {
        let document = prepared.plan();
        let opened = self.schema.open(prepared, caller, after).await?;
        self.reader(document, opened, caller, address)
            .await
            .map_err(|error| vec![ServerError::from(error)])
    }

    async fn reader(
        &self,
        document: Arc<PlanDocument>,
        opened: OpenedSubscription,
        caller: Caller,
        address: Option<IpAddr>,
    ) -> Result<Reader, ApiError> {
        let slot = self.slot(caller)?;
        let gate = Gate {
            checked: opened.checked,
            reader: caller.user(),
        };
        let plan = || self.plan(document, caller, address);
        // Called last: a caller that is refused was never present.
        let attend = || attend(opened.lobby.as_ref()?, gate, opened.at);
        match opened.source {
            ReadTarget::Log { room, after } => {
                let room = self.room(&room).await?;
                let view = self.logs.enter(plan()?, room);
                let reader = LogReader::new(view, after, gate, slot);
                Ok(Reader::of_log(reader, attend()))
            }
            ReadTarget::Lobby {
                lobby,
                stream,
                begin,
            } => {
                let plan = plan()?;
                // Before the view is entered, so that users see themselves.
                let attendance = attend();
                let view = self.streams.enter(plan, lobby, stream);
                let reader = EphemeralReader::new(view, begin, gate, slot);
                Ok(Reader::of_stream(reader, attendance))
            }
        }
    }

    async fn room(&self, id: &RoomId) -> Result<Arc<LiveRoom>, ApiError> {
        let no_such_room = || ApiError::new(Code::NotFound, "There is no such room.");
        self.hub.enter(id).await?.ok_or_else(no_such_room)
    }

    fn slot(&self, caller: Caller) -> Result<Slot<UserId>, ApiError> {
        let most = self.limits.subscriptions_per_viewer_max;
        self.subscriptions.take(caller.user()).map_err(|_| {
            let message = format!("You have {most} subscriptions already, which is the maximum.");
            ApiError::new(Code::TooComplex, message)
        })
    }

    fn plan(
        &self,
        document: Arc<PlanDocument>,
        caller: Caller,
        address: Option<IpAddr>,
    ) -> Result<Arc<Plan>, ApiError> {
        Ok(self.plans.enter(document, caller, address)?)
    }

    /// The number of plans that are in use.
    pub fn plans_live(&self) -> usize {
        self.plans.len()
    }
}

/// Makes a reader who is signed in present in the room. A user who has just lost the right is not
/// present, and learns of the loss as a reader.
fn attend(lobby: &Arc<Lobby>, gate: Gate, since: Timestamp) -> Option<Attendance> {
    let person = Person {
        user: gate.reader?,
        since,
    };
    lobby.attend(person, gate.checked, Instant::now()).ok()
}

impl From<PlanRefused> for ApiError {
    fn from(reason: PlanRefused) -> Self {
        match reason {
            PlanRefused::Own => Self::new(
                Code::TooComplex,
                "You subscribe with too many different documents. \
                 End some, or put their differences into variables.",
            ),
            PlanRefused::All => Self::new(
                Code::Unavailable,
                "The server runs too many different documents; try again.",
            ),
        }
    }
}
