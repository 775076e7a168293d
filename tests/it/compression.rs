//! Which responses are compressed and which are not.

use serde_json::json;

use crate::support::{app::TestApp, client::NEW_MESSAGE, http::get, stream::StreamedResponse};

const GZIP: (&str, &str) = ("accept-encoding", "gzip, deflate, br");

fn encoding(reply: &StreamedResponse) -> (u16, Option<&str>) {
    (reply.status, reply.header("content-encoding"))
}

#[tokio::test]
async fn pages_and_long_responses_are_compressed_for_clients_that_accept_it() {
    let app = TestApp::start().await;
    let types =
        json!({ "query": "{ __schema { types { name description fields { name description } } } }" }).to_string();
    let long = StreamedResponse::post(app.address(), &types, &[GZIP]).await;
    assert_eq!(
        (encoding(&long), long.header("vary")),
        ((200, Some("gzip")), Some("accept-encoding"))
    );
    assert_eq!(
        encoding(&StreamedResponse::post(app.address(), &types, &[]).await),
        (200, None)
    );
    let page = get(app.address(), "/graphiql", &[]).await.body;
    let script = page
        .split("src=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    // Relative to the page.
    let script = script.trim_start_matches('.');
    let file = StreamedResponse::get(app.address(), script, &[GZIP]).await;
    assert_eq!(encoding(&file), (200, Some("gzip")));
    // A compressed response has the same entity tag.
    let again = StreamedResponse::get(
        app.address(),
        script,
        &[GZIP, ("if-none-match", file.header("etag").unwrap())],
    )
    .await;
    assert_eq!(again.status, 304);
    app.finish().await;
}

#[tokio::test]
async fn small_responses_and_streams_are_not_compressed() {
    let app = TestApp::start().await;
    let small = json!({ "query": "{ __typename }" }).to_string();
    assert_eq!(
        encoding(&StreamedResponse::post(app.address(), &small, &[GZIP]).await),
        (200, None)
    );
    let subscription =
        json!({ "query": NEW_MESSAGE, "variables": { "room": "room-1" } }).to_string();
    for (accept, expected) in [
        ("text/event-stream", Some("none")),
        ("multipart/mixed;subscriptionSpec=1.0", None),
    ] {
        let stream =
            StreamedResponse::post(app.address(), &subscription, &[GZIP, ("accept", accept)]).await;
        assert_eq!(encoding(&stream), (200, expected), "{accept}");
    }
    app.finish().await;
}
