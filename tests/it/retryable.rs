//! P5 over HTTP: an operation that the client should retry is never reported as complete.

use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::support::{
    app::TestApp,
    client::NEW_MESSAGE,
    http::{post, request},
    stream::StreamedResponse,
};

const SSE: (&str, &str) = ("accept", "text/event-stream");
const PARTS: (&str, &str) = ("accept", "multipart/mixed;subscriptionSpec=1.0");

fn subscription(after: Option<&str>) -> String {
    let variables = json!({ "room": "room-1", "after": after });
    json!({ "query": NEW_MESSAGE, "variables": variables, "extensions": { "operationId": "a" } })
        .to_string()
}

#[tokio::test]
async fn p5_a_subscription_that_cannot_be_opened_now_is_503() {
    let app = TestApp::with_flags(&["--plans-bytes-max", "1"]).await;
    let token = request(app.address(), "PUT", "/graphql", &[], "")
        .await
        .body;
    for headers in [SSE, PARTS, ("x-graphql-event-stream-token", token.as_str())] {
        let reply = post(app.address(), &subscription(None), &[headers]).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (503, "UNAVAILABLE"),
            "{headers:?}"
        );
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    app.stop().await;
}

#[tokio::test]
async fn p5_a_stream_that_cannot_continue_now_ends_without_complete() {
    let app = TestApp::with_flags(&["--tries-max", "1", "--tail-events-max", "0"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    ann.send_message("room-1", "hello").await;
    // Rooms can be opened, but their events cannot be read.
    let mut database = SqliteConnection::connect(&app.folder.database())
        .await
        .unwrap();
    let rename = async |database: &mut SqliteConnection, from: &str, to: &str| {
        let statement = format!("alter table {from} rename to {to}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(database)
            .await
            .unwrap();
    };
    rename(&mut database, "messages", "hidden").await;

    let mut stream =
        StreamedResponse::post(app.address(), &subscription(Some(&head)), &[SSE]).await;
    assert_eq!(
        (stream.status, stream.read_to_end().await.as_str()),
        (200, ":\n\n")
    );
    let mut stream =
        StreamedResponse::post(app.address(), &subscription(Some(&head)), &[PARTS]).await;
    let begin = "\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql";
    assert_eq!(
        (stream.status, stream.read_to_end().await.as_str()),
        (200, begin)
    );
    let token = request(app.address(), "PUT", "/graphql", &[], "")
        .await
        .body;
    let own = ("x-graphql-event-stream-token", token.as_str());
    let mut shared = StreamedResponse::get(app.address(), "/graphql", &[SSE, own]).await;
    assert_eq!(
        post(app.address(), &subscription(Some(&head)), &[own])
            .await
            .status,
        202
    );
    assert_eq!(shared.read_to_end().await, ":\n\n");

    rename(&mut database, "hidden", "messages").await;
    let mut stream =
        StreamedResponse::post(app.address(), &subscription(Some(&head)), &[SSE]).await;
    assert_eq!(
        stream.next_result().await.0["data"]["newMessage"]["text"],
        "hello"
    );
    drop((stream, ann));
    database.close().await.unwrap();
    app.finish().await;
}
