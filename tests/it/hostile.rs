//! Malicious and broken clients: the server keeps running and serves others.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{MaybeTlsStream, tungstenite::Message};

use crate::support::{
    app::TestApp,
    client::{Client, Closed},
    endpoint::{Transport, over_tcp_and_tls},
    http, wait_for,
};

// Tests that depend on the bytes on the wire run over TLS too.
over_tcp_and_tls!(
    a_message_at_the_size_limit_is_read_and_a_longer_one_is_refused,
    t1_a_flood_of_protocol_pings_from_a_client_that_does_not_read_is_bounded,
    t1_a_flood_of_websocket_pings_from_a_client_that_does_not_read_is_ended,
    floods_of_control_frames_and_empty_fragments_stall_no_other_client,
    endless_fragments_are_bounded_like_one_message,
    a_client_that_keeps_sending_an_oversized_message_is_disconnected,
    a_client_that_sends_its_request_too_slowly_is_disconnected,
    headers_that_are_too_long_are_refused,
);

#[tokio::test]
async fn half_a_handshake_and_half_a_frame_harm_no_other_client() {
    let app = TestApp::start().await;
    let mut half = Vec::new();
    for bytes in [
        &b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nupgrade: webso"[..],
        b"\0\xff\xfe",
        b"POST /graphql HTTP/1.1\r\n",
    ] {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        half.push(stream);
    }
    let client = Client::open(app.address()).await;
    let mut raw = client.socket.into_inner();
    // A masked text frame that announces 100 bytes and contains three.
    raw.write_all(&[0x81, 0xe4, 1, 2, 3, 4, b'a', b'b', b'c'])
        .await
        .unwrap();
    let mut other = app.client(None).await;
    other.fence().await;
    drop((half, raw, other));
    app.finish().await;
}

#[tokio::test]
async fn deep_json_and_deep_documents_are_refused() {
    let app = TestApp::start().await;
    let deep = "[".repeat(100_000);
    assert_eq!(
        http::post(
            app.address(),
            &format!("{{\"query\":\"{{a}}\",\"variables\":{deep}"),
            &[]
        )
        .await
        .status,
        400
    );
    let body = json!({ "query": format!("{{ a(x: {deep} }}") }).to_string();
    assert_eq!(
        http::post(app.address(), &body, &[]).await.error_code(),
        "TOO_COMPLEX"
    );
    let braces = json!({ "query": "{a".repeat(30_000) }).to_string();
    assert_eq!(
        http::post(app.address(), &braces, &[]).await.error_code(),
        "TOO_COMPLEX"
    );
    let mut client = Client::open(app.address()).await;
    client
        .socket
        .send(Message::text(format!(
            "{{\"type\":\"ping\",\"payload\":{deep}"
        )))
        .await
        .unwrap();
    assert_eq!(
        client.try_receive().await,
        Err(Closed(4400, "Invalid message received".to_owned()))
    );
    drop(client);
    app.finish().await;
}

async fn a_message_at_the_size_limit_is_read_and_a_longer_one_is_refused(transport: Transport) {
    let app = TestApp::start_over(transport, &["--message-bytes-max", "4096"]).await;
    let mut client = app.client(None).await;
    let ping = |bytes: usize| {
        let empty = json!({ "type": "ping", "payload": { "x": "" } })
            .to_string()
            .len();
        json!({ "type": "ping", "payload": { "x": "x".repeat(bytes - empty) } }).to_string()
    };
    client.socket.send(Message::text(ping(4096))).await.unwrap();
    assert_eq!(client.receive().await["type"], "pong");
    client.socket.send(Message::text(ping(4097))).await.unwrap();
    assert_eq!(
        client.try_receive().await,
        Err(Closed(1009, "Message too big".to_owned()))
    );
    drop(client);
    app.finish().await;
}

async fn t1_a_flood_of_protocol_pings_from_a_client_that_does_not_read_is_bounded(
    transport: Transport,
) {
    let app = TestApp::start_over(transport, &["--write-timeout", "500ms"]).await;
    let mut flood = app.client(None).await;
    let ping = json!({ "type": "ping", "payload": { "x": "x".repeat(60_000) } }).to_string();
    // The server stops reading at its limit on unsent replies. Then sending blocks, and the write
    // timeout ends the connection.
    let stuck = async {
        loop {
            if flood
                .socket
                .send(Message::text(ping.clone()))
                .await
                .is_err()
            {
                break;
            }
        }
    };
    wait_for("the end of the flood", stuck).await;
    while let Some(Ok(_)) = wait_for("the rest of the connection", flood.socket.next()).await {}
    let mut other = app.client(None).await;
    other.fence().await;
    drop((flood, other));
    app.finish().await;
}

/// A client's frame, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [
        &[
            first,
            0x80 | u8::try_from(payload.len()).unwrap(),
            0,
            0,
            0,
            0,
        ],
        payload,
    ]
    .concat()
}

