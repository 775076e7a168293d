//! HTTP/2, and WebSockets over it (RFC 8441).

use std::net::SocketAddr;

use axum::http::{Method, Request, StatusCode, Version};
use futures::{SinkExt, StreamExt};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    ext::Protocol,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Bytes, Message, protocol::Role},
};

use crate::support::{
    app::TestApp,
    client::{Closed, NEW_MESSAGE},
    endpoint::{Endpoint, Transport, over_tcp_and_tls},
    wait_for,
};

over_tcp_and_tls!(
    websockets_over_http2_are_closed_with_codes_too,
    t3_streams_are_bounded_and_a_connection_without_requests_ends,
    an_idle_connection_ends_and_one_with_a_websocket_stays,
    each_websocket_on_a_connection_counts_as_a_new_connection,
);

/// A client connection of HTTP/2.
pub(crate) struct Http2 {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
    connection: JoinHandle<()>,
}

impl Http2 {
    pub(crate) async fn connect(endpoint: impl Into<Endpoint>) -> Self {
        let endpoint = endpoint.into();
        Self::over_stream(
            endpoint.connect_with_protocol(b"h2").await.unwrap(),
            endpoint.address,
        )
        .await
    }

    /// Starts HTTP/2 on an open stream.
    pub(crate) async fn over_stream<S>(stream: S, address: SocketAddr) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut http2 = Self {
            requests,
            address,
            connection,
        };
        // The first frame of the server is its settings, which say that it accepts WebSockets.
        let settings = async {
            while !http2.requests.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        };
        wait_for("the server's settings", settings).await;
        http2.requests = http2.requests.ready().await.unwrap();
        http2
    }

    pub(crate) fn send(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        self.requests.send_request(request, ends).unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .version(Version::HTTP_2)
    }

    /// Sends a POST with this authorization and returns the JSON of the response.
    pub(crate) async fn post(&mut self, body: &str, authorization: &str) -> Value {
        let request = self
            .request(Method::POST, "/graphql")
            .header("content-type", "application/json");
        let request = request
            .header("authorization", authorization)
            .body(())
            .unwrap();
        let (response, mut sender) = self.send(request, false);
        sender
            .send_data(Bytes::copy_from_slice(body.as_bytes()), true)
            .unwrap();
        let mut answer = wait_for("a response", response).await.unwrap().into_body();
        serde_json::from_slice(
            &wait_for("the body of the response", answer.data())
                .await
                .unwrap()
                .unwrap(),
        )
        .unwrap()
    }

    fn connect_to(
        &mut self,
        path: &str,
        protocol: &'static str,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let connect = self.connect_request(None, path, protocol);
        self.send(connect, false)
    }

    fn connect_request(
        &self,
        page: Option<&str>,
        path: &str,
        protocol: &'static str,
    ) -> Request<()> {
        let mut request = self
            .request(Method::CONNECT, path)
            .extension(Protocol::from_static(protocol))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "soap, graphql-transport-ws")
            .body(())
            .unwrap();
        if let Some(page) = page {
            request
                .headers_mut()
                .insert("origin", page.parse().unwrap());
        }
        request
    }

    /// Opens a WebSocket and sends nothing on it.
    pub(crate) async fn socket(&mut self) -> Socket {
        self.socket_from(None).await
    }

    /// Opens a WebSocket, with the Origin header of a page if one is given.
    async fn socket_from(&mut self, page: Option<&str>) -> Socket {
        let connect = self.connect_request(page, "/graphql", "websocket");
        let (response, sender) = self.send(connect, false);
        let response = wait_for("the response", response).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()["sec-websocket-protocol"],
            "graphql-transport-ws"
        );
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (from_client, to_client) = tokio::io::split(far);
        tokio::spawn(copy_to_server(from_client, sender));
        tokio::spawn(copy_from_server(response.into_body(), to_client));
        Socket(WebSocketStream::from_raw_socket(near, Role::Client, None).await)
    }
}

async fn copy_to_server(mut from: ReadHalf<DuplexStream>, mut to: SendStream<Bytes>) {
    let mut bytes = vec![0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        to.send_data(Bytes::copy_from_slice(&bytes[..read]), false)
            .unwrap();
    }
    let _ = to.send_data(Bytes::new(), true);
}

