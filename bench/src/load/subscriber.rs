//! Thousands of subscribers that count their deliveries.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{DOCUMENT, Socket, age};

/// One subscriber in 25 measures the age of each message.
const SAMPLE: usize = 25;

/// The beginning of the message with which Switchboard announces a live subscription. It is not
/// counted as a delivery, and needs no answer.
const LIVE: &[u8] = br#"{"type":"ping""#;

/// The room, document and cursor of one subscription.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) room: String,
    pub(crate) document: String,
    pub(crate) after: Option<String>,
}

impl Subscription {
    pub(crate) fn to(room: &str) -> Self {
        Self {
            room: room.to_owned(),
            document: DOCUMENT.to_owned(),
            after: None,
        }
    }
}

/// The counts of all subscribers together.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) deliveries: Cell<u64>,
    pub(crate) bytes: Cell<u64>,
    pub(crate) ages: RefCell<Vec<Duration>>,
}

/// Subscribers that read until they are dropped.
pub(crate) struct Crowd {
    pub(crate) seen: Rc<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Connects one socket and subscribes. With a cursor it returns when `subscribe` is sent. Without
/// one it returns when the server has read `subscribe`.
pub(crate) async fn subscribe(address: SocketAddr, wanted: &Subscription) -> io::Result<Socket> {
    let mut socket = Socket::open(address).await?;
    socket.send(r#"{"type":"connection_init"}"#).await?;
    socket.await_text("connection_ack").await?;
    let mut variables = json!({ "room": wanted.room });
    if let Some(after) = &wanted.after {
        variables["after"] = json!(after);
    }
    let payload = json!({ "query": wanted.document, "variables": variables });
    socket
        .send(&json!({ "id": "1", "type": "subscribe", "payload": payload }).to_string())
        .await?;
    if wanted.after.is_none() {
        socket.send(r#"{"type":"ping"}"#).await?;
        socket.await_text("pong").await?;
    }
    Ok(socket)
}

/// Connects all subscribers, 32 at a time, and starts to read.
pub(crate) async fn subscribe_all(address: SocketAddr, wanted: Vec<Subscription>) -> Crowd {
    let sockets = futures::stream::iter(
        wanted
            .into_iter()
            .map(|wanted| async move { subscribe(address, &wanted).await }),
    );
    let sockets: Vec<Socket> = sockets
        .buffered(32)
        .try_collect()
        .await
        .expect("every subscriber connects");
    let seen = Rc::new(Seen::default());
    let tasks = sockets.into_iter().enumerate().map(|(number, socket)| {
        tokio::task::spawn_local(read(socket, seen.clone(), number % SAMPLE == 0))
    });
    Crowd {
        tasks: tasks.collect(),
        seen: seen.clone(),
    }
}

async fn read(mut socket: Socket, seen: Rc<Seen>, sampled: bool) {
    loop {
        let (mut count, mut bytes) = (0, 0);
        let open = socket
            .receive(|text| {
                if text.starts_with(LIVE) {
                    return;
                }
                count += 1;
                bytes += text.len() as u64;
                if let Some(age) = sampled.then(|| age(text)).flatten() {
                    seen.ages.borrow_mut().push(age);
                }
            })
            .await;
        seen.deliveries.set(seen.deliveries.get() + count);
        seen.bytes.set(seen.bytes.get() + bytes);
        if !open.unwrap_or(false) {
            return;
        }
    }
}