/// The connection below a client that was acknowledged.
async fn raw(app: &TestApp) -> MaybeTlsStream<TcpStream> {
    app.client(None).await.socket.into_inner()
}

/// Sends the same bytes up to `times` times, until the server disconnects. Returns how often.
async fn flood(stream: &mut MaybeTlsStream<TcpStream>, bytes: &[u8], times: usize) -> usize {
    let mut sent = 0;
    while sent < times
        && wait_for("room to send", stream.write_all(bytes))
            .await
            .is_ok()
    {
        sent += 1;
    }
    sent
}

async fn t1_a_flood_of_websocket_pings_from_a_client_that_does_not_read_is_ended(
    transport: Transport,
) {
    let app = TestApp::start_over(transport, &["--write-timeout", "4s"]).await;
    let mut stream = raw(&app).await;
    let pings = frame(0x89, &[b'x'; 125]).repeat(1_000);
    // This is more than the buffers hold. A server that queued a pong for each ping would read all
    // of it in time.
    let most = 400;
    assert!(
        flood(&mut stream, &pings, most).await < most,
        "the server kept reading from a client that reads nothing"
    );
    let mut other = app.client(None).await;
    other.fence().await;
    drop((stream, other));
    app.finish().await;
}

async fn floods_of_control_frames_and_empty_fragments_stall_no_other_client(transport: Transport) {
    let app = TestApp::start_over(transport, &[]).await;
    let mut other = app.client(None).await;
    for bytes in [
        frame(0x89, b"").repeat(1_000),
        frame(0x8a, b"unasked").repeat(1_000),
        [
            frame(0x01, b"{"),
            frame(0x00, b"").repeat(1_000),
            frame(0x80, b"}"),
        ]
        .concat(),
    ] {
        let stream = raw(&app).await;
        let (mut reading, mut writing) = tokio::io::split(stream);
        let mut answers = tokio::io::sink();
        // The fragments make an invalid message, so the server may close the connection meanwhile.
        let flood = async {
            for _ in 0..200 {
                if writing.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            other.fence().await;
        };
        tokio::select! {
            () = async { wait_for("the end of the flood", flood).await } => {}
            Ok(_) = tokio::io::copy(&mut reading, &mut answers) => {}
        }
        other.fence().await;
    }
    drop(other);
    app.finish().await;
}

#[tokio::test]
async fn each_fragment_counts_as_a_message() {
    let app = TestApp::with_flags(&[
        "--messages-per-second-max",
        "1",
        "--messages-burst-max",
        "20",
    ])
    .await;
    let too_many = Closed(1013, "Too many messages".to_owned());
    for (fragments, expected) in [(15, None), (60, Some(&too_many))] {
        for piece in [&b""[..], b" "] {
            let mut client = app.client(None).await;
            let stream = client.socket.get_mut();
            // The message is not finished if it has too many fragments.
            let end = if expected.is_none() {
                frame(0x80, b"}")
            } else {
                Vec::new()
            };
            let begin = frame(0x01, br#"{"type":"ping""#);
            stream
                .write_all(&[begin, frame(0x00, piece).repeat(fragments), end].concat())
                .await
                .unwrap();
            match expected {
                None => assert_eq!(client.receive().await, json!({ "type": "pong" })),
                Some(closed) => assert_eq!(client.try_receive().await.as_ref(), Err(closed)),
            }
            drop(client);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn p2_no_pong_follows_the_close() {
    let app = TestApp::with_flags(&[
        "--messages-per-second-max",
        "1",
        "--messages-burst-max",
        "5",
    ])
    .await;
    for last in [frame(0x89, b"?"), frame(0x82, b"binary"), frame(0x81, b"{")] {
        let mut stream = raw(&app).await;
        let pings = frame(0x89, b"?").repeat(3);
        stream
            .write_all(&[pings, last, frame(0x89, b"?").repeat(3)].concat())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let mut received = Vec::new();
        wait_for(
            "the end of the connection",
            stream.read_to_end(&mut received),
        )
        .await
        .unwrap();
        let mut opcodes = Vec::new();
        while let [first, length, ..] = received[..] {
            opcodes.push(first);
            received.drain(..2 + usize::from(length));
        }
        assert_eq!(
            opcodes.iter().position(|opcode| *opcode == 0x88),
            Some(opcodes.len() - 1),
            "{opcodes:x?}"
        );
    }
    app.finish().await;
}

async fn endless_fragments_are_bounded_like_one_message(transport: Transport) {
    let app = TestApp::start_over(transport, &["--message-bytes-max", "4096"]).await;
    let mut client = app.client(None).await;
    let fragments = [
        frame(0x01, &[b'x'; 100]),
        frame(0x00, &[b'x'; 100]).repeat(60),
    ]
    .concat();
    let stream = client.socket.get_mut();
    stream.write_all(&fragments).await.unwrap();
    assert_eq!(
        client.try_receive().await,
        Err(Closed(1009, "Message too big".to_owned()))
    );
    drop(client);
    app.finish().await;
}

async fn a_client_that_keeps_sending_an_oversized_message_is_disconnected(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--message-bytes-max",
            "4096",
            "--linger-bytes-max",
            "1000000",
        ],
    )
    .await;
    let mut client = app.client(None).await;
    let stream = client.socket.get_mut();
    // A text frame that announces 2^40 bytes.
    let head = [0x81, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    stream.write_all(&head).await.unwrap();
    let most = 2_000;
    assert!(
        flood(stream, &[b'x'; 64 * 1024], most).await < most,
        "the server kept reading"
    );
    drop(client);
    app.finish().await;
}

async fn a_client_that_sends_its_request_too_slowly_is_disconnected(transport: Transport) {
    let app = TestApp::start_over(transport, &["--header-timeout", "200ms"]).await;
    let mut connected = app.client(None).await;
    for beginning in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"GET / HT",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n",
    ] {
        let mut stream = app.endpoint().connect().await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        // The server may send a response before it disconnects.
        let _ = wait_for(
            "the end of the slow connection",
            stream.read_to_end(&mut rest),
        )
        .await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
    }
    connected.fence().await;
    drop(connected);
    app.finish().await;
}

async fn headers_that_are_too_long_are_refused(transport: Transport) {
    let app = TestApp::start_over(transport, &["--header-bytes-max", "8192"]).await;
    let (fits, long) = ("x".repeat(7_000), "x".repeat(9_000));
    assert_eq!(
        http::get(app.endpoint(), "/healthz", &[("x-pad", &fits)])
            .await
            .status,
        200
    );
    assert_eq!(
        http::get(app.endpoint(), "/healthz", &[("x-pad", &long)])
            .await
            .status,
        431
    );
    app.finish().await;
}

#[tokio::test]
async fn an_invalid_websocket_handshake_is_refused_with_an_explanation() {
    // Connections that stay open after the response are closed by the header timeout.
    let app = TestApp::with_flags(&["--header-timeout", "500ms"]).await;
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let valid = [
        ("connection", "close, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        key,
    ];
    let without = |name: &str| {
        valid
            .into_iter()
            .filter(|(known, _)| *known != name)
            .collect::<Vec<_>>()
    };
    let with =
        |name: &'static str, value: &'static str| [without(name), vec![(name, value)]].concat();
    for (headers, status, word) in [
        (without("connection"), 400, "Connection"),
        (without("sec-websocket-version"), 426, "13"),
        (with("sec-websocket-version", "8"), 426, "13"),
        (without("sec-websocket-key"), 400, "Key"),
        (with("sec-websocket-key", "c2hvcnQ="), 400, "Key"),
        (
            with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"),
            400,
            "Key",
        ),
    ] {
        let reply = upgrade(app.address(), &headers).await;
        assert!(
            reply.status == status && reply.body.contains(word),
            "{headers:?}: {reply:?}"
        );
    }
    assert_eq!(
        upgrade(app.address(), &without("upgrade")).await.status,
        400,
        "neither a WebSocket nor a query"
    );
    app.finish().await;
}

/// Sends a GET with exactly these headers.
async fn upgrade(address: std::net::SocketAddr, headers: &[(&str, &str)]) -> http::Reply {
    http::exact_request(address, "GET /graphql HTTP/1.1", headers).await
}

#[tokio::test]
async fn thousands_of_operations_can_start_and_end_on_one_connection() {
    let app = TestApp::with_flags(&["--no-rate-limits"]).await;
    let mut client = app.client(None).await;
    for _ in 0..50 {
        let mut ids = std::collections::HashSet::new();
        for _ in 0..100 {
            ids.insert(client.subscribe("room-1", "").await);
        }
        // An empty cursor is refused. The refusals may arrive in any order.
        for _ in 0..100 {
            let error = client.receive().await;
            assert_eq!(error["type"], "error", "{error}");
            assert!(ids.remove(error["id"].as_str().unwrap()));
        }
    }
    client.fence().await;
    drop(client);
    app.finish().await;
}

#[tokio::test]
async fn a_websocket_without_a_known_subprotocol_is_closed_with_4406() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    let request = "GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   sec-websocket-protocol: graphql-sse\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = vec![0; 4096];
    let mut read = 0;
    while !reply[..read]
        .windows(2)
        .any(|bytes| bytes == 4406_u16.to_be_bytes())
    {
        let more = wait_for("a close frame", stream.read(&mut reply[read..]))
            .await
            .unwrap();
        assert_ne!(
            more,
            0,
            "the connection ended without a close frame: {:?}",
            &reply[..read]
        );
        read += more;
    }
    let head = String::from_utf8_lossy(&reply[..read]).to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 101") && !head.contains("sec-websocket-protocol"),
        "{head}"
    );
    drop(stream);
    app.finish().await;
}
