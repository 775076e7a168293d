//! One address attacks the memory of the server over every transport at once. The process has a
//! small address space, so it would abort if it held all that it is asked for. Clients at another
//! address are served meanwhile.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use axum::http::Method;
use h2::client::ResponseFuture;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::MaybeTlsStream;

use crate::{
    crash::{BINARY, Process, token},
    http2::Http2,
    support::{
        Folder,
        client::Client,
        http::{UPGRADE, request, request_text},
    },
};

/// The address space of the process in KiB. An idle server takes about a fifth of it.
const ADDRESS_SPACE_KIB: u32 = 900_000;

/// A query whose answer has about 7 MB.
fn large() -> String {
    let fields: String = (0..9)
        .map(|n| format!("a{n}: messages(roomId: \"room-1\", last: 100) {{ nodes {{ text }} }} "))
        .collect();
    format!("{{ {fields} }}")
}

fn body() -> String {
    json!({ "query": large() }).to_string()
}

/// The connections of an attack. They stay open until this is dropped.
#[derive(Default)]
struct Attack {
    streams: Vec<TcpStream>,
    http2: Vec<(Http2, Vec<ResponseFuture>)>,
}

impl Attack {
    /// Sends bytes on a new connection, and reads nothing.
    async fn send(&mut self, address: SocketAddr, bytes: &[u8]) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may refuse the connection.
        let _ = stream.write_all(bytes).await;
        self.streams.push(stream);
    }

    /// Asks for large answers over HTTP/1.1, in one form.
    async fn answers(&mut self, address: SocketAddr, accept: &str) {
        let headers = [("content-type", "application/json"), ("accept", accept)];
        let text = request_text(address, "POST", "/graphql", &headers, &body());
        for _ in 0..60 {
            self.send(address, text.as_bytes()).await;
        }
    }

    /// Asks for large answers on the streams of HTTP/2 connections.
    async fn http2_answers(&mut self, address: SocketAddr) {
        for _ in 0..8 {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut connection = Http2::over_stream(stream, address).await;
            let mut responses = Vec::new();
            for _ in 0..100 {
                let request = connection
                    .request(Method::POST, "/graphql")
                    .header("content-type", "application/json")
                    .body(())
                    .unwrap();
                let (response, mut sender) = connection.send(request, false);
                let _ = sender.send_data(body().into_bytes().into(), true);
                responses.push(response);
            }
            self.http2.push((connection, responses));
        }
    }

    /// Sends queries on WebSockets. Their results are not read.
    async fn websocket_queries(&mut self, address: SocketAddr) {
        for _ in 0..20 {
            let mut bytes = upgrade(address);
            bytes.extend(text_frame(r#"{"type":"connection_init"}"#, 0));
            for id in 0..50 {
                let subscribe = json!({ "type": "subscribe", "id": id.to_string(),
                    "payload": { "query": large() } });
                bytes.extend(text_frame(&subscribe.to_string(), 0));
            }
            self.send(address, &bytes).await;
        }
    }

    /// Sends all but the end of long WebSocket messages and of long bodies.
    async fn unfinished(&mut self, address: SocketAddr) {
        let text = "x".repeat(200_000);
        let mut message = upgrade(address);
        message.extend(text_frame(&text, 1000));
        let whole = request_text(
            address,
            "POST",
            "/graphql",
            &[("content-type", "application/json")],
            &text,
        );
        let body = &whole.as_bytes()[..whole.len() - 1000];
        for _ in 0..200 {
            self.send(address, &message).await;
            self.send(address, body).await;
        }
    }

    /// Reserves event streams, and starts queries whose answers wait there.
    async fn reservations(&mut self, address: SocketAddr) {
        let mut starting = JoinSet::new();
        for _ in 0..100 {
            starting.spawn(async move {
                let reserved = request(address, "PUT", "/graphql", &[], "").await;
                let token = reserved.body.trim().to_owned();
                let headers = [
                    ("content-type", "application/json"),
                    ("x-graphql-event-stream-token", token.as_str()),
                ];
                let start = json!({ "query": large(), "extensions": { "operationId": "1" } });
                request_text(address, "POST", "/graphql", &headers, &start.to_string())
            });
        }
        for start in starting.join_all().await {
            self.send(address, start.as_bytes()).await;
        }
    }
}

fn upgrade(address: SocketAddr) -> Vec<u8> {
    request_text(address, "GET", "/graphql", &UPGRADE, "").into_bytes()
}

/// A masked text frame of a client, without its last bytes.
fn text_frame(text: &str, missing: usize) -> Vec<u8> {
    let length = u64::try_from(text.len()).unwrap();
    let mut frame = vec![0x81, 0xff];
    frame.extend(length.to_be_bytes());
    // A mask of zeros leaves the text as it is.
    frame.extend([0; 4]);
    frame.extend(&text.as_bytes()[..text.len() - missing]);
    frame
}

/// A client at another address than the attackers.
async fn other_client(server: SocketAddr, token: &str) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = MaybeTlsStream::Plain(socket.connect(server).await.unwrap());
    Client::over_stream(stream, &server.to_string(), Some(token)).await
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn no_attack_of_one_address_fills_the_memory_or_stops_the_others() {
    let folder = Folder::new();
    let mut shell = Command::new("sh");
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$0\" \"$@\"");
    shell.args(["-c", &limited, BINARY]);
    let process = Process::run(
        shell,
        &folder,
        &["--listen", "127.0.0.1:0"],
        Stdio::inherit(),
    );
    let server = process.address;
    let token = token(server).await;
    let mut ann = other_client(server, &token).await;
    for _ in 0..100 {
        ann.send_message("room-1", &"x".repeat(8000)).await;
    }
    let mut reader = other_client(server, &token).await;
    let head = reader.head("room-1").await;
    reader.subscribe("room-1", &head).await;
    let mut attack = Attack::default();
    for phase in 0..7 {
        match phase {
            0 => attack.answers(server, "application/json").await,
            1 => attack.answers(server, "text/event-stream").await,
            2 => {
                let multipart = "multipart/mixed;subscriptionSpec=1.0";
                attack.answers(server, multipart).await;
            }
            3 => attack.http2_answers(server).await,
            4 => attack.websocket_queries(server).await,
            5 => attack.unfinished(server).await,
            _ => attack.reservations(server).await,
        }
        let text = format!("message {phase}");
        ann.send_message("room-1", &text).await;
        assert_eq!(reader.next_message().await.0, text);
        assert!(!ann.head("room-1").await.is_empty());
    }
    drop(attack);
    process.kill();
}
