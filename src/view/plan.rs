//! A document that subscribers share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use super::{
    ViewLimits, Views, charge::PlanShare, lane::Lane, lobby_view::LobbyView, page::Pages,
    room_view::RoomView,
};
use crate::{
    domain::{Caller, RoomId},
    hub::LiveRoom,
    presence::{Lobby, Stream},
    quota::Bytes,
    schema::{PlanDocument, Schema},
};

/// One document, for all rooms: its lanes and its views. It goes when its last view goes.
pub(super) struct Plan {
    id: u64,
    key: String,
    /// What happens now goes through here.
    pub(super) live: Lane,
    /// What happened before goes through here, so that it never delays what happens now.
    pub(super) catch_up: Lane,
    pub(super) pages: Arc<Pages>,
    /// What all rings together may hold.
    pub(super) frames: Arc<Bytes>,
    /// What this plan takes of what all plans may hold.
    _charge: PlanShare,
    pub(super) limits: ViewLimits,
    pub(super) rooms: Shelf<RoomView>,
    pub(super) lobbies: Shelf<LobbyView>,
    siblings: Weak<Mutex<HashMap<String, Weak<Plan>>>>,
    pub(super) tasks: tokio_util::task::TaskTracker,
}

impl Plan {
    pub(super) fn new(
        id: u64,
        key: String,
        schema: &Schema,
        (document, caller): (Arc<PlanDocument>, Caller),
        charge: PlanShare,
        views: &Views,
        siblings: Weak<Mutex<HashMap<String, Weak<Plan>>>>,
    ) -> Arc<Self> {
        let timeout = views.limits.execution_timeout;
        let lane = || {
            Lane::spawn(
                schema.clone(),
                document.clone(),
                caller,
                timeout,
                &views.tasks,
            )
        };
        Arc::new(Self {
            id,
            key,
            live: lane(),
            catch_up: lane(),
            pages: views.pages.clone(),
            frames: views.frames.clone(),
            _charge: charge,
            limits: views.limits,
            rooms: Shelf::default(),
            lobbies: Shelf::default(),
            siblings,
            tasks: views.tasks.clone(),
        })
    }

    /// Tells this plan from others, also from one of the same document that lived before.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The view of a room through this plan.
    pub(super) fn view(self: &Arc<Self>, room: Arc<LiveRoom>) -> Arc<RoomView> {
        let id = room.id().clone();
        self.rooms.view(
            id,
            |view| !view.has_failed(),
            || RoomView::start(self.clone(), room),
        )
    }

    /// The view of a stream of a lobby through this plan. A plan asks for one stream, whatever the room.
    pub(super) fn lobby_view(
        self: &Arc<Self>,
        lobby: Arc<Lobby>,
        stream: Stream,
    ) -> Arc<LobbyView> {
        let id = lobby.id().clone();
        self.lobbies.view(
            id,
            |view| !view.has_failed(),
            || LobbyView::start(self.clone(), lobby, stream),
        )
    }
}

/// The views of one kind, by room. Readers hold them.
pub(super) struct Shelf<V>(Mutex<HashMap<RoomId, Weak<V>>>);

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> Shelf<V> {
    /// The view of a room if it is any good, else a new one.
    fn view(
        &self,
        id: RoomId,
        good: impl Fn(&V) -> bool,
        start: impl FnOnce() -> Arc<V>,
    ) -> Arc<V> {
        // Declared before the lock is taken, so dropped after it: the last holder of a view locks this map.
        let known;
        let mut views = self.0.lock().expect("no panic under this lock");
        known = views.get(&id).and_then(Weak::upgrade);
        if let Some(view) = known.as_ref().filter(|view| good(view)) {
            return view.clone();
        }
        let view = start();
        views.insert(id, Arc::downgrade(&view));
        view
    }

    /// A view of this room went away.
    pub(super) fn forget(&self, room: &RoomId) {
        let mut views = self.0.lock().expect("no panic under this lock");
        if views.get(room).is_some_and(|view| view.strong_count() == 0) {
            views.remove(room);
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        let Some(siblings) = self.siblings.upgrade() else {
            return;
        };
        let mut plans = siblings.lock().expect("no panic under this lock");
        if plans
            .get(&self.key)
            .is_some_and(|plan| plan.strong_count() == 0)
        {
            plans.remove(&self.key);
        }
    }
}
