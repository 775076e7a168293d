//! Everything below the transports, without sockets.

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
    schema::{Introspection, PrepareLimits, Request, Schema, SchemaLimits, Services},
    server::clock,
    store::{
        Accounts, ChangeRoom, Command, CreateRoom, Log, RoomChange, SendMessage,
        sqlite::{Sqlite, SqliteLimits},
    },
    view::{Frame, Reader, ViewLimits, Views},
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Folder, flaky::Knobs, soon};

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

/// The id of the message that says this number.
pub(crate) fn message_id(number: u64) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(number.into()))
}

impl Core {
    pub(crate) async fn start() -> Self {
        Self::with(ViewLimits::default(), HubLimits::default(), |log| log).await
    }

    /// With bounds of the test's own, over a log that fails when it is told to.
    pub(crate) async fn flaky(views: ViewLimits, hub: HubLimits) -> (Self, Knobs) {
        let knobs = Knobs::default();
        let core = Self::with(views, hub, |log| knobs.log(log)).await;
        (core, knobs)
    }

    /// With bounds of the test's own, and something between the schema and the log.
    pub(crate) async fn with(
        views: ViewLimits,
        hub: HubLimits,
        between: impl FnOnce(Arc<dyn Log>) -> Arc<dyn Log>,
    ) -> Self {
        Self::within(views, hub, PresenceLimits::default(), between).await
    }

    /// The same, also for what is not kept.
    pub(crate) async fn within(
        views: ViewLimits,
        hub: HubLimits,
        presence: PresenceLimits,
        between: impl FnOnce(Arc<dyn Log>) -> Arc<dyn Log>,
    ) -> Self {
        let (folder, tasks) = (Folder::new(), TaskTracker::new());
        let store = Sqlite::open(&folder.database(), SqliteLimits::default())
            .await
            .unwrap();
        let ann = user(&store, "ann").await;
        let log = between(Arc::new(store.clone()));
        let accounts: Arc<dyn Accounts> = Arc::new(store.clone());
        // Tests of what is below the transports write as fast as they can.
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

    /// One more user.
    pub(crate) async fn user(&self, name: &str) -> Viewer {
        user(&self.store, name).await
    }

    /// Changes a room as somebody, and returns the Seq of the event.
    pub(crate) async fn change(&self, viewer: Viewer, room: &str, change: RoomChange) -> Seq {
        let command = ChangeRoom {
            viewer: viewer.user,
            room: room.parse().unwrap(),
            change,
        };
        self.hub
            .append(Command::ChangeRoom(command))
            .await
            .unwrap()
            .event()
            .expect("an event")
            .seq()
    }

    /// Makes a room of ann's.
    pub(crate) async fn room(&self, id: &str, visibility: Visibility) {
        let command = CreateRoom {
            viewer: self.ann.user,
            id: id.parse().unwrap(),
            owner: MemberId::from_uuid(Uuid::now_v7()),
            name: RoomName::new(id).unwrap(),
            visibility,
            epoch: Epoch(1),
        };
        self.hub.append(Command::CreateRoom(command)).await.unwrap();
    }

    /// Makes somebody a member of a room of ann's.
    pub(crate) async fn add(&self, room: &str, viewer: Viewer) -> Seq {
        let id = MemberId::from_uuid(Uuid::now_v7());
        self.change(
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

    /// Sends a message as ann.
    pub(crate) async fn say(&self, room: &str, number: u64, reply_to: Option<u64>) -> Seq {
        let command = SendMessage {
            viewer: self.ann.user,
            room: room.parse().unwrap(),
            id: message_id(number),
            text: MessageText::new(&number.to_string()).unwrap(),
            nonce: None,
            reply_to: reply_to.map(message_id),
        };
        self.hub
            .append(Command::SendMessage(command))
            .await
            .unwrap()
            .event()
            .expect("an event")
            .seq()
    }

    /// Appends messages to room-1 that say their number, all at once: they are one batch, in this order.
    pub(crate) async fn send(&self, numbers: std::ops::RangeInclusive<u64>) {
        futures::future::join_all(numbers.map(|number| self.say("room-1", number, None))).await;
    }

    /// A reader of room-1 after the event of this number, or from now on.
    pub(crate) async fn reader(&self, selection: &str, after: Option<u64>) -> Reader {
        self.reader_as(Caller::Anonymous, "room-1", selection, after)
            .await
            .unwrap()
    }

    /// A reader of a room as somebody, or the code of the refusal.
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
            "subscription ($room: ID!, $after: Cursor) {{ newMessage(roomId: $room, after: $after) {{ {selection} }} }}"
        );
        self.subscribe(
            caller,
            query,
            serde_json::json!({ "room": room, "after": after }),
        )
        .await
    }

    /// A reader of any subscription as somebody, or the code of the refusal.
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
            .subscribe(prepared, caller)
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

async fn user(store: &Sqlite, name: &str) -> Viewer {
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
        operator: true,
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

/// Takes this many frames.
pub(crate) async fn take(reader: &mut Reader, count: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < count {
        soon("a frame", reader.take(usize::MAX, &mut frames))
            .await
            .unwrap();
    }
    assert_eq!(frames.len(), count, "more came than was sent");
    frames
}

pub(crate) fn seqs(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.seq.0).collect()
}
