//! Ephemeral state over real sockets: rights, limits, and how the streams begin and end.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use serde_json::{Value, json};
use switchboard::domain::{Clock, Timestamp};

use crate::support::{
    app::TestApp,
    client::{Client, Closed},
    http::{self, post},
    stream::StreamedResponse,
};

const TYPING: &str = r#"subscription { typing(roomId: "p") { users { name } } }"#;
const SIGNALS: &str = r#"subscription { signals(roomId: "p") { kind data sender { name } } }"#;

const PRESENCE: &str = r#"subscription { presence(roomId: "p") { count } }"#;

async fn mutate(client: &mut Client, field: &str) -> Value {
    client
        .execute(&format!("mutation {{ answer: {field} }}"), json!({}))
        .await
}

/// The value of a mutation, or the error code of its refusal.
async fn outcome(client: &mut Client, field: &str) -> Value {
    let result = mutate(client, field).await;
    match &result["errors"][0]["extensions"]["code"] {
        Value::Null => result["data"]["answer"].clone(),
        code => code.clone(),
    }
}

async fn id_of(client: &mut Client) -> String {
    client.execute("{ viewer { id } }", json!({})).await["data"]["viewer"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Creates the private room `p`, owned by Ann, with Bob as a member. Returns Ann's client, and the
/// token and the id of Bob.
async fn private_room(app: &TestApp) -> (Client, String, String) {
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let token = app.sign_in("bob").await;
    let bob_id = id_of(&mut app.client(Some(&token)).await).await;
    mutate(
        &mut ann,
        r#"createRoom(id: "p", name: "P", visibility: PRIVATE) { id }"#,
    )
    .await;
    mutate(
        &mut ann,
        &format!(r#"addMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    (ann, token, bob_id)
}

async fn stream(app: &TestApp, query: &str, accept: &str, token: &str) -> StreamedResponse {
    let (body, bearer) = (
        json!({ "query": query }).to_string(),
        format!("Bearer {token}"),
    );
    StreamedResponse::post(
        app.address(),
        &body,
        &[("accept", accept), ("authorization", &bearer)],
    )
    .await
}

/// The payload of the next message, which must be a `next` of this operation.
async fn next_result(client: &mut Client, id: &str) -> Value {
    let message = client.receive().await;
    assert_eq!(
        (&message["type"], &message["id"]),
        (&json!("next"), &json!(id)),
        "{message}"
    );
    message["payload"].clone()
}

#[tokio::test]
async fn streams_begin_with_a_snapshot_and_carry_no_cursor() {
    let app = TestApp::start().await;
    let (mut ann, token, _) = private_room(&app).await;
    assert_eq!(outcome(&mut ann, r#"setTyping(roomId: "p")"#).await, true);
    let mut bob = app.client(Some(&token)).await;
    let id = bob.start(TYPING, json!({})).await;
    // This is the whole result: it has no extensions.
    assert_eq!(
        next_result(&mut bob, &id).await,
        json!({ "data": { "typing": { "users": [{ "name": "ann" }] } } })
    );
    let mut events = stream(&app, SIGNALS, "text/event-stream", &token).await;
    let open = json!({ "data": { "signals": { "kind": "_open", "data": {}, "sender": null } } });
    assert_eq!(events.next_result().await, (open, None));
    let mut parts = stream(&app, TYPING, "multipart/mixed;subscriptionSpec=1.0", &token).await;
    parts
        .read_until(r#"{"payload":{"data":{"typing":{"users":[{"name":"ann"}]}}}}"#)
        .await;
    mutate(
        &mut ann,
        r#"sendSignal(roomId: "p", kind: "point", data: [1, 2.5, "x"])"#,
    )
    .await;
    let signal = json!({ "kind": "point", "data": [1, 2.5, "x"], "sender": { "name": "ann" } });
    assert_eq!(
        events.next_result().await,
        (json!({ "data": { "signals": signal } }), None)
    );
    assert_eq!(
        outcome(&mut ann, r#"setTyping(roomId: "p", typing: false)"#).await,
        true
    );
    assert_eq!(
        next_result(&mut bob, &id).await["data"]["typing"]["users"],
        json!([])
    );
    parts
        .read_until(r#"{"payload":{"data":{"typing":{"users":[]}}}}"#)
        .await;
    // Nothing else arrives, not even the ping that says that a subscription is live.
    bob.send(&json!({ "id": id, "type": "complete" })).await;
    bob.fence().await;
    drop((ann, bob, events, parts));
    app.finish().await;
}

/// Opens all three subscriptions over WebSocket and over event streams as Bob, takes his right
/// away, and checks how each ends.
async fn every_stream_ends_when(field: impl Fn(&str) -> String) {
    let app = TestApp::start().await;
    let (mut ann, token, bob_id) = private_room(&app).await;
    let mut bob = app.client(Some(&token)).await;
    let mut ids = Vec::new();
    for query in [TYPING, SIGNALS, PRESENCE] {
        let id = bob.start(query, json!({})).await;
        next_result(&mut bob, &id).await;
        ids.push(id);
    }
    let mut streams = Vec::new();
    for query in [TYPING, SIGNALS, PRESENCE] {
        let mut events = stream(&app, query, "text/event-stream", &token).await;
        events.next_result().await;
        streams.push(events);
    }
    assert_eq!(
        mutate(&mut ann, &field(&bob_id)).await["errors"],
        Value::Null
    );
    let mut ended = Vec::new();
    for _ in 0..3 {
        let error = bob.receive().await;
        assert_eq!(error["type"], "error", "{error}");
        assert_eq!(error["payload"][0]["extensions"]["code"], "FORBIDDEN");
        ended.push(error["id"].as_str().unwrap().to_owned());
    }
    ended.sort();
    assert_eq!(ended, ids);
    for events in &mut streams {
        let (last, id) = events.next_result().await;
        assert_eq!(
            (&last["errors"][0]["extensions"]["code"], id.as_deref()),
            (&json!("FORBIDDEN"), Some("end"))
        );
        assert_eq!(events.read_to_end().await, "event: complete\ndata:\n\n");
    }
    // The socket stays open, and the room looks as if it did not exist.
    for query in [TYPING, SIGNALS, PRESENCE] {
        assert_eq!(
            bob.execute_refused(query, json!({})).await[0]["extensions"]["code"],
            "NOT_FOUND"
        );
    }
    drop((ann, bob, streams));
    app.finish().await;
}

#[tokio::test]
async fn e4_streams_end_when_their_reader_is_removed() {
    every_stream_ends_when(|bob| format!(r#"removeMember(roomId: "p", userId: "{bob}") {{ id }}"#))
        .await;
}

#[tokio::test]
async fn e4_streams_end_when_the_room_is_deleted() {
    every_stream_ends_when(|_| r#"deleteRoom(id: "p")"#.to_owned()).await;
}

#[tokio::test]
async fn e4_when_a_room_becomes_private_only_its_members_keep_listening() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    mutate(&mut ann, r#"createRoom(id: "p", name: "P") { id }"#).await;
    let mut eve = app.client(Some(&app.sign_in("eve").await)).await;
    let (id, own) = (
        eve.start(TYPING, json!({})).await,
        ann.start(TYPING, json!({})).await,
    );
    let mut anonymous = stream(
        &app,
        SIGNALS,
        "text/event-stream",
        &app.sign_in("nobody").await,
    )
    .await;
    next_result(&mut eve, &id).await;
    next_result(&mut ann, &own).await;
    anonymous.next_result().await;
    assert_eq!(outcome(&mut eve, r#"setTyping(roomId: "p")"#).await, true);
    while next_result(&mut ann, &own).await["data"]["typing"]["users"] != json!([{ "name": "eve" }])
    {
    }
    while next_result(&mut eve, &id).await["data"]["typing"]["users"] != json!([{ "name": "eve" }])
    {
    }
    let update = json!({ "id": "u", "type": "subscribe", "payload": {
        "query": r#"mutation { updateRoom(id: "p", visibility: PRIVATE) { id } }"# } });
    ann.send(&update).await;
    assert_eq!(
        eve.receive().await["payload"][0]["extensions"]["code"],
        "FORBIDDEN"
    );
    assert_eq!(
        anonymous.next_result().await.0["errors"][0]["extensions"]["code"],
        "FORBIDDEN"
    );
    // Ann's subscription continues, and Eve is no longer shown.
    loop {
        let message = ann.receive().await;
        assert_ne!(message["type"], "error", "{message}");
        if message["id"] == json!(own) {
            assert_eq!(message["payload"]["data"]["typing"]["users"], json!([]));
            break;
        }
    }
    drop((ann, eve, anonymous));
    app.finish().await;
}

#[tokio::test]
async fn callers_without_the_right_get_the_same_errors_as_elsewhere() {
    let app = TestApp::start().await;
    let (mut ann, token, bob_id) = private_room(&app).await;
    let mut bob = app.client(Some(&token)).await;
    let mut eve = app.client(Some(&app.sign_in("eve").await)).await;
    let (eve_id, mut anonymous) = (id_of(&mut eve).await, app.client(None).await);
    for field in [
        r#"setTyping(roomId: "p")"#,
        r#"sendSignal(roomId: "p", kind: "k", data: 1)"#,
    ] {
        assert_eq!(outcome(&mut eve, field).await, "NOT_FOUND");
        assert_eq!(
            outcome(&mut eve, &field.replace("\"p\"", "\"none\"")).await,
            "NOT_FOUND"
        );
        assert_eq!(
            outcome(&mut eve, &field.replace("\"p\"", "\"NO ROOM\"")).await,
            "NOT_FOUND"
        );
        assert_eq!(
            outcome(&mut anonymous, &field.replace("\"p\"", "\"room-1\"")).await,
            "UNAUTHENTICATED"
        );
    }
    for query in [TYPING, SIGNALS, PRESENCE] {
        for room in ["\"p\"", "\"none\"", "\"NO ROOM\""] {
            let errors = eve
                .execute_refused(&query.replace("\"p\"", room), json!({}))
                .await;
            assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND");
            assert_eq!(errors[0]["message"], "There is no such room.");
        }
    }
    // A user who may not read the room gets the same error as a user who does not exist.
    let to = |id: &str| format!(r#"sendSignal(roomId: "p", to: "{id}", kind: "k", data: 1)"#);
    let unknown = mutate(&mut ann, &to("usr_00000000000000000000000000000001")).await;
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "NOT_FOUND");
    for id in [&eve_id, "no id", ""] {
        assert_eq!(
            mutate(&mut ann, &to(id)).await["errors"],
            unknown["errors"],
            "{id}"
        );
    }
    assert_eq!(outcome(&mut ann, &to(&bob_id)).await, true);
    let mute = format!(
        r#"muteMember(roomId: "p", userId: "{bob_id}", until: "2999-01-01T00:00:00Z") {{ id }}"#
    );
    mutate(&mut ann, &mute).await;
    for field in [
        r#"setTyping(roomId: "p")"#,
        r#"sendSignal(roomId: "p", kind: "k", data: 1)"#,
    ] {
        assert_eq!(outcome(&mut bob, field).await, "FORBIDDEN");
    }
    drop((ann, bob, eve, anonymous));
    app.finish().await;
}

#[tokio::test]
async fn the_content_of_a_signal_is_bounded() {
    let app = TestApp::with_flags(&["--signal-bytes-max", "100"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut send = async |kind: &str, data: Value| {
        let query = "mutation ($kind: String!, $data: JSON!) { answer: sendSignal(roomId: \"room-1\", kind: $kind, data: $data) }";
        let result = ann
            .execute(query, json!({ "kind": kind, "data": data }))
            .await;
        result["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or("sent")
            .to_owned()
    };
    assert_eq!(send("k", json!("x".repeat(98))).await, "sent");
    assert_eq!(send("k", json!("x".repeat(99))).await, "BAD_USER_INPUT");
    assert_eq!(send(&"k".repeat(64), json!(null_free())).await, "sent");
    for kind in [&"k".repeat(65), "", " ", "_open", "_", "a\0b"] {
        assert_eq!(send(kind, json!(1)).await, "BAD_USER_INPUT", "{kind:?}");
    }
    drop(ann);
    app.finish().await;
}

/// A JSON value that contains nulls but is not null, because the type `JSON!` is not nullable.
fn null_free() -> Value {
    json!({ "a": [null, true, "text"], "b": { "c": 1e3 } })
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_signals_of_one_client_arrive_in_the_order_they_were_sent() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(None).await;
    let id = bob
        .start(&SIGNALS.replace("\"p\"", "\"room-1\""), json!({}))
        .await;
    assert_eq!(
        next_result(&mut bob, &id).await["data"]["signals"]["kind"],
        "_open"
    );
    // The mutations are sent without waiting for their answers.
    for number in 0..50 {
        ann.start(
            &format!(r#"mutation {{ sendSignal(roomId: "room-1", kind: "k", data: {number}) }}"#),
            json!({}),
        )
        .await;
    }
    for number in 0..50 {
        assert_eq!(
            next_result(&mut bob, &id).await["data"]["signals"]["data"],
            number
        );
    }
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn a_rate_limited_signal_returns_when_to_retry() {
    let app = TestApp::with_flags(&[
        "--signals-per-second-per-user-max",
        "1",
        "--signals-burst-max",
        "2",
    ])
    .await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    assert_eq!(
        outcome(&mut ann, r#"setTyping(roomId: "room-1")"#).await,
        true
    );
    assert_eq!(
        outcome(&mut ann, r#"setTyping(roomId: "room-1", typing: false)"#).await,
        true
    );
    let refused = mutate(
        &mut ann,
        r#"sendSignal(roomId: "room-1", kind: "k", data: 1)"#,
    )
    .await;
    let extensions = &refused["errors"][0]["extensions"];
    assert_eq!(
        (&extensions["code"], &extensions["retryAfter"]),
        (&json!("RATE_LIMITED"), &json!(1))
    );
    assert_eq!(
        outcome(
            &mut bob,
            r#"sendSignal(roomId: "room-1", kind: "k", data: 1)"#
        )
        .await,
        true
    );
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn a_user_beyond_the_typing_limit_is_not_shown_and_gets_false() {
    let app = TestApp::with_flags(&["--typing-users-max", "1"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    assert_eq!(
        outcome(&mut ann, r#"setTyping(roomId: "room-1")"#).await,
        true
    );
    assert_eq!(
        outcome(&mut bob, r#"setTyping(roomId: "room-1")"#).await,
        false
    );
    assert_eq!(
        outcome(&mut ann, r#"setTyping(roomId: "room-1", typing: false)"#).await,
        true
    );
    assert_eq!(
        outcome(&mut bob, r#"setTyping(roomId: "room-1")"#).await,
        true
    );
    assert_eq!(
        outcome(&mut bob, r#"setTyping(roomId: "room-1", typing: false)"#).await,
        true
    );
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn signing_out_ends_ephemeral_subscriptions() {
    let app = TestApp::start().await;
    let (ann, token, _) = private_room(&app).await;
    let mut bob = app.client(Some(&token)).await;
    let id = bob.start(TYPING, json!({})).await;
    next_result(&mut bob, &id).await;
    let mut events = stream(&app, SIGNALS, "text/event-stream", &token).await;
    events.next_result().await;
    let bearer = format!("Bearer {token}");
    let body = json!({ "query": "mutation { signOut }" }).to_string();
    let reply = post(app.address(), &body, &[("authorization", &bearer)]).await;
    assert_eq!(reply.json()["data"]["signOut"], true);
    assert_eq!(
        bob.try_receive().await,
        Err(Closed(4403, "Forbidden".to_owned()))
    );
    // The stream does not complete: a client that reconnects with this token is refused.
    assert_eq!(events.read_to_end().await, "");
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn an_expired_token_ends_ephemeral_subscriptions() {
    let moment = Arc::new(AtomicI64::new(1_700_000_000_000_000));
    let clock: Clock = Arc::new({
        let moment = moment.clone();
        move || Timestamp(moment.load(Ordering::SeqCst))
    });
    let app = TestApp::with_clock(
        clock,
        &["--heartbeat-interval", "20ms", "--ping-interval", "20ms"],
    )
    .await;
    let token = app.sign_in("ann").await;
    let open = |query: &str| query.replace("\"p\"", "\"room-1\"");
    let mut ann = app.client(Some(&token)).await;
    let id = ann.start(&open(TYPING), json!({})).await;
    next_result(&mut ann, &id).await;
    // Ten years are longer than any session.
    moment.fetch_add(10 * 365 * 86_400 * 1_000_000, Ordering::SeqCst);
    assert_eq!(
        ann.try_receive().await,
        Err(Closed(4403, "Forbidden".to_owned()))
    );
    let reply = http::get(app.address(), "/healthz", &[]).await;
    assert_eq!(reply.status, 200);
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn ephemeral_streams_ignore_cursors() {
    let app = TestApp::start().await;
    let query = r#"subscription { typing(roomId: "room-1") { users { name } } }"#;
    let target = format!(
        "/graphql?query={}",
        query
            .replace(' ', "%20")
            .replace('"', "%22")
            .replace('{', "%7B")
            .replace('}', "%7D")
    );
    let headers = [
        ("accept", "text/event-stream"),
        ("last-event-id", "whatever it was"),
    ];
    let mut events = StreamedResponse::get(app.address(), &target, &headers).await;
    assert_eq!(
        events.next_result().await,
        (json!({ "data": { "typing": { "users": [] } } }), None)
    );
    drop(events);
    app.finish().await;
}
