//! Switchboard's design without GraphQL: a writer that commits batches, a list of encoded results,
//! and readers as cursors.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, RwLock},
};

use axum::{
    Json, Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    routing::get,
};
use futures::{SinkExt, StreamExt};
use sqlx::{
    ConnectOptions, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{AT, SENDER, handle_message, result, send_variables, subscribed};

struct Room {
    head: watch::Sender<u64>,
    /// All results since the start. This prototype drops none.
    frames: RwLock<Vec<Arc<str>>>,
}

struct Write {
    room: String,
    text: String,
    done: oneshot::Sender<String>,
}

struct App {
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    writes: mpsc::Sender<Write>,
}

impl App {
    fn room(&self, id: &str) -> Arc<Room> {
        let new = || {
            Arc::new(Room {
                head: watch::Sender::new(0),
                frames: RwLock::default(),
            })
        };
        self.rooms
            .lock()
            .expect("no panic")
            .entry(id.to_owned())
            .or_insert_with(new)
            .clone()
    }
}

pub(super) async fn router(folder: &Path) -> Router {
    let mut database = SqliteConnectOptions::new()
        .filename(folder.join("durable.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .expect("a database");
    let table =
        "create table messages (id text primary key, room text not null, seq integer not null, text text not null,
                 unique (room, seq)) strict";
    sqlx::raw_sql(table)
        .execute(&mut database)
        .await
        .expect("a table");
    let (writes, queue) = mpsc::channel(4096);
    let app = Arc::new(App {
        rooms: Mutex::default(),
        writes,
    });
    tokio::spawn(write(app.clone(), database, queue));
    Router::new()
        .route("/graphql", get(upgrade).post(send))
        .with_state(app)
}

async fn write(app: Arc<App>, mut database: SqliteConnection, mut queue: mpsc::Receiver<Write>) {
    let (mut batch, mut heads) = (Vec::new(), HashMap::<String, u64>::new());
    while queue.recv_many(&mut batch, 512).await > 0 {
        let mut rows = Vec::new();
        for write in &batch {
            let head = heads.entry(write.room.clone()).or_insert(0);
            *head += 1;
            rows.push((
                format!("msg_{}", uuid::Uuid::now_v7().as_simple()),
                &write.room,
                *head,
                &write.text,
            ));
        }
        let sql = "begin immediate;
            insert into messages select value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each(?1);
            commit";
        let json = serde_json::to_string(&rows).expect("strings and numbers");
        sqlx::query(sql)
            .bind(json)
            .execute(&mut database)
            .await
            .expect("a commit");
        let ids: Vec<String> = rows.into_iter().map(|row| row.0).collect();
        for (write, id) in batch.drain(..).zip(ids) {
            let room = app.room(&write.room);
            room.frames
                .write()
                .expect("no panic")
                .push(result(&id, &write.text, AT, SENDER).into());
            let _ = write.done.send(id);
        }
        for (id, head) in &heads {
            let moved = |known: &mut u64| std::mem::replace(known, *head) != *head;
            app.room(id).head.send_if_modified(moved);
        }
    }
}

async fn send(
    State(app): State<Arc<App>>,
    Json(body): Json<serde_json::Value>,
) -> Json<serde_json::Value> {
    let (room, text) = send_variables(&body);
    let (done, id) = oneshot::channel();
    app.writes
        .send(Write { room, text, done })
        .await
        .expect("the writer lives");
    let id = id.await.expect("the writer lives");
    Json(serde_json::json!({ "data": { "sendMessage": { "id": id } } }))
}

async fn upgrade(
    State(app): State<Arc<App>>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    upgrade
        .protocols(["graphql-transport-ws"])
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_write_buffer_size(usize::MAX)
        .on_upgrade(move |socket| async move {
            tokio::spawn(serve(socket, app));
        })
}

async fn serve(mut socket: WebSocket, app: Arc<App>) {
    let Some((id, room)) = subscribed(&mut socket).await else {
        return;
    };
    let room = app.room(&room);
    let prefix = format!(r#"{{"id":"{id}","type":"next","payload":"#);
    let mut head = room.head.subscribe();
    let mut cursor = room.frames.read().expect("no panic").len();
    loop {
        tokio::select! {
            changed = head.changed() => {
                if changed.is_err() { return }
                loop {
                    let frames: Vec<Arc<str>> = room.frames.read().expect("no panic")[cursor..].to_vec();
                    if frames.is_empty() { break }
                    cursor += frames.len();
                    for frame in frames {
                        let text = [&prefix, &*frame, "}"].concat();
                        if socket.feed(Message::text(text)).await.is_err() { return }
                    }
                    if SinkExt::flush(&mut socket).await.is_err() { return }
                }
            }
            message = socket.next() => if !handle_message(&mut socket, message).await { return },
        }
    }
}
