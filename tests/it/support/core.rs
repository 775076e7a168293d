//! Everything below the transports, without sockets.

use std::sync::Arc;

use async_graphql::Variables;
use switchboard::{
    auth::{Auth, SESSION_LIFETIME},
    domain::{Timestamp, TokenId, User, UserId, UserName, Viewer, Who},
    hub::{Hub, HubLimits},
    schema::{PrepareLimits, Request, Schema, SchemaLimits, Services},
    server::clock,
    store::{
        Accounts, Command, Log, Outcome, SendMessage,
        sqlite::{Sqlite, SqliteLimits},
    },
    view::{Frame, Reader, ViewLimits, Views},
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Folder, flaky::Knobs, soon};

pub(crate) struct Core {
    pub(crate) hub: Arc<Hub>,
    pub(crate) schema: Schema,
    pub(crate) views: Views,
    pub(crate) ann: Viewer,
    _folder: Folder,
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
        let (folder, tasks) = (Folder::new(), TaskTracker::new());
        let store = Sqlite::open(&folder.database(), SqliteLimits::default()).await.unwrap();
        let ann = User {
            id: UserId::from_uuid(Uuid::now_v7()),
            name: UserName::new("ann").unwrap(),
            created_at: Timestamp(0),
        };
        store.create_user(&ann).await.unwrap();
        let log = between(Arc::new(store.clone()));
        let accounts: Arc<dyn Accounts> = Arc::new(store.clone());
        let hub = Hub::start(log.clone(), Arc::new(store), clock(), hub, &tasks);
        let services = Services {
            log,
            hub: hub.clone(),
            auth: Arc::new(Auth::guests(accounts.clone(), SESSION_LIFETIME).await.unwrap()),
            accounts,
            clock: clock(),
            limits: SchemaLimits::default(),
        };
        let schema = Schema::new(services, PrepareLimits::default());
        let views = Views::new(schema.clone(), hub.clone(), views, tasks);
        let ann = Viewer { user: ann.id, expires_at: Timestamp(i64::MAX), token: TokenId([0; 16]), operator: true };
        Self { hub, schema, views, ann, _folder: folder }
    }

    /// Appends messages to room-1 that say their number, all at once: they are one batch, in this order.
    pub(crate) async fn send(&self, numbers: std::ops::RangeInclusive<u64>) {
        let sends = numbers.map(|number| {
            let command = SendMessage {
                viewer: self.ann.user,
                room: "room-1".parse().unwrap(),
                id: switchboard::domain::MessageId::from_uuid(Uuid::now_v7()),
                text: switchboard::domain::MessageText::new(&number.to_string()).unwrap(),
                nonce: None,
            };
            self.hub.append(Command::SendMessage(command))
        });
        for outcome in futures::future::join_all(sends).await {
            assert!(matches!(outcome, Ok(Outcome::Sent(..))), "{outcome:?}");
        }
    }

    /// A reader of room-1 after the event of this number, or from now on.
    pub(crate) async fn reader(&self, selection: &str, after: Option<u64>) -> Reader {
        let after = match after {
            Some(seq) => Some(self.cursor(seq).await),
            None => None,
        };
        let query =
            format!("subscription ($c: Cursor) {{ newMessage(roomId: \"room-1\", after: $c) {{ {selection} }} }}");
        let variables = Variables::from_json(serde_json::json!({ "c": after }));
        let request = Request { query, operation_name: None, variables };
        let prepared = self.schema.prepare(request).unwrap();
        self.views.subscribe(prepared, Who::Nobody).await.unwrap()
    }

    pub(crate) async fn cursor(&self, seq: u64) -> String {
        let room = self.hub.enter(&"room-1".parse().unwrap()).await.unwrap().unwrap();
        room.cursor(switchboard::domain::Seq(seq)).to_string()
    }
}

/// Takes this many frames.
pub(crate) async fn take(reader: &mut Reader, count: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < count {
        soon("a frame", reader.take(usize::MAX, &mut frames)).await.unwrap();
    }
    assert_eq!(frames.len(), count, "more came than was sent");
    frames
}

pub(crate) fn seqs(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.seq.0).collect()
}
