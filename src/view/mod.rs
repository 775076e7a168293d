//! A room's log seen through one GraphQL document, encoded once for all its readers.
//!
//! A **plan** is a document that many subscribers sent; its **lanes** are long-lived executions of it. A **view** is one
//! room seen through a plan: a ring of encoded [`Frame`]s and the head up to which they reach. A [`Reader`] is a cursor
//! over a view. It takes frames from the ring; where the ring does not reach back, from **pages** at fixed boundaries.
//! Nothing is pushed at a reader, so a slow one costs nobody anything.
//!
//! - **V1** N readers with the same document and variables cost one execution and one encoding per event.
//! - **V2** A shared execution has no viewer. A document with a field named `viewer…` runs in a plan of the viewer's own.
//! - **V3** Memory is bounded, per view, for all views, plans and pages, and per viewer; dropped frames are made again
//!   from the log.
//! - **V4** A storm of readers at one old position runs the document once per event: pages are single-flight.
//! - **V5** Each entry carries beside its frame whom it shuts out. A reader compares that with its viewer, without a read, for
//!   every entry after the head at which its right was read; its last frame is the one before. And however late a frame is made:
//!   it shows its event and what stood before it, or says how far the log reached when the rest was read, and whoever was shut
//!   out by then does not get it.
//! - **V6** No frame that is sent at or after the deletion of a message holds its text: what was made before is known to be
//!   stale by the room's revision, and made anew.
//! - **V7** An execution that failed for a passing cause is no frame. It is tried again with backoff; then the readers
//!   end with [`ReadError`], and their sockets close with 1013.
//! - **V8** A reader that goes away at any await changes no other reader's frames: a lane belongs to a task, and what
//!   it was once fed is finished.
//!
//! What happens in a room and is not kept (`presence/`) is read the same way: a stream of a **lobby** seen through a plan is told
//! once for all its readers. There a reader that falls behind finds what stands now, not what was in between.
//!
//! Proved by the tests in `tests/it/delivery.rs`, `readers.rs` and `ephemeral.rs`.

mod charge;
mod frame;
mod lane;
mod lobby_reader;
mod lobby_view;
mod page;
mod plan;
mod reader;
mod ring;
mod room_view;
mod series;
mod subscription;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_graphql::ServerError;
use tokio_util::task::TaskTracker;

pub use frame::Frame;
pub use reader::ReadError;
pub use subscription::Reader;

use self::{
    charge::{PlanBytes, PlanRefused},
    frame::Gate,
    lobby_reader::LobbyReader,
    page::Pages,
    plan::Plan,
    reader::LogReader,
};
use crate::{
    domain::{Caller, RoomId, Seq, ShutsOut, UserId},
    hub::{Hub, ShutOutObserver},
    presence::{Attendance, Instant, Lobby, Person, Presence},
    quota::{Bytes, Slot, Slots},
    schema::{ApiError, Code, OpenedSubscription, PlanDocument, Prepared, ReadTarget, Schema},
};

/// About what the executions of one plan hold.
const LANES_BYTES: usize = 24 * 1024;

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

/// Shows somebody to be in a room. Who has lost their right meanwhile is not shown, and learns it as a reader.
fn attend(lobby: &Arc<Lobby>, person: Person, checked: Seq) -> Option<Attendance> {
    lobby.attend(person, checked, Instant::now()).ok()
}

impl ShutOutObserver for Presence {
    fn shut_out(&self, room: &RoomId, at: Seq, shuts_out: &ShutsOut) {
        Presence::shut_out(self, room, at, shuts_out);
    }
}

/// All plans and views of this node.
pub struct Views {
    schema: Schema,
    hub: Arc<Hub>,
    limits: ViewLimits,
    plans: Arc<Mutex<HashMap<String, Weak<Plan>>>>,
    pages: Arc<Pages>,
    frames: Arc<Bytes>,
    plan_bytes: PlanBytes,
    subscriptions: Arc<Slots<UserId>>,
    tasks: TaskTracker,
    plan_id_next: AtomicU64,
}

impl Views {
    /// No views yet.
    pub fn new(schema: Schema, hub: Arc<Hub>, limits: ViewLimits, tasks: TaskTracker) -> Self {
        let pages = Arc::new(Pages::new(limits));
        Self {
            schema,
            hub,
            limits,
            plans: Arc::default(),
            pages,
            frames: Bytes::new(0, limits.frames_bytes_max),
            plan_bytes: PlanBytes::new(&limits),
            subscriptions: Slots::new(limits.subscriptions_per_viewer_max, 0),
            tasks,
            plan_id_next: AtomicU64::new(0),
        }
    }

