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

mod budget;
mod charge;
mod frame;
mod lane;
mod limits;
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
};

use async_graphql::ServerError;
use tokio_util::task::TaskTracker;

pub use frame::Frame;
pub use limits::ViewLimits;
pub use reader::ReadError;
pub use subscription::Reader;

use self::{
    budget::{Budget, Seat, Seats},
    charge::{NoRoom, PlanBytes},
    frame::Gate,
    lobby_reader::LobbyReader,
    page::Pages,
    plan::Plan,
    reader::LogReader,
};
use crate::{
    domain::{Caller, RoomId, Seq, ShutsOut},
    hub::{Hub, ShutOutObserver},
    presence::{Attendance, Instant, Lobby, Person, Presence},
    schema::{ApiError, Code, OpenedSubscription, PlanDocument, Prepared, ReadTarget, Schema},
};

/// About what the executions of one plan hold.
const LANES_BYTES: usize = 24 * 1024;

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
    frames: Arc<Budget>,
    plan_bytes: PlanBytes,
    seats: Arc<Seats>,
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
            frames: Budget::new(limits.frames_bytes_max),
            plan_bytes: PlanBytes::new(&limits),
            seats: Arc::default(),
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
                let room = room.ok_or_else(|| refuse(ApiError::no_such_room()))?;
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

    fn seat(&self, caller: Caller) -> Result<Option<Seat>, ApiError> {
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
        self.seats
            .take(viewer.user, most)
            .map(Some)
            .ok_or_else(full)
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

impl From<NoRoom> for ApiError {
    fn from(reason: NoRoom) -> Self {
        match reason {
            NoRoom::Own => Self::new(
                Code::TooComplex,
                "You subscribe with too many different documents: end some, or put what differs into variables.",
            ),
            NoRoom::All => Self::new(
                Code::Unavailable,
                "The server runs too many different documents; try again.",
            ),
        }
    }
}
