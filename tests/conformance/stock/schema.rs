//! A schema in memory with the fields that the scenarios use.
//!
//! Its resolvers answer the documents of the scenarios as Switchboard's resolvers do, error codes
//! included. So no rule is broken by a resolver. Validation and execution are async-graphql's own.

use std::{collections::HashMap, sync::Mutex};

use async_graphql::{
    Context, Error, ErrorExtensions, ID, InputValueError, InputValueResult, Object, Positioned,
    Result, Scalar, ScalarType, SimpleObject, Subscription, Value,
    parser::types::{OperationDefinition, OperationType},
};
use futures::{Stream, stream};
use tokio::sync::watch;

/// The only valid token.
pub(super) const TOKEN: &str = "stock-token";

pub(super) type Schema = async_graphql::Schema<Query, Mutation, Subscriptions>;

/// Whether the client of a request or of a connection has shown the token.
#[derive(Clone, Copy)]
pub(super) struct SignedIn(pub(super) bool);

/// The texts of each room's messages, by the room's id.
struct Rooms(Mutex<HashMap<String, watch::Sender<Vec<String>>>>);

impl Rooms {
    fn log(&self, room: &str) -> Result<watch::Sender<Vec<String>>> {
        let rooms = self.0.lock().expect("no panic under this lock");
        let log = rooms.get(room).cloned();
        log.ok_or_else(|| coded("There is no such room.", "NOT_FOUND"))
    }

    /// Makes a room and returns its id. The first one is `room-1`, which the scenarios name.
    fn create(&self) -> String {
        let mut rooms = self.0.lock().expect("no panic under this lock");
        let id = format!("room-{}", rooms.len() + 1);
        rooms.insert(id.clone(), watch::Sender::default());
        id
    }
}

pub(super) fn build() -> Schema {
    let rooms = Rooms(Mutex::default());
    rooms.create();
    Schema::build(Query, Mutation, Subscriptions)
        .data(rooms)
        .finish()
}

pub(super) fn is_subscription(operation: &Positioned<OperationDefinition>) -> bool {
    operation.node.ty == OperationType::Subscription
}

fn coded(message: &str, code: &str) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// A position in a room's log: the number of messages before it.
struct Cursor(usize);

#[Scalar]
impl ScalarType for Cursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        Ok(Self(text.parse()?))
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }
}

#[derive(SimpleObject)]
struct User {
    id: ID,
    name: String,
}

#[derive(SimpleObject)]
struct Session {
    token: &'static str,
    viewer: User,
}

#[derive(SimpleObject)]
struct Room {
    id: ID,
    head: Cursor,
}

#[derive(SimpleObject)]
struct Message {
    id: ID,
    text: String,
}

#[derive(SimpleObject)]
struct Messages {
    nodes: Vec<Message>,
}

pub(super) struct Query;

#[Object]
impl Query {
    async fn viewer(&self) -> Option<User> {
        None
    }

    async fn node(&self, _id: ID) -> Option<User> {
        None
    }

    async fn messages(&self, ctx: &Context<'_>, room_id: ID) -> Result<Messages> {
        let log = ctx.data_unchecked::<Rooms>().log(&room_id)?;
        let texts = log.borrow().clone();
        let nodes = texts.into_iter().enumerate().map(message).collect();
        Ok(Messages { nodes })
    }
}

fn message((index, text): (usize, String)) -> Message {
    let id = ID(format!("message-{index}"));
    Message { id, text }
}

pub(super) struct Mutation;

#[Object]
impl Mutation {
    async fn sign_in(&self, name: String) -> Session {
        let id = ID("user-1".to_owned());
        Session {
            token: TOKEN,
            viewer: User { id, name },
        }
    }

    async fn create_room(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "name")] _name: String,
    ) -> Room {
        let id = ID(ctx.data_unchecked::<Rooms>().create());
        Room {
            id,
            head: Cursor(0),
        }
    }

    /// An error inside `Some` makes the field null. An error in its place would make `data` null.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        text: String,
    ) -> Option<Result<Message>> {
        Some(send(ctx, &room_id, text))
    }
}

fn send(ctx: &Context<'_>, room: &str, text: String) -> Result<Message> {
    if !ctx.data_unchecked::<SignedIn>().0 {
        return Err(coded("Sign in first.", "UNAUTHENTICATED"));
    }
    let log = ctx.data_unchecked::<Rooms>().log(room)?;
    log.send_modify(|texts| texts.push(text.clone()));
    let index = log.borrow().len() - 1;
    Ok(message((index, text)))
}

pub(super) struct Subscriptions;

#[Subscription(name = "Subscription")]
impl Subscriptions {
    /// The messages after `after`, or after the head if `after` is absent.
    async fn new_message(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Message> + use<>> {
        let log = ctx.data_unchecked::<Rooms>().log(&room_id)?.subscribe();
        let head = log.borrow().len();
        let start = after.map_or(head, |cursor| cursor.0);
        Ok(stream::unfold((log, start), next_message))
    }
}

/// Waits for the message at an index of the log and returns it.
async fn next_message(
    (mut log, index): (watch::Receiver<Vec<String>>, usize),
) -> Option<(Message, (watch::Receiver<Vec<String>>, usize))> {
    let texts = log.wait_for(|texts| texts.len() > index).await.ok()?;
    let text = texts[index].clone();
    drop(texts);
    Some((message((index, text)), (log, index + 1)))
}
