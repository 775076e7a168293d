//! The lifetime of a token: sign-out, refresh and expiry, also while a socket is open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use switchboard::{
    auth::Auth,
    domain::Timestamp,
    store::{Database, sqlite::SqliteLimits},
};
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message, client::IntoClientRequest};

use crate::support::{
    app::TestApp,
    client::{Client, Closed, NEW_MESSAGE},
    http,
    stream::StreamedResponse,
    tokens::{claims_with, key_path, now, sign, with_other_signature},
    wait_for,
};

const SIGN_OUT: &str = "mutation { signOut }";
const REFRESH: &str = "mutation ($token: String!) {
    refreshSession(token: $token) { token expiresAt viewer { id name } } }";

fn forbidden() -> Closed {
    Closed(4403, "Forbidden".to_owned())
}

fn refused() -> (u16, String) {
    (401, "UNAUTHENTICATED".to_owned())
}

/// Sends an operation over HTTP.
async fn post(app: &TestApp, token: Option<&str>, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|bearer| ("authorization", bearer.as_str()))
        .collect();
    http::post(app.address(), &body, &headers).await.json()
}

async fn code(app: &TestApp, token: Option<&str>, query: &str, variables: Value) -> String {
    let answer = post(app, token, query, variables).await;
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Sends a token in a ping, and receives the pong.
async fn ping(client: &mut Client, token: &str) {
    let payload = json!({ "authorization": format!("Bearer {token}") });
    client
        .send(&json!({ "type": "ping", "payload": payload }))
        .await;
    assert_eq!(
        client.receive().await,
        json!({ "type": "pong", "payload": payload })
    );
}

#[tokio::test]
async fn a4_a_revoked_token_is_refused_at_once_and_after_a_restart() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.sign_in("ann").await, app.sign_in("bob").await);
    let (mut ann_client, mut ann_subscriber, mut bob_client) = (
        app.client(Some(&ann)).await,
        app.client(Some(&ann)).await,
        app.client(Some(&bob)).await,
    );
    let head = ann_client.head("room-1").await;
    ann_subscriber.subscribe("room-1", &head).await;

    assert_eq!(
        post(&app, Some(&ann), SIGN_OUT, json!({})).await,
        json!({ "data": { "signOut": true } })
    );
    assert_eq!(app.whoami(&ann).await, refused());
    assert_eq!(app.websocket_rejection(&ann).await, Some(forbidden()));
    for client in [&mut ann_client, &mut ann_subscriber] {
        assert_eq!(client.try_receive().await, Err(forbidden()));
    }
    bob_client.send_message("room-1", "still here").await;
    drop((ann_client, ann_subscriber, bob_client));

    let app = TestApp::in_folder(app.finish().await, &[]).await;
    assert_eq!(app.whoami(&ann).await, refused());
    assert_eq!(app.whoami(&bob).await, (200, "bob".to_owned()));
    assert_eq!(
        code(&app, Some(&ann), SIGN_OUT, json!({})).await,
        "UNAUTHENTICATED"
    );
    app.finish().await;
}

#[tokio::test]
async fn a4_a_token_that_another_process_revokes_is_soon_refused() {
    let app = TestApp::with_flags(&["--revocations-check-interval", "10ms"]).await;
    let (ann, bob) = (app.sign_in("ann").await, app.sign_in("bob").await);
    let (mut ann_client, mut bob_client) =
        (app.client(Some(&ann)).await, app.client(Some(&bob)).await);
    ann_client.fence().await;

    let limits = SqliteLimits::default();
    let database = Database::open_beside_server(&app.folder.database(), limits)
        .await
        .unwrap();
    let lifetime = Duration::from_secs(60);
    let auth = Auth::guests(database.accounts.clone(), lifetime)
        .await
        .unwrap();
    let now = switchboard::server::clock()();
    let viewer = auth.viewer(&ann, now).await.unwrap();
    auth.sign_out(&viewer, now).await.unwrap();
    database.maintenance.close().await;
    assert_eq!(
        wait_for("the close of the socket", ann_client.try_receive()).await,
        Err(forbidden())
    );
    assert_eq!(app.whoami(&ann).await, refused());
    bob_client.fence().await;
    // The server has noticed no change of its database file.
    bob_client.send_message("room-1", "still here").await;
    assert_eq!(app.whoami(&bob).await, (200, "bob".to_owned()));
    drop((ann_client, bob_client));
    app.finish().await;
}

