//! Long polling: a poll waits for new messages, and no longer than it must.

use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    http::{get, post, request_text},
    stream::StreamedResponse,
    wait_for,
};

const POLL: &str = "query ($room: ID! = \"room-1\", $after: Cursor!, $wait: Int! = 25, $limit: Int! = 100) {
    pollMessages(roomId: $room, after: $after, wait: $wait, limit: $limit) { messages { text } cursor } }";

fn polling(variables: &Value) -> String {
    json!({ "query": POLL, "variables": variables }).to_string()
}

/// The texts and the cursor of a poll.
fn parse_poll(reply: &Value) -> (Vec<&str>, &str) {
    let poll = &reply["data"]["pollMessages"];
    let messages = poll["messages"]
        .as_array()
        .unwrap_or_else(|| panic!("{reply}"));
    let texts = messages
        .iter()
        .map(|message| message["text"].as_str().unwrap());
    (texts.collect(), poll["cursor"].as_str().unwrap())
}

/// Waits until a poll waits for a room.
async fn wait_for_poll(app: &TestApp) {
    let wait_for_poll = async {
        while app.in_use().rooms == 0 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("a waiting poll", wait_for_poll).await;
}

#[tokio::test]
async fn existing_messages_are_returned_at_once_with_the_next_cursor() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let first = ann.send_message("room-1", "1").await;
    let second = ann.send_message("room-1", "2").await;
    let third = ann.send_message("room-1", "3").await;
    let poll = async |variables: Value| post(app.address(), &polling(&variables), &[]).await.json();
    assert_eq!(
        parse_poll(&poll(json!({ "after": head, "limit": 2 })).await),
        (vec!["1", "2"], second.as_str())
    );
    assert_eq!(
        parse_poll(&poll(json!({ "after": second, "limit": 2 })).await),
        (vec!["3"], third.as_str())
    );
    assert_eq!(
        parse_poll(&poll(json!({ "after": first })).await),
        (vec!["2", "3"], third.as_str())
    );
    assert_eq!(
        parse_poll(&poll(json!({ "after": first, "wait": 0 })).await),
        (vec!["2", "3"], third.as_str())
    );
    assert_eq!(
        parse_poll(&poll(json!({ "after": third, "wait": 0 })).await),
        (vec![], third.as_str())
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn a_poll_waits_until_a_message_arrives() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let (address, body) = (
        app.address(),
        polling(&json!({ "after": head, "wait": 55 })),
    );
    let poll = tokio::spawn(async move { post(address, &body, &[]).await });
    wait_for_poll(&app).await;
    assert!(!poll.is_finished());
    let cursor = ann.send_message("room-1", "hello").await;
    assert_eq!(
        parse_poll(&wait_for("a response", poll).await.unwrap().json()),
        (vec!["hello"], cursor.as_str())
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn a_poll_returns_when_its_wait_is_over() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let reply = post(
        app.address(),
        &polling(&json!({ "after": head, "wait": 1 })),
        &[],
    )
    .await
    .json();
    assert_eq!(parse_poll(&reply), (vec![], head.as_str()));
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn arguments_out_of_range_are_refused() {
    let app = TestApp::with_flags(&["--page-max", "100"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    for (variables, code) in [
        (json!({ "after": head, "wait": 56 }), "BAD_USER_INPUT"),
        (json!({ "after": head, "wait": -1 }), "BAD_USER_INPUT"),
        (json!({ "after": head, "limit": 0 }), "BAD_USER_INPUT"),
        (json!({ "after": head, "limit": 101 }), "BAD_USER_INPUT"),
        (json!({ "after": "junk" }), "BAD_USER_INPUT"),
        (json!({ "after": head, "room": "none" }), "NOT_FOUND"),
    ] {
        let reply = post(app.address(), &polling(&variables), &[]).await;
        assert_eq!(reply.error_code(), code, "{variables}");
    }
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn a_poll_frees_its_resources_when_its_client_disconnects() {
    let app = TestApp::with_flags(&["--waits-max", "1"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    ann.close().await;
    let body = polling(&json!({ "after": head, "wait": 55 }));
    let request = request_text(
        app.address(),
        "POST",
        "/graphql",
        &[("content-type", "application/json")],
        &body,
    );
    let address = app.address();
    let poll = tokio::spawn(async move { StreamedResponse::open(address, &request).await });
    wait_for_poll(&app).await;
    let reply = post(app.address(), &body, &[]).await;
    assert_eq!(
        reply.error_code(),
        "UNAVAILABLE",
        "the limit of waiting polls is reached"
    );
    // Aborting the task closes the connection.
    poll.abort();
    assert!(poll.await.is_err());
    let free = async {
        while app.in_use().rooms > 0 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("the end of the wait", free).await;
    let reply = post(
        app.address(),
        &polling(&json!({ "after": head, "wait": 0 })),
        &[],
    )
    .await
    .json();
    assert_eq!(parse_poll(&reply), (vec![], head.as_str()));
    app.finish().await;
}

#[tokio::test]
async fn a_drain_answers_waiting_polls_at_once() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    ann.close().await;
    let (address, body) = (
        app.address(),
        polling(&json!({ "after": head, "wait": 55 })),
    );
    let poll = tokio::spawn(async move { post(address, &body, &[]).await });
    wait_for_poll(&app).await;
    app.stop().await;
    let reply = wait_for("a response", poll).await.unwrap();
    assert_eq!(
        (reply.status, parse_poll(&reply.json())),
        (200, (vec![], head.as_str()))
    );
}

#[tokio::test]
async fn a_poll_works_by_get() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    ann.send_message("room-1", "hello").await;
    let target = format!(
        "/graphql?query=query(%24after%3ACursor!)%7BpollMessages(roomId%3A%22room-1%22%2Cafter%3A%24after)%7Bmessages%7Btext%7Dcursor%7D%7D\
         &variables=%7B%22after%22%3A%22{head}%22%7D"
    );
    assert_eq!(
        parse_poll(&get(app.address(), &target, &[]).await.json()).0,
        ["hello"]
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn a_poll_ends_when_its_token_is_revoked() {
    let app = TestApp::start().await;
    let token = app.sign_in("ann").await;
    let bearer = format!("Bearer {token}");
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let head = bob.head("room-1").await;
    let (address, body, own) = (
        app.address(),
        polling(&json!({ "after": head, "wait": 55 })),
        bearer.clone(),
    );
    let poll = tokio::spawn(async move { post(address, &body, &[("authorization", &own)]).await });
    wait_for_poll(&app).await;
    let sign_out = json!({ "query": "mutation { signOut }" }).to_string();
    assert_eq!(
        post(app.address(), &sign_out, &[("authorization", &bearer)])
            .await
            .error_code(),
        ""
    );
    let reply = wait_for("the end of the poll", poll).await.unwrap();
    assert_eq!(
        (reply.error_code().as_str(), &reply.json()["data"]),
        ("UNAUTHENTICATED", &Value::Null)
    );
    drop(bob);
    app.finish().await;
}

#[tokio::test]
async fn each_operation_may_wait_once_also_in_a_batch() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let poll = |name: &str, wait: i32| {
        format!(
            "{name}: pollMessages(roomId: \"room-1\", after: \"{head}\", wait: {wait}) {{ cursor }}"
        )
    };
    let operation = |fields: &[String]| json!({ "query": format!("{{ {} }}", fields.join(" ")) });
    let twice = post(
        app.address(),
        &operation(&[poll("a", 1), poll("b", 1), poll("c", 0)]).to_string(),
        &[],
    )
    .await;
    let codes = twice.json()["errors"].as_array().unwrap().len();
    assert_eq!(
        (twice.error_code().as_str(), codes),
        ("TOO_COMPLEX", 1),
        "{}",
        twice.body
    );
    let both = json!([
        operation(&[poll("a", 1)]),
        operation(&[poll("a", 1), poll("b", 0)])
    ]);
    let both = post(app.address(), &both.to_string(), &[]).await.json();
    assert_eq!(both[0]["data"]["a"]["cursor"], head);
    assert_eq!(
        both[1],
        json!({ "data": { "a": { "cursor": head }, "b": { "cursor": head } } })
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn waiting_polls_are_bounded_per_user_and_per_anonymous_address() {
    let app = TestApp::with_flags(&["--waits-per-viewer-max", "1"]).await;
    let ann = format!("Bearer {}", app.sign_in("ann").await);
    let mut anonymous = app.client(None).await;
    let head = anonymous.head("room-1").await;
    let (address, body) = (
        app.address(),
        polling(&json!({ "after": head, "wait": 55 })),
    );
    for caller in [&[][..], &[("authorization", ann.as_str())]] {
        let headers = [&[("content-type", "application/json")], caller].concat();
        let request = request_text(address, "POST", "/graphql", &headers, &body);
        let poll = tokio::spawn(async move { StreamedResponse::open(address, &request).await });
        wait_for_poll(&app).await;
        let reply = post(
            address,
            &polling(&json!({ "after": head, "wait": 1 })),
            caller,
        )
        .await;
        let retry_after = reply.json()["errors"][0]["extensions"]["retryAfter"].clone();
        assert_eq!(
            (reply.error_code().as_str(), retry_after),
            ("RATE_LIMITED", json!(1))
        );
        poll.abort();
        assert!(poll.await.is_err());
        let free = async {
            while app.in_use().rooms > 0 {
                tokio::task::yield_now().await;
            }
        };
        wait_for("the end of the wait", free).await;
    }
    // A poll over a WebSocket counts for the same quota.
    let poll = tokio::spawn(async move { post(address, &body, &[]).await });
    wait_for_poll(&app).await;
    let result = anonymous
        .execute(POLL, json!({ "after": head, "wait": 1 }))
        .await;
    assert_eq!(result["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    poll.abort();
    drop(anonymous);
    app.finish().await;
}
