//! Sends one finished frame to every socket over `tokio::sync::broadcast`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket},
    },
    routing::get,
};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::sync::broadcast;

use super::{AT, SENDER, handle_message, result, send_variables, subscribed};

type Rooms = Arc<Mutex<HashMap<String, broadcast::Sender<Utf8Bytes>>>>;

fn channel(rooms: &Rooms, room: String) -> broadcast::Sender<Utf8Bytes> {
    rooms
        .lock()
        .expect("no panic")
        .entry(room)
        .or_insert_with(|| broadcast::channel(4096).0)
        .clone()
}

pub(super) fn router() -> Router {
    Router::new()
        .route("/graphql", get(upgrade).post(send))
        .with_state(Rooms::default())
}

async fn send(
    State(rooms): State<Rooms>,
    Json(body): Json<serde_json::Value>,
) -> Json<serde_json::Value> {
    let (room, text) = send_variables(&body);
    let id = format!("msg_{}", uuid::Uuid::now_v7().as_simple());
    let frame = format!(
        r#"{{"id":"1","type":"next","payload":{}}}"#,
        result(&id, &text, AT, SENDER)
    );
    let _ = channel(&rooms, room).send(frame.into());
    Json(serde_json::json!({ "data": { "sendMessage": { "id": id } } }))
}

async fn upgrade(
    State(rooms): State<Rooms>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    upgrade
        .protocols(["graphql-transport-ws"])
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_write_buffer_size(usize::MAX)
        .on_upgrade(move |socket| async move {
            tokio::spawn(serve(socket, rooms));
        })
}

async fn serve(mut socket: WebSocket, rooms: Rooms) {
    let Some((_, room)) = subscribed(&mut socket).await else {
        return;
    };
    let mut frames = channel(&rooms, room).subscribe();
    loop {
        tokio::select! {
            frame = frames.recv() => {
                let Ok(frame) = frame else { return };
                if socket.feed(Message::Text(frame)).await.is_err() { return }
                while let Some(Ok(frame)) = frames.recv().now_or_never() {
                    if socket.feed(Message::Text(frame)).await.is_err() { return }
                }
                if SinkExt::flush(&mut socket).await.is_err() { return }
            }
            message = socket.next() => if !handle_message(&mut socket, message).await { return },
        }
    }
}
