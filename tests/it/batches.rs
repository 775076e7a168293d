//! Batches of requests in one body, and documents that are named by their hash.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    app::TestApp,
    http::{get, post},
    stream::StreamedResponse,
};

fn send(text: &str) -> Value {
    json!({ "query": format!("mutation {{ sendMessage(roomId: \"room-1\", text: \"{text}\") {{ text }} }}") })
}

fn batch(entries: &[Value]) -> String {
    Value::from(entries).to_string()
}

#[tokio::test]
async fn a_batch_runs_and_is_answered_in_order() {
    let app = TestApp::start().await;
    let token = format!("Bearer {}", app.sign_in("ann").await);
    let query = json!({ "query": "query A { __typename } query B { room(id: \"room-1\") { id } }", "operationName": "B" });
    let entries = [
        send("1"),
        query,
        json!({ "query": "{ nope }" }),
        send("2"),
        json!({ "query": "{" }),
        send("3"),
    ];
    let reply = post(
        app.address(),
        &batch(&entries),
        &[("authorization", &token)],
    )
    .await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json; charset=utf-8"))
    );
    let answers = reply.json();
    assert_eq!(
        answers[0],
        json!({ "data": { "sendMessage": { "text": "1" } } })
    );
    assert_eq!(
        answers[1],
        json!({ "data": { "room": { "id": "room-1" } } })
    );
    assert_eq!(
        answers[2]["errors"][0]["extensions"]["code"],
        "GRAPHQL_VALIDATION_FAILED"
    );
    assert_eq!(
        answers[3],
        json!({ "data": { "sendMessage": { "text": "2" } } })
    );
    assert_eq!(
        answers[4]["errors"][0]["extensions"]["code"],
        "GRAPHQL_PARSE_FAILED"
    );
    assert_eq!(answers.as_array().unwrap().len(), 6);
    let messages =
        json!({ "query": "{ messages(roomId: \"room-1\") { nodes { text } } }" }).to_string();
    let messages = post(app.address(), &messages, &[]).await.json();
    let texts = json!([{ "text": "1" }, { "text": "2" }, { "text": "3" }]);
    assert_eq!(messages["data"]["messages"]["nodes"], texts);
    app.finish().await;
}

#[tokio::test]
async fn a_batch_is_bounded_and_refused_as_a_whole() {
    let app = TestApp::with_flags(&["--batch-max", "2"]).await;
    let token = format!("Bearer {}", app.sign_in("ann").await);
    let as_ann = ("authorization", token.as_str());
    for (entries, reason) in [
        (vec![], "the array is empty"),
        (
            vec![send("a"), send("b"), send("c")],
            "an array may have at most 2 requests",
        ),
        (vec![send("a"), json!(7)], "entry 1 must be a JSON object"),
        (vec![send("a"), json!({})], "entry 1: `query` is missing"),
        (
            vec![send("a"), json!([send("b")])],
            "entry 1 must be a JSON object",
        ),
    ] {
        let reply = post(app.address(), &batch(&entries), &[as_ann]).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, "BAD_USER_INPUT"),
            "{reason}"
        );
        assert!(reply.body.contains(reason), "{}", reply.body);
    }
    let nothing = json!({ "query": "{ messages(roomId: \"room-1\") { nodes { text } } }" });
    let subscription = json!({ "query": "subscription { newMessage(roomId: \"room-1\") { id } }" });
    let answers = post(app.address(), &batch(&[subscription, nothing]), &[])
        .await
        .json();
    assert_eq!(
        answers[0]["errors"][0]["extensions"]["code"],
        "BAD_USER_INPUT"
    );
    assert_eq!(
        answers[1],
        json!({ "data": { "messages": { "nodes": [] } } }),
        "no entry of a refused batch ran"
    );
    let reply = post(
        app.address(),
        &batch(&[send("a")]),
        &[as_ann, ("accept", "text/event-stream")],
    )
    .await;
    assert_eq!(reply.status, 406);
    app.finish().await;
}

fn hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A persisted query as a client sends it: the hash of the document, with or without its text.
fn persisted(text: &str, with_text: bool) -> Value {
    let mut body =
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash(text) } } });
    if with_text {
        body["query"] = text.into();
    }
    body
}

/// Runs a known document by its hash over a WebSocket, and an unknown one.
async fn assert_persisted_over_websocket(app: &TestApp, text: &str, answer: &Value) {
    let mut client = app.client(None).await;
    client
        .send(&json!({ "id": "1", "type": "subscribe", "payload": persisted(text, false) }))
        .await;
    assert_eq!(
        client.receive().await,
        json!({ "id": "1", "type": "next", "payload": answer })
    );
    assert_eq!(client.receive().await["type"], "complete");
    client.send(&json!({ "id": "2", "type": "subscribe", "payload": persisted("{ other: __typename }", false) })).await;
    let error = client.receive().await;
    assert_eq!(
        (&error["type"], &error["payload"][0]["message"]),
        (&json!("error"), &json!("PersistedQueryNotFound"))
    );
    drop(client);
}

#[tokio::test]
async fn a_document_that_was_sent_once_can_be_named_by_its_hash() {
    let app = TestApp::start().await;
    let text = "query Persisted { __typename }";
    let unknown = post(app.address(), &persisted(text, false).to_string(), &[]).await;
    assert_eq!(
        (unknown.status, unknown.error_code().as_str()),
        (200, "PERSISTED_QUERY_NOT_FOUND")
    );
    assert_eq!(
        unknown.json()["errors"][0]["message"],
        "PersistedQueryNotFound"
    );
    let answer = json!({ "data": { "__typename": "Query" } });
    assert_eq!(
        post(app.address(), &persisted(text, true).to_string(), &[])
            .await
            .json(),
        answer
    );

    // By its hash alone, over every transport.
    assert_eq!(
        post(app.address(), &persisted(text, false).to_string(), &[])
            .await
            .json(),
        answer
    );
    let extensions = format!(
        "%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22{}%22%7D%7D",
        hash(text)
    );
    assert_eq!(
        get(
            app.address(),
            &format!("/graphql?extensions={extensions}"),
            &[]
        )
        .await
        .json(),
        answer
    );
    let both = batch(&[persisted(text, false), persisted(text, false)]);
    assert_eq!(
        post(app.address(), &both, &[]).await.json(),
        json!([answer, answer])
    );
    let sse = [("accept", "text/event-stream")];
    let mut stream =
        StreamedResponse::post(app.address(), &persisted(text, false).to_string(), &sse).await;
    assert_eq!(stream.next_result().await.0, answer);
    assert_persisted_over_websocket(&app, text, &answer).await;
    app.finish().await;
}

#[tokio::test]
async fn a_wrong_hash_is_refused_and_a_persisted_mutation_never_runs_by_get() {
    let app = TestApp::start().await;
    let mut wrong = persisted("{ __typename }", true);
    wrong["query"] = "{ other: __typename }".into();
    let reply = post(
        app.address(),
        &wrong.to_string(),
        &[("accept", "application/graphql-response+json")],
    )
    .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "BAD_USER_INPUT")
    );
    let mutation = "mutation { signIn(name: \"x\") { viewer { name } } }";
    let ran = post(app.address(), &persisted(mutation, true).to_string(), &[])
        .await
        .json();
    assert_eq!(ran["data"]["signIn"]["viewer"]["name"], "x");
    let extensions = format!(
        "%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22{}%22%7D%7D",
        hash(mutation)
    );
    let reply = get(
        app.address(),
        &format!("/graphql?extensions={extensions}"),
        &[],
    )
    .await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    app.finish().await;
}
