//! Requests that every client sends: pages of history, facts about rooms, single writes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Context, per, publish, token};
use crate::{
    load::{Http, Socket, stamped},
    report::percentile_ms,
    server::{Kind, Server},
};

/// Clients that ask at the same time, each over a connection of its own.
const CLIENTS: usize = 32;

/// A query, and whether the stock server has it too.
struct Asked {
    name: &'static str,
    query: &'static str,
    with_token: bool,
    has_stock: bool,
}

const fn asked(name: &'static str, query: &'static str) -> Asked {
    Asked {
        name,
        query,
        with_token: false,
        has_stock: true,
    }
}

const PAGE_20: &str =
    "{messages(roomId:\"room-1\",last:20){nodes{id text createdAt sender{id name}}}}";
const PAGE_100: &str =
    "{messages(roomId:\"room-1\",last:100){nodes{id text createdAt sender{id name}}}}";
const ROOM: &str = "{room(id:\"room-1\"){id name head}}";

const QUERIES: [Asked; 8] = [
    asked("{__typename}", "{__typename}"),
    Asked {
        with_token: true,
        has_stock: false,
        ..asked("{__typename}, token", "{__typename}")
    },
    asked("page of 20", PAGE_20),
    Asked {
        with_token: true,
        has_stock: false,
        ..asked("page of 20, token", PAGE_20)
    },
    asked("page of 100", PAGE_100),
    asked("room", ROOM),
    Asked {
        with_token: true,
        has_stock: false,
        ..asked("viewer", "{viewer{id name}}")
    },
    Asked {
        has_stock: false,
        ..asked(
            "search",
            "{searchMessages(query:\"0000\",first:20){nodes{id text}}}",
        )
    },
];

/// Measures queries in a room with a history of some thousand messages.
pub(super) async fn requests(mut context: Context<'_>) {
    if !matches!(context.kind, Kind::Switchboard | Kind::Stock) {
        return;
    }
    let server = context.server().await;
    publish(&server, 64, &["room-1".to_owned()], Duration::from_secs(1)).await;
    let token = token(&server).await;
    for asked in &QUERIES {
        if context.kind == Kind::Stock && !asked.has_stock {
            continue;
        }
        let token = token.as_deref().filter(|_| asked.with_token);
        let body = json!({ "query": asked.query }).to_string();
        ask_all(&server, token, &body, context.time() / 8).await;
        let before = server.cpu();
        let (count, mut waits) = ask_all(&server, token, &body, context.time() / 2).await;
        let cpu = per(server.cpu() - before, count);
        context.add(&format!("CPU of {}", asked.name), "us", cpu);
        let p99 = percentile_ms(&mut waits, 0.99);
        context.add(&format!("p99 of {}", asked.name), "ms", p99);
    }
    if context.kind == Kind::Switchboard {
        for length in [20, 100] {
            let raw = raw_page_us(&server, length, context.time() / 4);
            context.add(&format!("raw read of a page of {length}"), "us", raw);
        }
    }
}

/// The statement of a page, without the conditions of rights.
const RAW_PAGE: &str = "select m.id, m.text, m.created_at, u.id, u.name from messages m
    join users u on u.id = m.sender_id where m.room_id = ?1 order by m.seq desc limit ?2";

/// The time of a read of a page from SQLite alone, by this process, in microseconds: the floor of
/// what a page costs. The load's core is idle otherwise.
fn raw_page_us(server: &Server, length: u32, time: Duration) -> f64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(server.database(), flags);
    let database = database.expect("the database of the server");
    let mut page = database.prepare(RAW_PAGE).expect("a statement");
    let (start, mut reads) = (Instant::now(), 0);
    while start.elapsed() < time {
        let text = |row: &rusqlite::Row<'_>| {
            let [id, text, sender, name] = [0, 1, 3, 4].map(|column| row.get::<_, String>(column));
            Ok((id?, text?, row.get::<_, i64>(2)?, sender?, name?))
        };
        let rows = page.query_map(("room-1", length), text).expect("rows");
        let rows: Vec<_> = rows.collect::<Result<_, _>>().expect("rows");
        assert_eq!(rows.len(), length as usize);
        reads += 1;
    }
    per(start.elapsed(), reads)
}

