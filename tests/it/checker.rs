//! Many subscribers come and go, read at their own pace and resume by cursor. Meanwhile messages
//! are sent, and the server is killed and restarted. At the end the record of each subscriber
//! equals the log of its room.
//!
//! `CHECKER=full cargo test --release checker` runs 200 subscribers, 20 rooms, 50,000 messages and
//! ten kills.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use switchboard::domain::{Cursor, Seq};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    crash::{Process, token},
    support::{Folder, client::Client},
};

struct Size {
    subscribers: usize,
    rooms: usize,
    messages: u64,
    kills: u64,
}

const SMALL: Size = Size {
    subscribers: 30,
    rooms: 4,
    messages: 3_000,
    kills: 3,
};
const FULL: Size = Size {
    subscribers: 200,
    rooms: 20,
    messages: 50_000,
    kills: 10,
};
const PUBLISHERS: u64 = 25;

/// The pause between attempts to connect while the server is down.
const AWAY: Duration = Duration::from_millis(20);

async fn connected(address: SocketAddr, token: Option<&str>) -> Client {
    loop {
        match Client::try_connect(address, token).await {
            Some(client) => return client,
            None => tokio::time::sleep(AWAY).await,
        }
    }
}

/// Sends the messages of one publisher. A message that was not answered is sent again with the same
/// nonce.
async fn publish(
    address: SocketAddr,
    token: String,
    publisher: u64,
    rooms: Arc<Vec<String>>,
    share: u64,
    sent: Arc<AtomicU64>,
) {
    let send =
        "mutation ($r: ID!, $t: String!) { sendMessage(roomId: $r, text: $t, nonce: $t) { id } }";
    let mut client = connected(address, Some(&token)).await;
    for number in 0..share {
        let room = &rooms[usize::try_from((publisher + number) % rooms.len() as u64).unwrap()];
        let text = format!("{publisher}/{number}");
        'again: loop {
            let id = client
                .try_start(send, json!({ "r": room, "t": text }))
                .await;
            while id.is_some() {
                match client.try_receive().await {
                    Ok(message) if message["type"] == "complete" => break 'again,
                    Ok(message) => assert!(
                        message["payload"]["data"]["sendMessage"]["id"].is_string(),
                        "{message}"
                    ),
                    Err(_) => break,
                }
            }
            client = connected(address, Some(&token)).await;
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads a room from its beginning until it reaches the final head, and reconnects whenever the
/// connection breaks.
async fn subscribe(
    address: SocketAddr,
    start: Cursor,
    seed: u64,
    mut end: watch::Receiver<Option<Seq>>,
) -> Vec<(Seq, String)> {
    let (mut record, mut cursor) = (Vec::<(Seq, String)>::new(), start);
    let mut state = seed;
    let mut random = move |sides: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    };
    'connections: loop {
        let mut client = connected(address, None).await;
        let variables = json!({ "room": cursor.room.as_str(), "after": cursor.to_string() });
        if client
            .try_start(crate::support::client::NEW_MESSAGE, variables)
            .await
            .is_none()
        {
            continue;
        }
        loop {
            if end.borrow_and_update().is_some_and(|end| end <= cursor.seq) {
                return record;
            }
            let message = tokio::select! {
                message = client.try_receive() => message,
                _ = end.changed() => continue,
            };
            let Ok(message) = message else {
                continue 'connections;
            };
            assert_eq!(message["type"], "next", "{message}");
            let text = message["payload"]["data"]["newMessage"]["text"]
                .as_str()
                .unwrap()
                .to_owned();
            cursor = message["payload"]["extensions"]["cursor"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            record.push((cursor.seq, text));
            match random(400) {
                0 => continue 'connections,
                // Some reads are slow.
                1..4 => tokio::time::sleep(Duration::from_millis(random(30))).await,
                _ => {}
            }
        }
    }
}

/// A head of a room that is published when it is final, and the cursor at the beginning of the log.
type End = (watch::Sender<Option<Seq>>, Cursor);

/// Reads the whole log of each room, and publishes its head as the final one.
async fn read_logs(address: SocketAddr, ends: &[End]) -> Vec<Vec<(Seq, String)>> {
    let mut client = connected(address, None).await;
    let mut logs = Vec::new();
    for (end, start) in ends {
        let head: Cursor = client.head(start.room.as_str()).await.parse().unwrap();
        let id = client
            .subscribe(start.room.as_str(), &start.to_string())
            .await;
        let texts = client
            .next_texts(usize::try_from(head.seq.0).unwrap())
            .await;
        client.send(&json!({ "id": id, "type": "complete" })).await;
        logs.push((1..).map(Seq).zip(texts).collect::<Vec<_>>());
        end.send_replace(Some(head.seq));
    }
    logs
}

/// Creates all rooms but the first, which exists.
async fn create_rooms(address: SocketAddr, token: &str, rooms: &[String]) -> Vec<End> {
    let mut client = Client::connect(address, Some(token)).await;
    for room in &rooms[1..] {
        client
            .execute(
                "mutation ($id: ID!) { createRoom(id: $id, name: $id) { id } }",
                json!({ "id": room }),
            )
            .await;
    }
    let mut ends = Vec::new();
    for room in rooms.iter() {
        let start: Cursor = client.head(room).await.parse().unwrap();
        ends.push((watch::Sender::new(None), start));
    }
    ends
}

/// Starts the publishers. Returns the number of messages that they have sent, and their tasks.
fn start_publishers(
    address: SocketAddr,
    token: &str,
    rooms: &Arc<Vec<String>>,
    size: &Size,
) -> (Arc<AtomicU64>, Vec<JoinHandle<()>>) {
    let sent = Arc::new(AtomicU64::new(0));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            tokio::spawn(publish(
                address,
                token.to_owned(),
                number,
                rooms.clone(),
                size.messages / PUBLISHERS,
                sent.clone(),
            ))
        })
        .collect();
    (sent, publishers)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_equals_the_log_through_kills_and_reconnects() {
    let size = if std::env::var("CHECKER").is_ok_and(|size| size == "full") {
        FULL
    } else {
        SMALL
    };
    let folder = Folder::new();
    let mut server = Process::start_on(&folder, "127.0.0.1:0");
    let (address, token) = (server.address, token(server.address).await);
    let rooms: Arc<Vec<String>> = Arc::new(
        (0..size.rooms)
            .map(|room| format!("room-{}", room + 1))
            .collect(),
    );
    let ends = create_rooms(address, &token, &rooms).await;
    let mut readers = Vec::new();
    for number in 0..size.subscribers {
        let (end, start) = &ends[number % size.rooms];
        readers.push(tokio::spawn(subscribe(
            address,
            start.clone(),
            number as u64,
            end.subscribe(),
        )));
    }
    let (sent, publishers) = start_publishers(address, &token, &rooms, &size);
    for kill in 1..=size.kills {
        while sent.load(Ordering::Relaxed) < size.messages * kill / (size.kills + 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill();
        server = Process::start_on(&folder, &address.to_string());
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }

    let logs = read_logs(address, &ends).await;
    let all: usize = logs.iter().map(Vec::len).sum();
    assert_eq!(
        all as u64,
        size.messages / PUBLISHERS * PUBLISHERS,
        "each message is in the logs exactly once"
    );
    for (number, reader) in readers.into_iter().enumerate() {
        let record = reader.await.unwrap();
        assert!(
            record == logs[number % size.rooms],
            "the record of subscriber {number} differs from the log"
        );
    }
    println!(
        "{} subscribers, {all} messages, {} kills: every record equals the log",
        size.subscribers, size.kills
    );
}
