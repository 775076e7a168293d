//! The server below the transports: hub, schema and views, without sockets.

use std::{sync::Arc, time::Duration};

use async_graphql::Variables;
use switchboard::{
    auth::Auth,
    domain::{
        Caller, Epoch, MemberId, MessageId, MessageText, Role, RoomName, Seq, Timestamp, TokenId,
        User, UserId, UserName, Viewer, Visibility,
    },
    hub::{Hub, HubLimits},
    presence::{Presence, PresenceLimits},
    schema::{Introspection, PrepareLimits, Request, Schema, SchemaLimits, SearchTurns, Services},
    server::clock,
    store::{
        Accounts, ChangeRoom, Command, CreateRoom, Log, RoomChange, SendMessage,
        sqlite::{Sqlite, SqliteLimits},
    },
    view::{Frame, ReadError, Reader, ViewLimits, Views},
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Folder, faults::Faults, wait_for};

/// Waits for frames. The server polls its readers instead.
pub(crate) trait TakeFrames {
    /// Takes the next frames as [`Reader::poll_take`] does, and waits for them.
    async fn take(&mut self, bytes_max: usize, out: &mut Vec<Frame>) -> Result<(), ReadError>;
}

impl TakeFrames for Reader {
    async fn take(&mut self, bytes_max: usize, out: &mut Vec<Frame>) -> Result<(), ReadError> {
        std::future::poll_fn(|cx| self.poll_take(cx, bytes_max, out)).await
    }
}

pub(crate) struct Core {
    pub(crate) hub: Arc<Hub>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) schema: Schema,
    pub(crate) views: Views,
    pub(crate) ann: Viewer,
    pub(crate) tasks: TaskTracker,
    store: Sqlite,
    _folder: Folder,
}

/// The id of the message whose text is this number.
pub(crate) fn message_id(number: u64) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(number.into()))
}

impl Core {
    pub(crate) async fn start() -> Self {
        Self::with_limits(ViewLimits::default(), HubLimits::default()).await
    }

    /// Starts with limits of the test, over a log that fails when the test asks for it.
    pub(crate) async fn with_faults(views: ViewLimits, hub: HubLimits) -> (Self, Faults) {
        let faults = Faults::default();
        let presence = PresenceLimits::default();
        let core = Self::build(views, hub, presence, |log| faults.wrap(log)).await;
        (core, faults)
    }

    /// Starts with limits of the test for views and the hub.
    pub(crate) async fn with_limits(views: ViewLimits, hub: HubLimits) -> Self {
        Self::with_all_limits(views, hub, PresenceLimits::default()).await
    }

    /// Starts with limits of the test for views, the hub and ephemeral state.
    pub(crate) async fn with_all_limits(
        views: ViewLimits,
        hub: HubLimits,
        presence: PresenceLimits,
    ) -> Self {
        Self::build(views, hub, presence, |log| log).await
    }

    async fn build(
        views: ViewLimits,
        hub: HubLimits,
        presence: PresenceLimits,
        wrap_log: impl FnOnce(Arc<dyn Log>) -> Arc<dyn Log>,
    ) -> Self {
        let (folder, tasks) = (Folder::new(), TaskTracker::new());
        let store = Sqlite::open(&folder.database(), SqliteLimits::default())
            .await
            .unwrap();
        let ann = create_user(&store, "ann").await;
        let log = wrap_log(Arc::new(store.clone()));
        let accounts: Arc<dyn Accounts> = Arc::new(store.clone());
        // Tests below the transports send as fast as they can, so rate limits are off.
        let hub = HubLimits {
            mutations_per_second_per_user_max: 0,
            ..hub
        };
        let presence = PresenceLimits {
            signals_per_second_per_user_max: 0,
            ..presence
        };
        let presence = Presence::new(presence, hub.shut_outs_kept_max);
        let hub = Hub::start(
            log.clone(),
            Arc::new(store.clone()),
            presence.clone(),
            clock(),
            hub,
            &tasks,
        );
        let services = Services {
            log,
            hub: hub.clone(),
            presence: presence.clone(),
            auth: Arc::new(
                Auth::guests(accounts.clone(), Duration::from_secs(3600))
                    .await
                    .unwrap(),
            ),
            accounts,
            clock: clock(),
            searches: Arc::new(SearchTurns::new(&SchemaLimits::default())),
            limits: SchemaLimits::default(),
        };
        let schema = Schema::new(services, PrepareLimits::default(), Introspection::Allowed);
        let views = Views::new(schema.clone(), hub.clone(), views, tasks.clone());
        Self {
            hub,
            presence,
            schema,
            views,
            ann,
            tasks,
            store,
            _folder: folder,
        }
    }

    pub(crate) async fn create_user(&self, name: &str) -> Viewer {
        create_user(&self.store, name).await
    }