async fn copy_from_server(mut from: RecvStream, mut to: WriteHalf<DuplexStream>) {
    while let Some(Ok(bytes)) = from.data().await {
        from.flow_control().release_capacity(bytes.len()).unwrap();
        if to.write_all(&bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

pub(crate) struct Socket(pub(crate) WebSocketStream<DuplexStream>);

impl Socket {
    pub(crate) async fn send(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    pub(crate) async fn try_receive(&mut self) -> Result<Value, Closed> {
        match wait_for("a message", self.0.next()).await {
            Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(Closed(frame.code.into(), frame.reason.to_string()))
            }
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// Initializes the connection, subscribes to room-1 after a cursor, and waits until the
    /// subscription is live.
    pub(crate) async fn subscribe(&mut self, after: &str) {
        self.send(json!({ "type": "connection_init" })).await;
        assert_eq!(
            self.try_receive().await,
            Ok(json!({ "type": "connection_ack" }))
        );
        let payload =
            json!({ "query": NEW_MESSAGE, "variables": { "room": "room-1", "after": after } });
        self.send(json!({ "id": "s", "type": "subscribe", "payload": payload }))
            .await;
        assert_eq!(
            self.try_receive().await.unwrap()["payload"]["subscribed"],
            "s"
        );
    }

    pub(crate) async fn next_text(&mut self) -> String {
        let message = self.try_receive().await.unwrap();
        message["payload"]["data"]["newMessage"]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{message}"))
            .to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_websockets_share_one_connection_and_each_receives_everything() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let mut http2 = Http2::connect(app.address()).await;
    let (mut first, mut second) = (http2.socket().await, http2.socket().await);
    first.subscribe(&head).await;
    second.subscribe(&head).await;
    for text in ["one", "two"] {
        ann.send_message("room-1", text).await;
        assert_eq!(
            (
                first.next_text().await.as_str(),
                second.next_text().await.as_str()
            ),
            (text, text)
        );
    }
    // One WebSocket is closed, and the other continues.
    first.0.close(None).await.unwrap();
    while let Some(Ok(_)) = wait_for("the answer to the close", first.0.next()).await {}
    ann.send_message("room-1", &"long ".repeat(1_500)).await;
    assert_eq!(second.next_text().await.len(), 7_500);
    drop((ann, first, second, http2));
    app.finish().await;
}

async fn websockets_over_http2_are_closed_with_codes_too(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &["--drain-window", "50ms", "--message-bytes-max", "4096"],
    )
    .await;
    let mut http2 = Http2::connect(app.endpoint()).await;
    let mut big = http2.socket().await;
    big.send(json!({ "type": "ping", "payload": { "x": "x".repeat(100_000) } }))
        .await;
    assert_eq!(
        big.try_receive().await,
        Err(Closed(1009, "Message too big".to_owned()))
    );
    let mut silent = http2.socket().await;
    let address = app.address();
    let stopping = tokio::spawn(app.stop());
    assert_eq!(
        silent.try_receive().await,
        Err(Closed(1012, "Service restart".to_owned()))
    );
    while let Some(Ok(_)) = wait_for("the end of the socket", silent.0.next()).await {}
    wait_for("the end of the server", stopping).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_of_a_foreign_page_is_closed_over_http2_too() {
    let app = TestApp::start().await;
    let mut http2 = Http2::connect(app.address()).await;
    let own = format!("http://{}", app.address());
    let mut socket = http2.socket_from(Some(&own)).await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(
        socket.try_receive().await,
        Ok(json!({ "type": "connection_ack" }))
    );
    let mut foreign = http2.socket_from(Some("https://evil.example")).await;
    assert_eq!(
        foreign.try_receive().await,
        Err(Closed(4403, "Forbidden".to_owned()))
    );
    drop((socket, foreign, http2));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_run_over_http2_and_other_connect_requests_are_refused() {
    let app = TestApp::start().await;
    let mut http2 = Http2::connect(app.address()).await;
    let request = http2
        .request(Method::POST, "/graphql")
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    let (response, mut body) = http2.send(request, false);
    body.send_data(Bytes::from_static(br#"{"query":"{ __typename }"}"#), true)
        .unwrap();
    let response = wait_for("a response", response).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut answer = response.into_body();
    assert_eq!(
        &answer.data().await.unwrap().unwrap()[..],
        br#"{"data":{"__typename":"Query"}}"#
    );

    let unknown = Request::get("http://evil.example/graphql")
        .version(Version::HTTP_2)
        .body(())
        .unwrap();
    let (response, _) = http2.send(unknown, true);
    assert_eq!(
        wait_for("a refusal", response).await.unwrap().status(),
        StatusCode::MISDIRECTED_REQUEST
    );

    for (path, protocol, status) in [
        ("/graphql", "connect-udp", StatusCode::METHOD_NOT_ALLOWED),
        ("/healthz", "websocket", StatusCode::METHOD_NOT_ALLOWED),
        ("/nowhere", "websocket", StatusCode::NOT_FOUND),
    ] {
        let (response, _) = http2.connect_to(path, protocol);
        assert_eq!(
            wait_for("a refusal", response).await.unwrap().status(),
            status,
            "{protocol} at {path}"
        );
    }
    let request = http2
        .request(Method::CONNECT, "/graphql")
        .extension(Protocol::from_static("websocket"))
        .body(());
    let (response, _) = http2.send(request.unwrap(), false);
    assert_eq!(
        wait_for("a refusal", response).await.unwrap().status(),
        StatusCode::UPGRADE_REQUIRED
    );
    drop((http2, body, answer));
    app.finish().await;
}

async fn t3_streams_are_bounded_and_a_connection_without_requests_ends(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &["--streams-max", "2", "--header-timeout", "300ms"],
    )
    .await;
    let mut http2 = Http2::connect(app.endpoint()).await;
    assert_eq!(http2.requests.current_max_send_streams(), 2);
    let socket = http2.socket().await;
    let mut idle = app.endpoint().connect_with_protocol(b"h2").await.unwrap();
    // The preface and empty settings: a valid connection without requests.
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut all = Vec::new();
    let _ = wait_for(
        "the end of the connection without requests",
        idle.read_to_end(&mut all),
    )
    .await;
    drop((socket, http2));
    app.finish().await;
}

async fn an_idle_connection_ends_and_one_with_a_websocket_stays(transport: Transport) {
    let app = TestApp::start_over(transport, &["--idle-timeout", "300ms"]).await;
    let mut used = Http2::connect(app.endpoint()).await;
    let mut socket = used.socket().await;
    let mut unused = Http2::connect(app.endpoint()).await;
    let request = unused.request(Method::GET, "/healthz").body(()).unwrap();
    let (response, _) = unused.send(request, true);
    assert_eq!(
        wait_for("a response", response).await.unwrap().status(),
        StatusCode::OK
    );
    // This connection began after the one with the WebSocket, whose idle timeout is over too by
    // now.
    wait_for("the end of the idle connection", unused.connection)
        .await
        .unwrap();
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.try_receive().await, Ok(json!({ "type": "pong" })));
    drop((socket, used));
    app.finish().await;
}

async fn each_websocket_on_a_connection_counts_as_a_new_connection(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--connects-per-second-per-address-max",
            "1",
            "--connects-burst-max",
            "10",
        ],
    )
    .await;
    let mut http2 = Http2::connect(app.endpoint()).await;
    // The connection itself was the first of the ten. The library allows only so many at the same
    // time.
    let mut sockets = Vec::new();
    for _ in 0..9 {
        sockets.push(http2.socket().await);
        sockets
            .last_mut()
            .unwrap()
            .send(json!({ "type": "ping" }))
            .await;
        assert_eq!(
            sockets.last_mut().unwrap().try_receive().await,
            Ok(json!({ "type": "pong" }))
        );
    }
    for _ in 0..1_000 {
        let mut socket = http2.socket().await;
        socket.send(json!({ "type": "ping" })).await;
        if let Err(closed) = socket.try_receive().await {
            assert_eq!(closed, Closed(1013, "Too many connections".to_owned()));
            drop((sockets, socket, http2));
            return drop(app.finish().await);
        }
    }
    panic!("a thousand WebSockets were accepted");
}
