//! Bytes that wait for clients that do not read: they are bounded for each address.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    app::TestApp,
    http::{Reply, UPGRADE, get, post, request_text},
    stream::StreamedResponse,
    wait_for,
};

/// A query whose answer has about 4 MB, which is more than the system buffers for a connection.
fn large() -> String {
    let fields: String = (0..6)
        .map(|n| format!("a{n}: messages(roomId: \"room-1\", last: 100) {{ nodes {{ text }} }} "))
        .collect();
    json!({ "query": format!("{{ {fields} }}") }).to_string()
}

/// A server with a limit of 6 MB for each address, and enough long messages for [`large`].
async fn app() -> TestApp {
    let limits = ["--waiting-bytes-per-address-max", "6000000"];
    let app = TestApp::with_flags(&limits).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    for _ in 0..100 {
        ann.send_message("room-1", &"x".repeat(8000)).await;
    }
    drop(ann);
    app
}

/// Sends the large query over a connection, and reads only the begin of the answer.
async fn ask_without_reading(app: &TestApp, accept: &str) -> TcpStream {
    let headers = [("content-type", "application/json"), ("accept", accept)];
    let text = request_text(app.address(), "POST", "/graphql", &headers, &large());
    let mut stream = app.endpoint().connect_tcp().await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    // The head, and the begin of the data. A stream sends its head before it has any.
    let mut begin = [0; 4000];
    let reading = stream.read_exact(&mut begin);
    wait_for("the answer", reading).await.unwrap();
    assert!(begin.starts_with(b"HTTP/1.1 200"));
    stream
}

/// The status of a request, when it is `wanted`.
async fn wait_for_status(app: &TestApp, body: &str, wanted: u16) -> Reply {
    let asking = async {
        loop {
            let reply = post(app.address(), body, &[]).await;
            if reply.status == wanted {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    wait_for("the status", asking).await
}

#[tokio::test]
async fn unread_answers_are_bounded_for_each_address() {
    let app = app().await;
    let small = json!({ "query": "{ __typename }" }).to_string();
    for accept in ["application/json", "text/event-stream"] {
        let unread = ask_without_reading(&app, accept).await;
        let refused = wait_for_status(&app, &large(), 429).await;
        assert!(
            refused.body.contains("wait for your address"),
            "{}",
            refused.body
        );
        // A short answer is not counted, and a health check is answered.
        assert_eq!(post(app.address(), &small, &[]).await.status, 200);
        assert_eq!(get(app.address(), "/healthz", &[]).await.status, 200);
        drop(unread);
        wait_for_status(&app, &large(), 200).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn answers_that_wait_for_reserved_streams_are_bounded() {
    let app = TestApp::with_flags(&[
        "--waiting-bytes-per-address-max",
        "6000000",
        "--reservation-bytes-max",
        "0",
    ])
    .await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    for _ in 0..100 {
        ann.send_message("room-1", &"x".repeat(8000)).await;
    }
    drop(ann);
    let reply = crate::support::http::request(app.address(), "PUT", "/graphql", &[], "").await;
    let own = ("x-graphql-event-stream-token", reply.body.as_str());
    let mut body: serde_json::Value = serde_json::from_str(&large()).unwrap();
    let mut start = async |id: &str| {
        body["extensions"] = json!({ "operationId": id });
        post(app.address(), &body.to_string(), &[own]).await
    };
    assert_eq!(start("1").await.status, 202);
    let refused = start("2").await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (400, "RATE_LIMITED")
    );
    // When the first answer was read, there is room for another one.
    let sse = ("accept", "text/event-stream");
    let mut stream = StreamedResponse::get(app.address(), "/graphql", &[sse, own]).await;
    for id in ["2", "3"] {
        while !stream.next_event().await.contains("event: next") {}
        while start(id).await.status != 202 {}
    }
    drop(stream);
    app.finish().await;
}

#[tokio::test]
async fn half_a_websocket_message_has_a_deadline() {
    let app = TestApp::with_flags(&["--body-timeout", "200ms"]).await;
    let mut stream = app.endpoint().connect().await.unwrap();
    let head = request_text(app.address(), "GET", "/graphql", &UPGRADE, "");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The first frame of a message, and pings after it, but never its end.
    stream
        .write_all(&[0x01, 0x81, 0, 0, 0, 0, b'{'])
        .await
        .unwrap();
    let pinging = async {
        while stream.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    wait_for("the end of the connection", pinging).await;
    app.finish().await;
}
