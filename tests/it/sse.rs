//! graphql-sse in distinct connections mode, byte by byte, and its extension: resuming with
//! `Last-Event-ID`.

use serde_json::json;

use crate::support::{
    app::TestApp,
    client::{Client, NEW_MESSAGE},
    http::{self, get, post, request},
    stream::StreamedResponse,
    wait_for,
};

const SSE: (&str, &str) = ("accept", "text/event-stream");

/// A GET target that subscribes to room-1.
const BY_GET: &str = "/graphql?query=subscription%7BnewMessage(roomId%3A%22room-1%22)%7Btext%7D%7D";

fn subscription(room: &str, after: Option<&str>) -> String {
    json!({ "query": NEW_MESSAGE, "variables": { "room": room, "after": after } }).to_string()
}

fn text(result: &serde_json::Value) -> &str {
    result["data"]["newMessage"]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{result}"))
}

/// A client that sends messages, and the head of room-1 before any of them.
async fn writer(app: &TestApp) -> (Client, String) {
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    (ann, head)
}

#[tokio::test]
async fn a_subscription_is_streamed_in_the_format_of_the_protocol() {
    let app = TestApp::start().await;
    let (mut ann, head) = writer(&app).await;
    let mut stream =
        StreamedResponse::post(app.address(), &subscription("room-1", Some(&head)), &[SSE]).await;
    assert_eq!(stream.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("connection", "keep-alive"),
        ("content-encoding", "none"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(stream.header(name), Some(value), "{name}");
    }
    assert_eq!(
        stream.read_until(":\n\n").await,
        ":\n\n",
        "the first bytes are sent at once"
    );
    let cursor = ann.send_message("room-1", "hello").await;
    let payload = format!(
        r#"{{"data":{{"newMessage":{{"text":"hello","sender":{{"name":"ann"}}}}}},"extensions":{{"cursor":"{cursor}"}}}}"#
    );
    let expected = format!("id: {cursor}\nevent: next\ndata: {payload}\n\n");
    assert_eq!(stream.read_until("\n\n").await, expected);
    drop((stream, ann));
    app.finish().await;
}

#[tokio::test]
async fn queries_and_mutations_are_streamed_and_completed() {
    let app = TestApp::start().await;
    let query = json!({ "query": "{ __typename }" }).to_string();
    let mut stream = StreamedResponse::post(app.address(), &query, &[SSE]).await;
    let expected = ":\n\nid: end\nevent: next\ndata: {\"data\":{\"__typename\":\"Query\"}}\n\nevent: complete\ndata:\n\n";
    assert_eq!(stream.read_to_end().await, expected);
    let mut stream =
        StreamedResponse::get(app.address(), "/graphql?query=%7B__typename%7D", &[SSE]).await;
    assert_eq!(stream.read_to_end().await, expected);
    let mutation =
        json!({ "query": "mutation { signIn(name: \"x\") { viewer { name } } }" }).to_string();
    let (result, _) = StreamedResponse::post(app.address(), &mutation, &[SSE])
        .await
        .next_result()
        .await;
    assert_eq!(
        result,
        json!({ "data": { "signIn": { "viewer": { "name": "x" } } } })
    );
    app.finish().await;
}

#[tokio::test]
async fn last_event_id_resumes_a_stream_and_overrides_after() {
    let app = TestApp::start().await;
    let (mut ann, head) = writer(&app).await;
    let first = ann.send_message("room-1", "1").await;
    let second = ann.send_message("room-1", "2").await;
    let third = ann.send_message("room-1", "3").await;
    // `after` is absent, a variable, and a literal. The header overrides all of them.
    let literal =
        format!("subscription {{ newMessage(roomId: \"room-1\", after: \"{head}\") {{ text }} }}");
    for body in [
        subscription("room-1", None),
        subscription("room-1", Some(&head)),
        subscription("room-1", Some(&third)),
        json!({ "query": literal }).to_string(),
    ] {
        let mut stream =
            StreamedResponse::post(app.address(), &body, &[SSE, ("last-event-id", &first)]).await;
        let (result, id) = stream.next_result().await;
        assert_eq!(
            (text(&result), id.as_deref()),
            ("2", Some(second.as_str())),
            "{body}"
        );
        assert_eq!(text(&stream.next_result().await.0), "3");
    }
    let mut stream =
        StreamedResponse::get(app.address(), BY_GET, &[SSE, ("last-event-id", &second)]).await;
    assert_eq!(text(&stream.next_result().await.0), "3");
    drop((stream, ann));
    app.finish().await;
}

#[tokio::test]
async fn an_invalid_last_event_id_is_refused_and_the_final_one_is_204() {
    let app = TestApp::start().await;
    let mut stream =
        StreamedResponse::get(app.address(), BY_GET, &[SSE, ("last-event-id", "junk")]).await;
    let (result, id) = stream.next_result().await;
    assert_eq!(
        (
            result["errors"][0]["extensions"]["code"].as_str(),
            id.as_deref()
        ),
        (Some("BAD_USER_INPUT"), Some("end"))
    );
    assert_eq!(stream.read_to_end().await, "event: complete\ndata:\n\n");
    // An EventSource reconnects with this id, and 204 stops it.
    let reply = get(app.address(), BY_GET, &[SSE, ("last-event-id", "end")]).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    let mutation = json!({ "query": "mutation { signIn(name: \"x\") { token } }" }).to_string();
    assert_eq!(
        post(app.address(), &mutation, &[SSE, ("last-event-id", "end")])
            .await
            .status,
        204
    );
    // Requests that do not accept a stream ignore the header.
    let query = json!({ "query": "{ __typename }" }).to_string();
    assert_eq!(
        post(app.address(), &query, &[("last-event-id", "end")])
            .await
            .status,
        200
    );
    app.finish().await;
}

#[tokio::test]
async fn an_operation_that_cannot_run_is_one_next_with_errors_and_complete() {
    let app = TestApp::start().await;
    for (query, code) in [
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "subscription { newMessage(roomId: \"none\") { id } }",
            "NOT_FOUND",
        ),
        (
            "subscription { newMessage(roomId: \"room-1\", after: \"x\") { id } }",
            "BAD_USER_INPUT",
        ),
        (
            "query ($id: ID!) { room(id: $id) { id } }",
            "BAD_USER_INPUT",
        ),
        (
            "query A { __typename } query B { __typename }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let mut stream = StreamedResponse::post(
            app.address(),
            &json!({ "query": query }).to_string(),
            &[SSE],
        )
        .await;
        assert_eq!(stream.status, 200);
        let (result, id) = stream.next_result().await;
        assert_eq!(result["errors"][0]["extensions"]["code"], code, "{query}");
        assert!(result.get("data").is_none() && id.as_deref() == Some("end"));
        assert_eq!(
            stream.read_to_end().await,
            "event: complete\ndata:\n\n",
            "{query}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn a_request_refused_before_its_stream_is_json_with_a_status() {
    let app = TestApp::start().await;
    let json_of = |reply: &http::Reply| {
        reply
            .header("content-type")
            .unwrap()
            .starts_with("application/json")
    };
    let reply = post(app.address(), &json!({ "query": "{" }).to_string(), &[SSE]).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str(), json_of(&reply)),
        (400, "GRAPHQL_PARSE_FAILED", true)
    );
    let mutation = "/graphql?query=mutation%7BsignIn(name%3A%22x%22)%7Btoken%7D%7D";
    let reply = get(app.address(), mutation, &[SSE]).await;
    assert_eq!(
        (reply.status, reply.header("allow"), json_of(&reply)),
        (405, Some("POST"), true)
    );
    let reply = get(app.address(), BY_GET, &[SSE, ("authorization", "Bearer x")]).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str(), json_of(&reply)),
        (401, "UNAUTHENTICATED", true)
    );
    assert_eq!(post(app.address(), "junk", &[SSE]).await.status, 400);
    let plain = request(
        app.address(),
        "POST",
        "/graphql",
        &[SSE, ("content-type", "text/plain")],
        "{}",
    )
    .await;
    assert_eq!(plain.status, 415);
    app.finish().await;
}