    /// A reader of what a subscription asks for, if whoever asks may read it.
    pub async fn subscribe(
        &self,
        prepared: Prepared,
        caller: Caller,
    ) -> Result<Reader, Vec<ServerError>> {
        self.resume(prepared, caller, None, None).await
    }

    /// The same for whoever asks from this address, after the cursor that the client saw last if the transport knows of one,
    /// whatever the document says.
    pub async fn resume(
        &self,
        prepared: Prepared,
        caller: Caller,
        address: Option<IpAddr>,
        after: Option<String>,
    ) -> Result<Reader, Vec<ServerError>> {
        let document = prepared.plan();
        let want = self.schema.open(prepared, caller, after).await?;
        let refuse = |error: ApiError| vec![ServerError::from(error)];
        let seat = self.seat(caller).map_err(refuse)?;
        let OpenedSubscription {
            lobby,
            checked,
            at,
            source,
        } = want;
        let gate = Gate {
            checked,
            reader: caller.user(),
        };
        // Whoever is refused below was never there.
        let attend = || {
            attend(
                lobby.as_ref()?,
                Person {
                    user: gate.reader?,
                    since: at,
                },
                checked,
            )
        };
        match source {
            ReadTarget::Log { room, after } => {
                let room = self
                    .hub
                    .enter(&room)
                    .await
                    .map_err(|error| refuse(error.into()))?;
                let room = room.ok_or_else(|| {
                    refuse(ApiError::new(Code::NotFound, "There is no such room."))
                })?;
                let view = self
                    .plan(document, caller, address)
                    .map_err(refuse)?
                    .view(room);
                Ok(Reader::of_log(
                    LogReader::new(view, after, gate, seat),
                    attend(),
                ))
            }
            ReadTarget::Lobby {
                lobby,
                stream,
                begin,
            } => {
                let plan = self.plan(document, caller, address).map_err(refuse)?;
                // First, so that they see themselves.
                let attendance = attend();
                let view = plan.lobby_view(lobby, stream);
                Ok(Reader::of_lobby(
                    LobbyReader::new(view, Seq(begin), gate, seat),
                    attendance,
                ))
            }
        }
    }

    fn seat(&self, caller: Caller) -> Result<Option<Slot<UserId>>, ApiError> {
        let Caller::Viewer(viewer) = caller else {
            return Ok(None);
        };
        let most = self.limits.subscriptions_per_viewer_max;
        let full = || {
            ApiError::new(
                Code::TooComplex,
                format!("You have {most} subscriptions already, which is the most."),
            )
        };
        self.subscriptions
            .take(viewer.user)
            .map(Some)
            .map_err(|_| full())
    }

    fn plan(
        &self,
        document: Arc<PlanDocument>,
        caller: Caller,
        address: Option<IpAddr>,
    ) -> Result<Arc<Plan>, ApiError> {
        let (key, runs_as) = match caller.user().filter(|_| document.depends_on_viewer) {
            Some(user) => (format!("{user} {}", document.key), caller),
            None if document.depends_on_viewer => (document.key.clone(), Caller::Anonymous),
            None => (document.key.clone(), Caller::Shared),
        };
        let mut plans = self.plans.lock().expect("no panic under this lock");
        if let Some(plan) = plans.get(&key).and_then(Weak::upgrade) {
            return Ok(plan);
        }
        let charge = self
            .plan_bytes
            .take(caller, address, document.bytes() + LANES_BYTES)?;
        let id = self.plan_id_next.fetch_add(1, Ordering::Relaxed);
        let siblings = Arc::downgrade(&self.plans);
        let plan = Plan::new(
            id,
            key.clone(),
            &self.schema,
            (document, runs_as),
            charge,
            self,
            siblings,
        );
        plans.insert(key, Arc::downgrade(&plan));
        Ok(plan)
    }

    /// How many plans are in use.
    pub fn plans_live(&self) -> usize {
        self.plans.lock().expect("no panic under this lock").len()
    }
}

impl From<PlanRefused> for ApiError {
    fn from(reason: PlanRefused) -> Self {
        match reason {
            PlanRefused::Own => Self::new(
                Code::TooComplex,
                "You subscribe with too many different documents: end some, or put what differs into variables.",
            ),
            PlanRefused::All => Self::new(
                Code::Unavailable,
                "The server runs too many different documents; try again.",
            ),
        }
    }
}
