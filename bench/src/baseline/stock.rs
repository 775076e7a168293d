//! async-graphql with its own WebSocket type and axum integration, a tokio broadcast channel, and
//! sqlx, combined as their documentation and examples do.

use std::path::Path;

use async_graphql::{Context, ID, Object, Schema, SimpleObject, Subscription};
use async_graphql_axum::{GraphQL, GraphQLSubscription};
use axum::{Router, routing::get_service};
use futures::{Stream, StreamExt};
use sqlx::{
    Row, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use super::{AT, SENDER};

#[derive(Clone, SimpleObject)]
struct User {
    id: ID,
    name: String,
}

#[derive(Clone, SimpleObject)]
struct Message {
    id: ID,
    text: String,
    created_at: String,
    sender: User,
    #[graphql(skip)]
    room: String,
}

/// A page of messages, in the shape of Switchboard's.
#[derive(SimpleObject)]
struct Page {
    nodes: Vec<Message>,
}

#[derive(SimpleObject)]
struct Room {
    id: ID,
    name: String,
    head: String,
}

struct Query;

#[Object]
impl Query {
    async fn messages(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        last: i32,
    ) -> async_graphql::Result<Page> {
        let sql = "select m.id, m.text, u.id as sender_id, u.name from messages m
            join users u on u.id = m.sender where m.room = ?1 order by m.seq desc limit ?2";
        let rows = sqlx::query(sql)
            .bind(room_id.as_str())
            .bind(last)
            .fetch_all(ctx.data_unchecked::<SqlitePool>())
            .await?;
        let message = |row: &SqliteRow| Message {
            id: row.get::<String, _>("id").into(),
            text: row.get("text"),
            created_at: AT.to_owned(),
            sender: User {
                id: row.get::<String, _>("sender_id").into(),
                name: row.get("name"),
            },
            room: room_id.to_string(),
        };
        let nodes = rows.iter().rev().map(message).collect();
        Ok(Page { nodes })
    }

    async fn room(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<Room>> {
        let row = sqlx::query("select id, name, head from rooms where id = ?1")
            .bind(id.as_str())
            .fetch_optional(ctx.data_unchecked::<SqlitePool>())
            .await?;
        Ok(row.map(|row| Room {
            id: row.get::<String, _>("id").into(),
            name: row.get("name"),
            head: row.get::<i64, _>("head").to_string(),
        }))
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        text: String,
    ) -> async_graphql::Result<Message> {
        let id = format!("msg_{}", uuid::Uuid::now_v7().as_simple());
        sqlx::query("insert into messages (id, room, text, sender) values (?1, ?2, ?3, ?4)")
            .bind(&id)
            .bind(room_id.as_str())
            .bind(&text)
            .bind(SENDER)
            .execute(ctx.data_unchecked::<SqlitePool>())
            .await?;
        let sender = User {
            id: SENDER.into(),
            name: "bench".to_owned(),
        };
        let message = Message {
            id: id.into(),
            text,
            created_at: AT.to_owned(),
            sender,
            room: room_id.to_string(),
        };
        let _ = ctx
            .data_unchecked::<broadcast::Sender<Message>>()
            .send(message.clone());
        Ok(message)
    }
}

struct Subscriptions;

#[Subscription]
impl Subscriptions {
    async fn new_message(&self, ctx: &Context<'_>, room_id: ID) -> impl Stream<Item = Message> {
        let messages = BroadcastStream::new(
            ctx.data_unchecked::<broadcast::Sender<Message>>()
                .subscribe(),
        );
        messages.filter_map(move |message| {
            let wanted = message.ok().filter(|message| message.room == *room_id);
            async move { wanted }
        })
    }
}

pub(super) async fn router(folder: &Path) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("stock.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await
        .expect("a database");
    let tables = "create table messages (seq integer primary key, id text not null unique,
            room text not null, text text not null, sender text not null) strict;
        create index messages_by_room on messages (room, seq);
        create table users (id text primary key, name text not null) strict;
        create table rooms (id text primary key, name text not null, head integer not null) strict;
        insert into rooms values ('room-1', 'General', 0)";
    sqlx::raw_sql(tables).execute(&pool).await.expect("tables");
    sqlx::query("insert into users values (?1, 'bench')")
        .bind(SENDER)
        .execute(&pool)
        .await
        .expect("a user");
    let schema = Schema::build(Query, Mutation, Subscriptions)
        .data(pool)
        .data(broadcast::channel::<Message>(4096).0)
        .finish();
    let websocket = GraphQLSubscription::new(schema.clone());
    let http = GraphQL::new(schema);
    Router::new().route("/graphql", get_service(websocket).post_service(http))
}