/// Lets all clients ask for this long. Returns the number of answers, and how long each took.
async fn ask_all(
    server: &Server,
    token: Option<&str>,
    body: &str,
    time: Duration,
) -> (u64, Vec<Duration>) {
    let end = Instant::now() + time;
    let clients = (0..CLIENTS).map(|_| async {
        let mut http = Http::connect(server.address, token)
            .await
            .expect("a connection");
        let mut waits = Vec::new();
        while Instant::now() < end {
            let asked = Instant::now();
            let answer = http.exchange(body).await.expect("an answer");
            waits.push(asked.elapsed());
            assert!(answer.starts_with(b"{\"data\":{"), "an error");
        }
        waits
    });
    let waits: Vec<Duration> = futures::future::join_all(clients).await.concat();
    (waits.len() as u64, waits)
}

/// Measures writes by 1, 16 and 64 clients: over HTTP, and as operations of one WebSocket.
pub(super) async fn sends(mut context: Context<'_>) {
    if context.kind == Kind::Broadcast {
        return;
    }
    for clients in [1, 16, 64] {
        let server = context.server().await;
        let token = token(&server).await;
        let name = format!("{clients} over HTTP");
        let before = server.cpu();
        let waits = send_over_http(&server, token.as_deref(), clients, context.time() / 2).await;
        add_sends(&mut context, &server, &name, before, waits);
        if context.kind == Kind::Durable {
            continue;
        }
        let name = format!("{clients} over one WebSocket");
        let before = server.cpu();
        let waits =
            send_over_websocket(&server, token.as_deref(), clients, context.time() / 2).await;
        add_sends(&mut context, &server, &name, before, waits);
    }
}

fn add_sends(
    context: &mut Context<'_>,
    server: &Server,
    name: &str,
    before: Duration,
    mut waits: Vec<Duration>,
) {
    let cpu = per(server.cpu() - before, waits.len() as u64);
    context.add(&format!("CPU of sendMessage, {name}"), "us", cpu);
    for (part, at) in [("p50", 0.5), ("p99", 0.99)] {
        let wait = percentile_ms(&mut waits, at);
        context.add(&format!("{part} of sendMessage, {name}"), "ms", wait);
    }
}

async fn send_over_http(
    server: &Server,
    token: Option<&str>,
    clients: usize,
    time: Duration,
) -> Vec<Duration> {
    let end = Instant::now() + time;
    let clients = (0..clients).map(|_| async {
        let mut http = Http::connect(server.address, token)
            .await
            .expect("a connection");
        let mut waits = Vec::new();
        while Instant::now() < end {
            let asked = Instant::now();
            http.send("room-1", &stamped()).await.expect("an answer");
            waits.push(asked.elapsed());
        }
        waits
    });
    futures::future::join_all(clients).await.concat()
}

/// Keeps this many operations in flight on one socket.
async fn send_over_websocket(
    server: &Server,
    token: Option<&str>,
    in_flight: usize,
    time: Duration,
) -> Vec<Duration> {
    let mut socket = Socket::open(server.address).await.expect("a WebSocket");
    let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
    let init = json!({ "type": "connection_init", "payload": payload.unwrap_or(json!({})) });
    socket.send(&init.to_string()).await.expect("a connection");
    socket.await_text("connection_ack").await.expect("an ack");
    let end = Instant::now() + time;
    let mut started = vec![Instant::now(); in_flight];
    for (id, at) in started.iter_mut().enumerate() {
        *at = Instant::now();
        socket.send(&operation(id)).await.expect("a connection");
    }
    let (mut waits, mut running) = (Vec::new(), in_flight);
    while running > 0 {
        let mut completed = Vec::new();
        let open = socket
            .receive(|text| {
                let message: Value = serde_json::from_slice(text).expect("JSON");
                assert!(message["type"] != "error", "{message}");
                if message["type"] == "complete" {
                    let id = message["id"].as_str().and_then(|id| id.parse().ok());
                    completed.push(id.expect("a number"));
                }
            })
            .await;
        assert!(open.is_ok_and(|open| open), "the socket closed");
        for id in completed {
            let started: &mut Instant = &mut started[id];
            waits.push(started.elapsed());
            if Instant::now() < end {
                *started = Instant::now();
                socket.send(&operation(id)).await.expect("a connection");
            } else {
                running -= 1;
            }
        }
    }
    waits
}

fn operation(id: usize) -> String {
    let query = "mutation($room:ID!,$text:String!){sendMessage(roomId:$room,text:$text){id}}";
    let variables = json!({ "room": "room-1", "text": stamped() });
    let payload = json!({ "query": query, "variables": variables });
    json!({ "id": id.to_string(), "type": "subscribe", "payload": payload }).to_string()
}
