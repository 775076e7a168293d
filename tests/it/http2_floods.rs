//! Malicious HTTP/2 clients, frame by frame, over TCP and over TLS. Some limits are enforced by the
//! HTTP/2 library and others by this server.

use axum::http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream,
    tungstenite::{Bytes, Message},
};

use crate::{
    http2::Http2,
    support::{
        app::TestApp,
        client::Closed,
        endpoint::{Transport, over_tcp_and_tls},
        wait_for,
    },
};

over_tcp_and_tls!(
    t3_streams_that_are_reset_immediately_end_the_connection,
    t3_endless_headers_end_the_connection,
    t3_empty_data_frames_end_the_connection,
    t3_headers_that_are_too_long_are_431,
    t3_incomplete_headers_end_the_connection,
    t1_a_flood_of_pings_from_a_client_that_does_not_read_is_ended,
    t1_a_response_that_is_not_taken_is_reset_and_the_connection_continues,
    t3_a_client_that_does_not_answer_goaway_is_disconnected,
    long_or_slow_bodies_are_refused,
    messages_over_http2_are_bounded_too,
);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The id of `INITIAL_WINDOW_SIZE` in a SETTINGS frame.
const WINDOW: [u8; 2] = [0, 4];
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a request without a body, as HPACK literals.
fn head(method: u8, path: &str) -> Vec<u8> {
    let path_length = u8::try_from(path.len()).unwrap();
    [
        &[method, 0x86, 0x41, 9][..],
        b"localhost",
        &[0x44, path_length],
        path.as_bytes(),
    ]
    .concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(GET, path))
}

/// A frame that the server sent.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn code(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A connection that sends only the frames that a test sends.
struct RawClient(MaybeTlsStream<TcpStream>);

impl RawClient {
    /// Connects, and sends the preface and these settings.
    async fn connect(app: &TestApp, settings: &[u8]) -> Self {
        let mut raw = Self(app.endpoint().connect_with_protocol(b"h2").await.unwrap());
        raw.send(
            &[
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                &frame(SETTINGS, 0, 0, settings)[..],
            ]
            .concat(),
        )
        .await;
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// The next frame, or `None` at the end of the connection.
    async fn next_frame(&mut self) -> Option<Frame> {
        let mut start = [0; 9];
        wait_for("a frame", self.0.read_exact(&mut start))
            .await
            .ok()?;
        let [a, b, c, kind, flags, stream @ ..] = start;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }

    /// Skips frames until one matches. Panics if the connection ends before.
    async fn wait_for_frame(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next_frame().await.expect("the connection ended");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Waits until the server ends the connection with an error. Returns the code and the text of
    /// its GOAWAY.
    async fn goaway(&mut self) -> (u32, String) {
        let goaway = self
            .wait_for_frame(|frame| frame.kind == GOAWAY && frame.code(4) != 0)
            .await;
        (
            goaway.code(4),
            String::from_utf8(goaway.payload[8..].to_vec()).unwrap(),
        )
    }

    /// Waits for the pong of a ping, and thereby until the server has handled all frames before it.
    async fn fence(&mut self) {
        self.send(&frame(PING, 0, 0, b"a fence!")).await;
        self.wait_for_frame(|frame| {
            frame.kind == PING && frame.flags == ACK && frame.payload == b"a fence!"
        })
        .await;
    }
}

async fn t3_streams_that_are_reset_immediately_end_the_connection(transport: Transport) {
    let app = TestApp::start_over(transport, &[]).await;
    let mut raw = RawClient::connect(&app, &[]).await;
    let reset = |stream| {
        [
            get(stream, "/healthz"),
            frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()),
        ]
        .concat()
    };
    let flood: Vec<u8> = (0..500).flat_map(|number| reset(2 * number + 1)).collect();
    let _ = raw.try_send(&flood).await;
    assert_eq!(
        raw.goaway().await,
        (ENHANCE_YOUR_CALM, "too_many_resets".to_owned())
    );
    drop(raw);
    app.finish().await;
}

async fn t3_endless_headers_end_the_connection(transport: Transport) {
    let app = TestApp::start_over(transport, &[]).await;
    let mut raw = RawClient::connect(&app, &[]).await;
    let flood = [
        frame(HEADERS, END_STREAM, 1, &head(GET, "/healthz")),
        frame(CONTINUATION, 0, 1, b"").repeat(50),
    ];
    let _ = raw.try_send(&flood.concat()).await;
    assert_eq!(
        raw.goaway().await,
        (ENHANCE_YOUR_CALM, "too_many_continuations".to_owned())
    );
    drop(raw);
    app.finish().await;
}

async fn t3_empty_data_frames_end_the_connection(transport: Transport) {
    let app = TestApp::start_over(transport, &[]).await;
    let mut raw = RawClient::connect(&app, &[]).await;
    // The server waits for the body, so the stream stays open while the frames arrive.
    let json = [&[0x5f, 16][..], b"application/json"].concat();
    let head = [head(POST, "/graphql"), json].concat();
    let flood = [
        frame(HEADERS, END_HEADERS, 1, &head),
        frame(DATA, 0, 1, b"").repeat(1_000),
    ]
    .concat();
    let _ = raw.try_send(&flood).await;
    assert_eq!(
        raw.goaway().await,
        (ENHANCE_YOUR_CALM, "too_many_data_frames".to_owned())
    );
    drop(raw);
    app.finish().await;
}

async fn t3_headers_that_are_too_long_are_431(transport: Transport) {
    let app = TestApp::start_over(transport, &["--header-bytes-max", "8192"]).await;
    let mut http2 = Http2::connect(app.endpoint()).await;
    for (bytes, status) in [(7_000, 200), (9_000, 431)] {
        let request = http2
            .request(Method::GET, "/healthz")
            .header("x-pad", "x".repeat(bytes))
            .body(())
            .unwrap();
        let (response, _) = http2.send(request, true);
        assert_eq!(
            wait_for("a response", response).await.unwrap().status(),
            status
        );
    }
    drop(http2);
    app.finish().await;
}

async fn t3_incomplete_headers_end_the_connection(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &["--ping-interval", "100ms", "--pong-timeout", "200ms"],
    )
    .await;
    let mut raw = RawClient::connect(&app, &[]).await;
    raw.send(&get(1, "/healthz")).await;
    raw.wait_for_frame(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0)
        .await;
    // Within a header block no other frame may be sent, so the client cannot answer a ping either.
    raw.send(&frame(HEADERS, END_STREAM, 3, &head(GET, "/healthz")))
        .await;
    while raw.next_frame().await.is_some() {}
    drop(raw);
    app.finish().await;
}