    /// Changes a room on behalf of a viewer, and returns the Seq of the event.
    pub(crate) async fn change_room(&self, viewer: Viewer, room: &str, change: RoomChange) -> Seq {
        let command = ChangeRoom {
            viewer: viewer.user,
            room: room.parse().unwrap(),
            change,
        };
        self.hub
            .append(Command::ChangeRoom(command), None)
            .await
            .unwrap()
            .event()
            .expect("an event")
            .seq()
    }

    /// Creates a room that Ann owns.
    pub(crate) async fn create_room(&self, id: &str, visibility: Visibility) {
        let command = CreateRoom {
            viewer: self.ann.user,
            id: id.parse().unwrap(),
            owner: MemberId::from_uuid(Uuid::now_v7()),
            name: RoomName::new(id).unwrap(),
            visibility,
            epoch: Epoch(1),
        };
        self.hub
            .append(Command::CreateRoom(command), None)
            .await
            .unwrap();
    }

    /// Adds a member to a room that Ann owns, and returns the Seq of the event.
    pub(crate) async fn add_member(&self, room: &str, viewer: Viewer) -> Seq {
        let id = MemberId::from_uuid(Uuid::now_v7());
        self.change_room(
            self.ann,
            room,
            RoomChange::AddMember {
                id,
                user: viewer.user,
                role: Role::Member,
            },
        )
        .await
    }

    /// Sends a message from Ann whose text is this number, and returns the Seq of the event.
    pub(crate) async fn send_message(&self, room: &str, number: u64, reply_to: Option<u64>) -> Seq {
        let command = SendMessage {
            viewer: self.ann.user,
            room: room.parse().unwrap(),
            id: message_id(number),
            text: MessageText::new(&number.to_string()).unwrap(),
            nonce: None,
            reply_to: reply_to.map(message_id),
        };
        self.hub
            .append(Command::SendMessage(command), None)
            .await
            .unwrap()
            .event()
            .expect("an event")
            .seq()
    }

    /// Sends a message to room-1 for each number, all at once: one batch, in this order.
    pub(crate) async fn send_messages(&self, numbers: std::ops::RangeInclusive<u64>) {
        futures::future::join_all(numbers.map(|number| self.send_message("room-1", number, None)))
            .await;
    }

    /// An anonymous reader of room-1, after the event with this Seq or from now on.
    pub(crate) async fn reader(&self, selection: &str, after: Option<u64>) -> Reader {
        self.reader_as(Caller::Anonymous, "room-1", selection, after)
            .await
            .unwrap()
    }

    /// A reader of a room on behalf of a caller, or the error code of the refusal.
    pub(crate) async fn reader_as(
        &self,
        caller: Caller,
        room: &str,
        selection: &str,
        after: Option<u64>,
    ) -> Result<Reader, String> {
        let after = match after {
            Some(seq) => Some(self.cursor_in(room, seq).await),
            None => None,
        };
        let query = format!(
            "subscription ($room: ID!, $after: Cursor) {{
                newMessage(roomId: $room, after: $after) {{ {selection} }} }}"
        );
        self.subscribe(
            caller,
            query,
            serde_json::json!({ "room": room, "after": after }),
        )
        .await
    }

    /// A reader of any subscription on behalf of a caller, or the error code of the refusal.
    pub(crate) async fn subscribe(
        &self,
        caller: Caller,
        query: String,
        variables: serde_json::Value,
    ) -> Result<Reader, String> {
        let variables = Variables::from_json(variables);
        let prepared = self
            .schema
            .prepare(Request {
                query,
                operation_name: None,
                variables,
            })
            .unwrap();
        self.views
            .subscribe(prepared, caller, None, None)
            .await
            .map_err(|errors| {
                errors[0]
                    .extensions
                    .as_ref()
                    .and_then(|extensions| extensions.get("code"))
                    .unwrap()
                    .to_string()
            })
    }

    async fn cursor_in(&self, room: &str, seq: u64) -> String {
        let room = self
            .hub
            .enter(&room.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        room.cursor(Seq(seq)).to_string()
    }
}

async fn create_user(store: &Sqlite, name: &str) -> Viewer {
    let (id, name) = (
        UserId::from_uuid(Uuid::now_v7()),
        UserName::new(name).unwrap(),
    );
    store
        .create_user(&User {
            id,
            name,
            created_at: Timestamp(0),
        })
        .await
        .unwrap();
    Viewer {
        user: id,
        expires_at: Timestamp(i64::MAX),
        token: TokenId([0; 16]),
    }
}

/// The text of a frame of `{ text }`.
pub(crate) fn text(frame: &Frame) -> String {
    let payload: serde_json::Value = serde_json::from_str(&frame.payload).unwrap();
    payload["data"]["newMessage"]["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Takes exactly this many frames. Panics if more arrive.
pub(crate) async fn take_frames(reader: &mut Reader, count: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < count {
        wait_for("a frame", reader.take(usize::MAX, &mut frames))
            .await
            .unwrap();
    }
    assert_eq!(
        frames.len(),
        count,
        "the reader yielded more frames than were sent"
    );
    frames
}

pub(crate) fn seqs(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.seq.0).collect()
}
