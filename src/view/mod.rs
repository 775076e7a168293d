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
//! - A **snapshot** and its **deltas** are the contents of the view of an ephemeral stream: a whole
//!   state, then changes (`ephemeral/snapshots.rs`).
//! - A **reader** is the cursor of one subscriber over a view (`reader.rs`).
//! - Its **gate** tracks its right to read (`frame.rs`).
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
mod limits;
mod live;
mod log;
mod plan;
mod reader;

use std::{net::IpAddr, sync::Arc};

use async_graphql::ServerError;
use tokio_util::task::TaskTracker;

pub use frame::Frame;
pub use limits::ViewLimits;
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

    /// A reader of a subscription, if the caller at this address may read the room.
    ///
    /// `after` is the last cursor that the client has seen, if the transport knows it. It wins over
    /// the document's own argument.
    pub async fn subscribe(
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
        self.hub.enter(id).await?.ok_or_else(ApiError::no_such_room)
    }

    fn slot(&self, caller: Caller) -> Result<Slot<UserId>, ApiError> {
        let most = self.limits.subscriptions_per_viewer_max;
        self.subscriptions.take(caller.user()).map_err(|_| {
            let message = format!(
                "You have {most} subscriptions already, which is the maximum; end one first."
            );
            ApiError::new(Code::TooManyOperations, message)
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
                Code::TooManyOperations,
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