#[tokio::test]
async fn signing_out_on_a_socket_is_answered_before_the_socket_is_closed() {
    let app = TestApp::start().await;
    let token = app.sign_in("ann").await;
    let mut ann = app.client(Some(&token)).await;
    assert_eq!(
        ann.execute(SIGN_OUT, json!({})).await,
        json!({ "data": { "signOut": true } })
    );
    assert_eq!(ann.try_receive().await, Err(forbidden()));
    assert_eq!(app.whoami(&token).await, refused());
    let mut anonymous = app.client(None).await;
    assert_eq!(
        anonymous.execute(SIGN_OUT, json!({})).await,
        json!({ "data": { "signOut": false } })
    );
    anonymous.fence().await;
    drop((ann, anonymous));
    app.finish().await;
}

#[tokio::test]
async fn revocations_beyond_the_cache_are_read_from_the_database() {
    let flags = ["--revocations-cached-max", "2"];
    let app = TestApp::with_flags(&flags).await;
    let mut tokens = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        tokens.push(app.sign_in(name).await);
    }
    for token in &tokens[..4] {
        post(&app, Some(token), SIGN_OUT, json!({})).await;
    }
    let app = async {
        for token in &tokens[..4] {
            assert_eq!(app.whoami(token).await, refused());
        }
        assert_eq!(app.whoami(&tokens[4]).await, (200, "e".to_owned()));
        TestApp::in_folder(app.finish().await, &flags).await
    }
    .await;
    for token in &tokens[..4] {
        assert_eq!(app.whoami(token).await, refused());
    }
    assert_eq!(app.whoami(&tokens[4]).await, (200, "e".to_owned()));
    app.finish().await;
}

