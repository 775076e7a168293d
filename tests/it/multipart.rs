//! Apollo's multipart subscriptions, byte by byte.

use serde_json::json;

use crate::support::{app::TestApp, client::NEW_MESSAGE, http::post, stream::StreamedResponse};

const PARTS: (&str, &str) = (
    "accept",
    r#"multipart/mixed;subscriptionSpec="1.0", application/json"#,
);
const BEGIN: &str = "\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql";

fn part(json: &str) -> String {
    format!("\r\ncontent-type: application/json\r\n\r\n{json}\r\n--graphql")
}

fn subscription(after: Option<&str>) -> String {
    json!({ "query": NEW_MESSAGE, "variables": { "room": "room-1", "after": after } }).to_string()
}

#[tokio::test]
async fn a_subscription_is_streamed_in_parts() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    for accept in [
        PARTS.1,
        "multipart/mixed;subscriptionSpec=1.0",
        r#"multipart/mixed; boundary="graphql"; subscriptionSpec=1.0"#,
        r#"application/json;q=0.9, multipart/mixed;boundary=graphql;subscriptionspec="1.0""#,
    ] {
        let mut stream = StreamedResponse::post(
            app.address(),
            &subscription(Some(&head)),
            &[("accept", accept)],
        )
        .await;
        assert_eq!(stream.status, 200, "{accept}");
        for (name, value) in [
            (
                "content-type",
                r#"multipart/mixed;boundary="graphql";subscriptionSpec=1.0"#,
            ),
            ("transfer-encoding", "chunked"),
            ("content-encoding", ""),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(stream.header(name).unwrap_or_default(), value, "{name}");
        }
        assert_eq!(stream.read_until("{}\r\n--graphql").await, BEGIN);
        if accept == PARTS.1 {
            ann.send_message("room-1", "one").await;
            ann.send_message("room-1", "two").await;
        }
        for text in ["one", "two"] {
            let sent = stream.read_until("--graphql").await;
            let data = format!(r#"{{"newMessage":{{"text":"{text}","sender":{{"name":"ann"}}}}}}"#);
            let cursor = sent
                .split(r#""cursor":""#)
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            let payload =
                format!(r#"{{"payload":{{"data":{data},"extensions":{{"cursor":"{cursor}"}}}}}}"#);
            assert_eq!(sent, part(&payload));
        }
    }
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn a_quiet_stream_sends_empty_parts() {
    let app = TestApp::with_flags(&["--multipart-heartbeat-interval", "20ms"]).await;
    let mut stream = StreamedResponse::post(app.address(), &subscription(None), &[PARTS]).await;
    assert_eq!(stream.read_until("{}\r\n--graphql").await, BEGIN);
    for _ in 0..3 {
        assert_eq!(stream.read_until("--graphql").await, part("{}"));
    }
    drop(stream);
    app.finish().await;
}

#[tokio::test]
async fn a_refused_subscription_is_one_fatal_part() {
    let app = TestApp::start().await;
    for (query, message, code) in [
        (
            "subscription { newMessage(roomId: \"none\") { id } }",
            "There is no such room.",
            "NOT_FOUND",
        ),
        (
            "subscription { newMessage(roomId: \"room-1\", after: \"x\") { id } }",
            "This is not a cursor.",
            "BAD_USER_INPUT",
        ),
    ] {
        let mut stream = StreamedResponse::post(
            app.address(),
            &json!({ "query": query }).to_string(),
            &[PARTS],
        )
        .await;
        let error = format!(r#"{{"message":"{message}","extensions":{{"code":"{code}"}}}}"#);
        let fatal = part(&format!(r#"{{"payload":null,"errors":[{error}]}}"#));
        assert_eq!(
            (stream.status, stream.read_to_end().await),
            (200, format!("{BEGIN}{fatal}--\r\n"))
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn queries_and_mutations_are_answered_as_json_if_the_client_accepts_it() {
    let app = TestApp::start().await;
    let query = json!({ "query": "{ __typename }" }).to_string();
    let reply = post(app.address(), &query, &[PARTS]).await;
    assert_eq!(
        reply.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(reply.json(), json!({ "data": { "__typename": "Query" } }));
    let wrong = post(
        app.address(),
        &json!({ "query": "{ nope }" }).to_string(),
        &[PARTS],
    )
    .await;
    assert_eq!(
        (wrong.status, wrong.error_code().as_str()),
        (200, "GRAPHQL_VALIDATION_FAILED")
    );
    // The client accepts nothing but multipart.
    let only = ("accept", "multipart/mixed;subscriptionSpec=1.0");
    let mut stream = StreamedResponse::post(app.address(), &query, &[only]).await;
    let answer = part(r#"{"payload":{"data":{"__typename":"Query"}}}"#);
    assert_eq!(stream.read_to_end().await, format!("{BEGIN}{answer}--\r\n"));
    // Parts of other protocols are not supported.
    for accept in [
        "multipart/mixed;deferSpec=20220824, application/json",
        "multipart/mixed, application/json",
    ] {
        assert_eq!(
            post(app.address(), &subscription(None), &[("accept", accept)])
                .await
                .status,
            406,
            "{accept}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn a_drain_ends_the_stream_without_the_closing_delimiter() {
    let app = TestApp::start().await;
    let mut stream = StreamedResponse::post(app.address(), &subscription(None), &[PARTS]).await;
    stream.read_until(BEGIN).await;
    app.stop().await;
    assert_eq!(
        stream.read_to_end().await,
        "",
        "a closing delimiter would be final"
    );
}