#[tokio::test]
async fn the_accept_header_decides_how_an_operation_is_answered() {
    let app = TestApp::start().await;
    let query = json!({ "query": "{ __typename }" }).to_string();
    for (accept, media) in [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
        ("application/json, text/event-stream", "application/json"),
        ("text/event-stream;q=0, */*", "application/json"),
    ] {
        let reply = post(app.address(), &query, &[("accept", accept)]).await;
        assert_eq!(
            reply.header("content-type").unwrap().split(';').next(),
            Some(media),
            "{accept}"
        );
    }
    // A subscription is always answered by a stream, whatever its position in `Accept`.
    let body = subscription("room-1", None);
    let stream = StreamedResponse::post(
        app.address(),
        &body,
        &[("accept", "application/json, text/event-stream;q=0.1")],
    )
    .await;
    assert_eq!(
        (stream.status, stream.header("content-type")),
        (200, Some("text/event-stream; charset=utf-8"))
    );
    drop(stream);
    for accept in [
        "application/json",
        "*/*",
        "text/event-stream;q=0, */*",
        "text/event-stream;q=0, application/json",
    ] {
        let reply = post(app.address(), &body, &[("accept", accept)]).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (406, "BAD_USER_INPUT"),
            "{accept}"
        );
        for named in [
            "text/event-stream",
            "multipart/mixed;subscriptionSpec=1.0",
            "graphql-transport-ws",
        ] {
            assert!(reply.body.contains(named), "{named}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn a_quiet_stream_sends_heartbeats() {
    let app = TestApp::with_flags(&["--heartbeat-interval", "20ms"]).await;
    let mut stream = StreamedResponse::get(app.address(), BY_GET, &[SSE]).await;
    for _ in 0..5 {
        assert_eq!(stream.read_until("\n\n").await, ":\n\n");
    }
    drop(stream);
    app.finish().await;
}

#[tokio::test]
async fn streams_count_as_connections_and_those_beyond_the_limit_are_503() {
    let app = TestApp::with_flags(&["--connections-max", "1"]).await;
    let stream = StreamedResponse::get(app.address(), BY_GET, &[SSE]).await;
    let reply = get(app.address(), BY_GET, &[SSE]).await;
    assert_eq!(
        (
            reply.status,
            reply.error_code().as_str(),
            reply.header("retry-after")
        ),
        (503, "UNAVAILABLE", Some("1"))
    );
    assert_eq!(
        post(
            app.address(),
            &json!({ "query": "{ __typename }" }).to_string(),
            &[]
        )
        .await
        .status,
        200
    );
    drop(stream);
    app.finish().await;
}

#[tokio::test]
async fn a_drain_ends_streams_without_complete_and_they_resume() {
    let app = TestApp::start().await;
    let (mut ann, head) = writer(&app).await;
    let mut stream =
        StreamedResponse::post(app.address(), &subscription("room-1", Some(&head)), &[SSE]).await;
    ann.send_message("room-1", "before").await;
    let (result, id) = stream.next_result().await;
    assert_eq!(text(&result), "before");
    let folder = app.stop().await;
    assert_eq!(
        stream.read_to_end().await,
        "",
        "a `complete` would be final"
    );

    let app = TestApp::in_folder(folder, &[]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    ann.send_message("room-1", "after").await;
    let mut stream = StreamedResponse::get(
        app.address(),
        BY_GET,
        &[SSE, ("last-event-id", &id.unwrap())],
    )
    .await;
    assert_eq!(text(&stream.next_result().await.0), "after");
    drop((stream, ann));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_reads_nothing_is_disconnected_and_an_idle_one_is_not() {
    let app =
        TestApp::with_flags(&["--write-timeout", "300ms", "--heartbeat-interval", "0s"]).await;
    let (mut ann, head) = writer(&app).await;
    let mut idle =
        StreamedResponse::post(app.address(), &subscription("room-1", None), &[SSE]).await;
    let stuck =
        StreamedResponse::post(app.address(), &subscription("room-1", Some(&head)), &[SSE]).await;
    // This is more than the buffers hold.
    let bulk = "x".repeat(8000);
    let cut_off = async {
        while app.connections() > 2 {
            let cursor = ann.send_message("room-1", &bulk).await;
            // The client that reads has everything, however far the other one is behind.
            assert_eq!(idle.next_result().await.1, Some(cursor));
        }
    };
    wait_for("the end of the stuck connection", cut_off).await;
    let last = ann.send_message("room-1", "still here").await;
    assert_eq!(idle.next_result().await.1, Some(last));
    drop((idle, stuck, ann));
    app.finish().await;
}
