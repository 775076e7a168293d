//! async-graphql with its own WebSocket type and axum integration, a tokio broadcast channel, and
//! sqlx, combined as their documentation and examples do.

use std::path::Path;

use async_graphql::{Context, ID, Object, Schema, SimpleObject, Subscription};
use async_graphql_axum::{GraphQL, GraphQLSubscription};
use axum::{Router, routing::get_service};
use futures::{Stream, StreamExt};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
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

struct Query;

#[Object]
impl Query {
    async fn ready(&self) -> bool {
        true
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
        sqlx::query("insert into messages (id, room, text) values (?1, ?2, ?3)")
            .bind(&id)
            .bind(room_id.as_str())
            .bind(&text)
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
    let table = "create table messages (seq integer primary key, id text not null unique, room text not null, text text not null) strict";
    sqlx::raw_sql(table).execute(&pool).await.expect("a table");
    let schema = Schema::build(Query, Mutation, Subscriptions)
        .data(pool)
        .data(broadcast::channel::<Message>(4096).0)
        .finish();
    let websocket = GraphQLSubscription::new(schema.clone());
    let http = GraphQL::new(schema);
    Router::new().route("/graphql", get_service(websocket).post_service(http))
}