async fn t1_a_flood_of_pings_from_a_client_that_does_not_read_is_ended(transport: Transport) {
    let app = TestApp::start_over(transport, &["--write-timeout", "1s"]).await;
    let flood = frame(PING, 0, 0, b"unread!!");
    let mut raw = RawClient::connect(&app, &[]).await;
    let (flood, most) = (flood.repeat(10_000), 1_000);
    let mut sent = 0;
    // A server that queued an answer for each ping would read all of this.
    while sent < most && wait_for("room to send", raw.try_send(&flood)).await.is_ok() {
        sent += 1;
    }
    assert!(
        sent < most,
        "the server kept reading from a client that reads nothing"
    );
    drop(raw);
    app.client(None).await.close().await;
    app.finish().await;
}

async fn t1_a_response_that_is_not_taken_is_reset_and_the_connection_continues(
    transport: Transport,
) {
    let app = TestApp::start_over(transport, &["--write-timeout", "300ms"]).await;
    let no_window = [&WINDOW[..], &[0, 0, 0, 0]].concat();
    let mut raw = RawClient::connect(&app, &no_window).await;
    raw.fence().await;
    // A short response, and a stream that never ends.
    let subscription = "/graphql?query=subscription%7BnewMessage(roomId:%22room-1%22)%7Btext%7D%7D";
    let stream = [&[0x53, 17][..], b"text/event-stream"].concat();
    let streaming = [head(GET, subscription), stream].concat();
    raw.send(&get(1, "/healthz")).await;
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &streaming))
        .await;
    for _ in 0..2 {
        let reset = raw.wait_for_frame(|frame| frame.kind == RST_STREAM).await;
        assert_eq!(reset.code(0), CANCEL);
    }
    let given_back = async {
        while app.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("the end of the stream", given_back).await;
    raw.fence().await;
    drop(raw);
    app.finish().await;
}

async fn t3_a_client_that_does_not_answer_goaway_is_disconnected(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &["--idle-timeout", "200ms", "--pong-timeout", "300ms"],
    )
    .await;
    let mut raw = RawClient::connect(&app, &[]).await;
    raw.send(&get(1, "/healthz")).await;
    // The server sends GOAWAY, and a ping that must be answered before it closes the connection.
    let goaway = raw.wait_for_frame(|frame| frame.kind == GOAWAY).await;
    assert_eq!(goaway.code(4), 0);
    while raw.next_frame().await.is_some() {}
    drop(raw);
    app.finish().await;
}

async fn long_or_slow_bodies_are_refused(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &["--body-bytes-max", "1000", "--body-timeout", "200ms"],
    )
    .await;
    let mut http2 = Http2::connect(app.endpoint()).await;
    for (bytes, status) in [(1_001, 413), (10, 408)] {
        let request = http2
            .request(Method::POST, "/graphql")
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let (response, mut body) = http2.send(request, false);
        body.send_data(Bytes::from(vec![b'x'; bytes]), false)
            .unwrap();
        assert_eq!(
            wait_for("a response", response).await.unwrap().status(),
            status
        );
    }
    // The connection continues.
    let mut socket = http2.socket().await;
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.try_receive().await, Ok(json!({ "type": "pong" })));
    drop((http2, socket));
    app.finish().await;
}

async fn messages_over_http2_are_bounded_too(transport: Transport) {
    use futures::SinkExt;
    let flags = [
        "--message-bytes-max",
        "4096",
        "--messages-per-second-max",
        "1",
        "--messages-burst-max",
        "20",
    ];
    let app = TestApp::start_over(transport, &flags).await;
    let mut http2 = Http2::connect(app.endpoint()).await;
    let mut long = http2.socket().await;
    long.0.send(Message::text("x".repeat(4097))).await.unwrap();
    assert_eq!(
        long.try_receive().await,
        Err(Closed(1009, "Message too big".to_owned()))
    );
    let mut many = http2.socket().await;
    for _ in 0..20 {
        many.send(json!({ "type": "ping" })).await;
        assert_eq!(many.try_receive().await, Ok(json!({ "type": "pong" })));
    }
    for _ in 0..1_000 {
        many.send(json!({ "type": "ping" })).await;
        if let Err(closed) = many.try_receive().await {
            assert_eq!(closed, Closed(1013, "Too many messages".to_owned()));
            drop((http2, long, many));
            return drop(app.finish().await);
        }
    }
    panic!("a thousand messages were accepted");
}