#[tokio::test]
async fn a_guest_can_refresh_the_session() {
    let app = TestApp::start().await;
    let (old, bob) = (app.sign_in("ann").await, app.sign_in("bob").await);
    let answer = post(&app, Some(&old), REFRESH, json!({ "token": old })).await;
    let session = &answer["data"]["refreshSession"];
    let new = session["token"].as_str().unwrap();
    assert_eq!(
        (session["viewer"]["name"].as_str(), new == old),
        (Some("ann"), false),
        "{answer}"
    );
    let ids = |answer: Value| answer["data"]["viewer"]["id"].clone();
    let viewer = "{ viewer { id } }";
    assert_eq!(
        ids(post(&app, Some(new), viewer, json!({})).await),
        ids(post(&app, Some(&old), viewer, json!({})).await)
    );
    // Each token is revoked separately.
    post(&app, Some(&old), SIGN_OUT, json!({})).await;
    assert_eq!(app.whoami(new).await, (200, "ann".to_owned()));

    assert_eq!(
        code(&app, Some(new), REFRESH, json!({ "token": bob })).await,
        "FORBIDDEN"
    );
    assert_eq!(
        code(&app, Some(new), REFRESH, json!({ "token": old })).await,
        "UNAUTHENTICATED"
    );
    assert_eq!(
        code(&app, Some(new), REFRESH, json!({ "token": "x" })).await,
        "UNAUTHENTICATED"
    );
    assert_eq!(
        code(&app, None, REFRESH, json!({ "token": new })).await,
        "UNAUTHENTICATED"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_refreshed_socket_no_longer_depends_on_its_old_token() {
    let app = TestApp::start().await;
    let old = app.sign_in("ann").await;
    let mut ann = app.client(Some(&old)).await;
    let answer = ann.execute(REFRESH, json!({ "token": old })).await;
    let new = answer["data"]["refreshSession"]["token"].as_str().unwrap();
    post(&app, Some(&old), SIGN_OUT, json!({})).await;
    ann.fence().await;
    post(&app, Some(new), SIGN_OUT, json!({})).await;
    assert_eq!(ann.try_receive().await, Err(forbidden()));
    drop(ann);
    app.finish().await;
}

async fn app_with_provider() -> TestApp {
    app_with_provider_flags(&[]).await
}

async fn app_with_provider_flags(more: &[&str]) -> TestApp {
    let key = key_path("ec.pub.pem");
    let flags = [
        "--auth",
        "jwt",
        "--jwt-public-key",
        &key,
        "--jwt-audience",
        "switchboard",
        "--jwt-leeway",
        "0s",
    ];
    TestApp::with_flags(&[&flags, more].concat()).await
}

/// A token that expires in this many seconds.
fn token(subject: &str, seconds: i64) -> String {
    sign(
        "ec.pem",
        None,
        &claims_with(subject, &json!({ "exp": now() + seconds, "jti": null })),
    )
}

#[tokio::test]
async fn a_socket_ends_when_its_token_expires_and_a_refreshed_one_continues() {
    let app = app_with_provider().await;
    // Four seconds are enough for a slow machine to connect three times.
    let short = token("ann", 4);
    let (mut not_refreshed, mut refreshed, mut pinged) = (
        app.client(Some(&short)).await,
        app.client(Some(&short)).await,
        app.client(Some(&short)).await,
    );
    let head = refreshed.head("room-1").await;
    not_refreshed.subscribe("room-1", &head).await;
    pinged.subscribe("room-1", &head).await;

    let long = token("ann", 3600);
    let answer = refreshed.execute(REFRESH, json!({ "token": long })).await;
    assert_eq!(
        answer["data"]["refreshSession"]["token"],
        json!(long),
        "{answer}"
    );
    refreshed.subscribe("room-1", &head).await;
    ping(&mut pinged, &long).await;

    assert_eq!(not_refreshed.try_receive().await, Err(forbidden()));
    assert!(
        now() >= claims_of(&short)["exp"].as_i64().unwrap(),
        "the socket ended before the token expired"
    );
    // The other sockets had the same token, and continue.
    let mut bob = app.client(Some(&token("bob", 3600))).await;
    bob.send_message("room-1", "after").await;
    for client in [&mut refreshed, &mut pinged] {
        assert_eq!(client.next_texts(1).await, ["after"]);
        client.fence().await;
    }
    // The token of a socket is the last one that it received.
    post(&app, Some(&long), SIGN_OUT, json!({})).await;
    for client in [&mut refreshed, &mut pinged] {
        assert_eq!(client.try_receive().await, Err(forbidden()));
    }
    drop((not_refreshed, refreshed, pinged, bob));
    app.finish().await;
}

#[tokio::test]
async fn a_new_token_may_expire_earlier_than_the_old_one() {
    // No other timer wakes the connection.
    let app = app_with_provider_flags(&["--init-timeout", "5m", "--ping-interval", "5m"]).await;
    let mut ann = app.client(Some(&token("ann", 3600))).await;
    ping(&mut ann, &token("ann", 3)).await;
    assert_eq!(ann.try_receive().await, Err(forbidden()));
    drop(ann);
    app.finish().await;
}

fn claims_of(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(
        &base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, part).unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_socket_cannot_change_its_user() {
    let app = app_with_provider().await;
    let (ann, bob) = (token("ann", 3600), token("bob", 3600));
    for invalid in [bob.as_str(), "x", &token("ann", -1)] {
        let mut client = app.client(Some(&ann)).await;
        ping(&mut client, invalid).await;
        assert_eq!(client.try_receive().await, Err(forbidden()));
    }
    let mut anonymous = app.client(None).await;
    ping(&mut anonymous, &ann).await;
    assert_eq!(anonymous.try_receive().await, Err(forbidden()));

    let mut client = app.client(Some(&ann)).await;
    let answer = client.execute(REFRESH, json!({ "token": bob })).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let viewer = client.execute("{ viewer { name } }", json!({})).await;
    assert_eq!(viewer, json!({ "data": { "viewer": { "name": "ann" } } }));

    // Tokens in pings are ignored before the acknowledgement.
    let mut early = Client::open(app.address()).await;
    ping(&mut early, "x").await;
    early.fence().await;
    drop((anonymous, client, early));
    app.finish().await;
}

#[tokio::test]
async fn a_token_without_an_id_is_revoked_by_its_claims() {
    let app = app_with_provider().await;
    let (one, other) = (token("ann", 3600), token("ann", 3601));
    post(&app, Some(&one), SIGN_OUT, json!({})).await;
    assert_eq!(app.whoami(&one).await, refused());
    assert_eq!(app.whoami(&other).await, (200, "ann".to_owned()));
    // The same claims with another signature: on an elliptic curve, each text has several valid
    // ones.
    let (head, _) = one.rsplit_once('.').unwrap();
    let (key, algorithm) = crate::support::tokens::encoding_key("ec.pem");
    let again = with_other_signature(
        head,
        &jsonwebtoken::crypto::sign(head.as_bytes(), &key, algorithm).unwrap(),
    );
    assert_ne!(again, one);
    assert_eq!(app.whoami(&again).await, refused());
    app.finish().await;
}

#[tokio::test]
async fn token_ids_are_scoped_to_their_issuer() {
    let app = app_with_provider().await;
    let named = |issuer: &str, seconds: i64| {
        let claims = claims_with(
            "ann",
            &json!({ "iss": issuer, "jti": "1", "exp": now() + seconds }),
        );
        sign("ec.pem", None, &claims)
    };
    post(&app, Some(&named("https://a", 3600)), SIGN_OUT, json!({})).await;
    assert_eq!(app.whoami(&named("https://a", 1800)).await, refused());
    assert_eq!(
        app.whoami(&named("https://b", 3600)).await,
        (200, "ann".to_owned())
    );
    app.finish().await;
}

/// Opens a stream of room-1 with a token.
async fn stream(app: &TestApp, token: &str, accept: &str) -> StreamedResponse {
    let body = json!({ "query": NEW_MESSAGE, "variables": { "room": "room-1" } }).to_string();
    let bearer = format!("Bearer {token}");
    StreamedResponse::post(
        app.address(),
        &body,
        &[("accept", accept), ("authorization", &bearer)],
    )
    .await
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_without_complete() {
    let app = app_with_provider().await;
    let (short, long) = (token("ann", 3), token("ann", 3600));
    for (token, signs_out) in [(&short, false), (&long, true)] {
        let mut events = stream(&app, token, "text/event-stream").await;
        let mut parts = stream(&app, token, "multipart/mixed;subscriptionSpec=1.0").await;
        if signs_out {
            post(&app, Some(token), SIGN_OUT, json!({})).await;
        }
        let rest = events.read_to_end().await;
        assert!(!rest.contains("event:"), "the stream had an event: {rest}");
        assert!(!parts.read_to_end().await.ends_with("--graphql--\r\n"));
        assert!(
            signs_out || now() >= claims_of(token)["exp"].as_i64().unwrap(),
            "the stream ended before the token expired"
        );
        // An EventSource that reconnects learns the reason.
        assert_eq!(stream(&app, token, "text/event-stream").await.status, 401);
    }
    app.finish().await;
}

#[tokio::test]
async fn a4_fields_and_batch_entries_after_a_sign_out_are_refused() {
    let app = TestApp::start().await;
    let late = r#"sendMessage(roomId: "room-1", text: "late") { id }"#;
    let document = format!(
        r#"mutation {{ signOut late: {late} signOut2: signOut createRoom(name: "x") {{ id }} }}"#
    );
    let answer = post(&app, Some(&app.sign_in("ann").await), &document, json!({})).await;
    assert_eq!(
        answer["data"],
        json!({ "signOut": true, "late": null, "signOut2": null, "createRoom": null })
    );
    let codes: Vec<_> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["extensions"]["code"].clone())
        .collect();
    assert_eq!(codes, ["UNAUTHENTICATED"; 3]);

    let entry = |query: &str| json!({ "query": query });
    let early = r#"mutation { sendMessage(roomId: "room-1", text: "early") { text } }"#;
    let late = format!("mutation {{ {late} }}");
    let batch = json!([
        entry(early),
        entry(SIGN_OUT),
        entry(&late),
        entry("{ viewer { name } }")
    ])
    .to_string();
    let bearer = format!("Bearer {}", app.sign_in("bob").await);
    let answers = http::post(app.address(), &batch, &[("authorization", &bearer)])
        .await
        .json();
    assert_eq!(answers[0]["data"]["sendMessage"]["text"], "early");
    assert_eq!(answers[1], json!({ "data": { "signOut": true } }));
    for at in [2, 3] {
        assert_eq!(
            answers[at]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
            "{answers}"
        );
    }
    let messages = post(
        &app,
        None,
        r#"{ messages(roomId: "room-1") { nodes { text } } }"#,
        json!({}),
    )
    .await;
    assert_eq!(
        messages["data"]["messages"]["nodes"],
        json!([{ "text": "early" }])
    );
    app.finish().await;
}

#[tokio::test]
async fn a_mutation_changes_nothing_after_its_token_expires() {
    let hour = 3_600_000_000;
    // Each reading of the clock is an hour later, so the token expires while the document runs.
    let time = AtomicI64::new(now() * 1_000_000);
    let clock = Arc::new(move || Timestamp(time.fetch_add(hour, Ordering::Relaxed)));
    let app = TestApp::with_clock(clock, &["--session-lifetime", "60h"]).await;
    let fields = (0..100).map(|number| format!("r{number}: createRoom(name: \"x\") {{ id }}"));
    let document = format!("mutation {{ {} }}", fields.collect::<Vec<_>>().join(" "));
    let answer = post(&app, Some(&app.sign_in("ann").await), &document, json!({})).await;
    let made: Vec<bool> = (0..100)
        .map(|number| answer["data"][format!("r{number}")].is_object())
        .collect();
    assert!(
        made[0] && !made[99] && made.is_sorted_by(|one, next| one >= next),
        "{made:?}"
    );
    let codes = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["extensions"]["code"]);
    assert_eq!(
        codes.filter(|code| *code == "UNAUTHENTICATED").count(),
        made.iter().filter(|made| !**made).count()
    );
    app.finish().await;
}

#[tokio::test]
async fn a_waiting_poll_ends_when_its_token_expires() {
    let app = app_with_provider().await;
    let head = post(&app, None, r#"{ room(id: "room-1") { head } }"#, json!({})).await;
    let query = "query ($after: Cursor!) { pollMessages(roomId: \"room-1\", after: $after, wait: 55) { cursor } }";
    let variables = json!({ "after": head["data"]["room"]["head"] });
    let poll = async { code(&app, Some(&token("ann", 2)), query, variables).await };
    assert_eq!(
        wait_for("the end of the poll", poll).await,
        "UNAUTHENTICATED"
    );
    app.finish().await;
}

#[tokio::test]
async fn a1_two_authorizations_are_refused() {
    let app = TestApp::start().await;
    let [ann, bob] = ["ann", "bob"].map(|name| app.sign_in(name));
    let [ann, bob] = [ann.await, bob.await].map(|token| format!("Bearer {token}"));
    let query = json!({ "query": "{ viewer { name } }" }).to_string();
    for pair in [[&ann, &bob], [&bob, &ann], [&ann, &ann]] {
        let headers = pair.map(|value| ("authorization", value.as_str()));
        let reply = http::post(app.address(), &query, &headers).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (401, "UNAUTHENTICATED")
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));

        let spelled = json!({ "authorization": pair[0], "Authorization": pair[1] });
        let mut client = Client::open(app.address()).await;
        client
            .send(&json!({ "type": "connection_init", "payload": spelled }))
            .await;
        assert_eq!(client.try_receive().await, Err(forbidden()));
        let mut client = app.client(Some(&ann[7..])).await;
        client
            .send(&json!({ "type": "ping", "payload": spelled }))
            .await;
        assert_eq!(client.receive().await["type"], "pong");
        assert_eq!(client.try_receive().await, Err(forbidden()));

        let mut upgrade =
            ClientRequestBuilder::new(format!("ws://{}/graphql", app.address()).parse().unwrap())
                .with_sub_protocol("graphql-transport-ws")
                .into_client_request()
                .unwrap();
        for value in pair {
            upgrade
                .headers_mut()
                .append("authorization", value.parse().unwrap());
        }
        let (mut socket, _) = tokio_tungstenite::connect_async(upgrade).await.unwrap();
        socket
            .send(Message::text(r#"{"type":"connection_init"}"#))
            .await
            .unwrap();
        let Some(Ok(Message::Close(Some(frame)))) = wait_for("a close frame", socket.next()).await
        else {
            panic!("no close frame")
        };
        assert_eq!(u16::from(frame.code), 4403);
    }
    let one_is_null = json!({ "authorization": null, "Authorization": ann });
    let mut client = Client::open(app.address()).await;
    client
        .send(&json!({ "type": "connection_init", "payload": one_is_null }))
        .await;
    assert_eq!(client.receive().await["type"], "connection_ack");
    drop(client);
    app.finish().await;
}
