//! Delivery over real sockets: each subscriber receives each message once, in the same order.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::{
    self,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::support::{
    app::TestApp,
    client::{Client, Closed},
};

#[tokio::test]
async fn the_example_subscription_runs_without_a_token() {
    let app = TestApp::start().await;
    let mut reader = app.client(None).await;
    let id = reader
        .start(
            r#"subscription { newMessage(roomId: "room-1") { id text sender { name } } }"#,
            json!({}),
        )
        .await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let (live, _) = reader.wait_until_live().await;
    assert_eq!(live, id);
    ann.send_message("room-1", "hello").await;
    let next = reader.receive().await;
    assert_eq!(next["id"], json!(id));
    let message = &next["payload"]["data"]["newMessage"];
    assert_eq!(
        (&message["text"], &message["sender"]["name"]),
        (&json!("hello"), &json!("ann"))
    );
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    assert!(next["payload"]["extensions"]["cursor"].is_string());
    drop((reader, ann));
    app.finish().await;
}

#[tokio::test]
async fn a_subscription_can_resume_from_the_cursor_of_the_live_ping() {
    let app = TestApp::start().await;
    let (mut ann, mut bob) = (
        app.client(Some(&app.sign_in("ann").await)).await,
        app.client(None).await,
    );
    ann.send_message("room-1", "before").await;
    let id = bob
        .start(
            r#"subscription { newMessage(roomId: "room-1") { text } }"#,
            json!({}),
        )
        .await;
    let (live, cursor) = bob.wait_until_live().await;
    assert_eq!(
        (live, cursor.as_str()),
        (id, ann.head("room-1").await.as_str())
    );
    drop(bob);
    let last = ann.send_message("room-1", "meanwhile").await;
    let mut bob = app.client(None).await;
    let id = bob.subscribe("room-1", &cursor).await;
    assert_eq!(
        bob.next_message().await,
        ("meanwhile".to_owned(), last.clone())
    );
    assert_eq!(bob.wait_until_live().await, (id, last));
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_receives_every_message_once_in_the_same_order() {
    let app = TestApp::start().await;
    let mut readers = Vec::new();
    for _ in 0..5 {
        let mut reader = app.client(None).await;
        let head = reader.head("room-1").await;
        reader.subscribe("room-1", &head).await;
        readers.push(reader);
    }
    let senders = ["ann", "bob"].map(async |name| {
        let mut client = app.client(Some(&app.sign_in(name).await)).await;
        for number in 0..100 {
            client
                .send_message("room-1", &format!("{name} {number}"))
                .await;
        }
    });
    futures::future::join_all(senders).await;
    let first = readers[0].next_texts(200).await;
    for reader in &mut readers[1..] {
        assert_eq!(reader.next_texts(200).await, first);
    }
    for name in ["ann", "bob"] {
        let own: Vec<_> = first
            .iter()
            .filter(|text| text.starts_with(name))
            .cloned()
            .collect();
        assert_eq!(
            own,
            (0..100)
                .map(|number| format!("{name} {number}"))
                .collect::<Vec<_>>()
        );
    }
    for mut reader in readers {
        reader.fence().await;
        reader.close().await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_restart_keeps_everything_and_cursors_stay_valid() {
    let app = TestApp::start().await;
    let token = app.sign_in("ann").await;
    let mut ann = app.client(Some(&token)).await;
    ann.send_message("room-1", "seen").await;
    let cursor = ann.head("room-1").await;
    for text in ["missed 1", "missed 2"] {
        ann.send_message("room-1", text).await;
    }
    let folder = app.stop().await;
    assert_eq!(
        ann.try_receive().await,
        Err(Closed(1012, "Service restart".to_owned()))
    );

    let app = TestApp::in_folder(folder, &[]).await;
    // The token is still valid after the restart, because its key is in the database.
    let mut ann = app.client(Some(&token)).await;
    ann.subscribe("room-1", &cursor).await;
    assert_eq!(ann.next_texts(2).await, ["missed 1", "missed 2"]);
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    bob.send_message("room-1", "live").await;
    assert_eq!(ann.next_texts(1).await, ["live"]);
    ann.fence().await;
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn s4_the_same_nonce_is_the_same_message() {
    let app = TestApp::start().await;
    let (mut ann, mut bob) = (
        app.client(Some(&app.sign_in("ann").await)).await,
        app.client(Some(&app.sign_in("bob").await)).await,
    );
    let head = ann.head("room-1").await;
    let first = ann.send_with_nonce("room-1", "once", "n 1").await;
    assert_eq!(ann.send_with_nonce("room-1", "once", "n 1").await, first);
    let other = ann.send_with_nonce("room-1", "twice", "n 1").await;
    assert_eq!(other["errors"][0]["extensions"]["code"], "CONFLICT");
    assert_eq!(other["data"], json!({ "sendMessage": null }));
    // Nonces are scoped to their sender.
    let of_bob = bob.send_with_nonce("room-1", "once", "n 1").await;
    assert_ne!(
        of_bob["data"]["sendMessage"]["id"],
        first["data"]["sendMessage"]["id"]
    );
    bob.subscribe("room-1", &head).await;
    assert_eq!(bob.next_texts(2).await, ["once", "once"]);
    bob.fence().await;
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_a_slow_reader_receives_everything_and_delays_no_other() {
    let app = TestApp::with_flags(&["--ring-frames-max", "16", "--tail-events-max", "16"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let mut slow = app.client(None).await;
    slow.subscribe("room-1", &head).await;
    let mut quick = app.client(None).await;
    quick.subscribe("room-1", &head).await;
    // About 6 MB, which is more than the buffers between the server and the reader hold.
    let long = "x".repeat(8_000);
    for number in 0..750 {
        ann.send_message("room-1", &format!("{number} {long}"))
            .await;
        assert!(
            quick
                .next_message()
                .await
                .0
                .starts_with(&format!("{number} "))
        );
    }
    for number in 0..750 {
        assert!(
            slow.next_message()
                .await
                .0
                .starts_with(&format!("{number} "))
        );
    }
    slow.fence().await;
    drop((ann, slow, quick));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reads_nothing_is_disconnected_and_can_resume() {
    let app = TestApp::with_flags(&["--write-timeout", "300ms", "--no-rate-limits"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let mut stuck = app.client(None).await;
    stuck.subscribe("room-1", &head).await;
    let long = "x".repeat(8_000);
    for number in 0..1_500 {
        ann.send_message("room-1", &format!("{number} {long}"))
            .await;
    }
    drop(ann);
    // The server disconnects the client that is stuck, although its connection is open.
    let folder = app.finish().await;
    // The client reads what was on its way, and then a broken connection.
    let mut seen = 0;
    while let Some(Ok(_)) = stuck.socket.next().await {
        seen += 1;
    }
    assert!(seen < 1_500, "the test sent too little to fill the buffers");

    let app = TestApp::in_folder(folder, &[]).await;
    let mut back = app.client(None).await;
    back.subscribe("room-1", &head).await;
    for number in 0..1_500 {
        assert!(
            back.next_message()
                .await
                .0
                .starts_with(&format!("{number} "))
        );
    }
    drop(back);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_while_messages_wait_receives_the_close() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let mut late = app.client(None).await;
    late.subscribe("room-1", &head).await;
    let long = "x".repeat(8_000);
    for number in 0..1_500 {
        ann.send_message("room-1", &format!("{number} {long}"))
            .await;
    }
    // More messages wait than the buffers hold, and the client has read none of them.
    let frame = CloseFrame {
        code: CloseCode::Library(4499),
        reason: "Terminated".into(),
    };
    late.socket
        .send(tungstenite::Message::Close(Some(frame)))
        .await
        .unwrap();
    let closed = loop {
        if let Err(closed) = late.try_receive().await {
            break closed;
        }
    };
    assert_eq!(closed, Closed(4499, "Terminated".to_owned()));
    drop((ann, late));
    app.finish().await;
}

#[tokio::test]
async fn t4_a_quiet_client_is_pinged_and_a_dead_one_is_disconnected() {
    let app = TestApp::with_flags(&["--ping-interval", "50ms", "--pong-timeout", "50ms"]).await;
    let mut alive = app.client(None).await;
    let dead = app.client(None).await;
    // The client that reads answers pings and stays. The other one does not even answer pings.
    let only_alive_left = async {
        while app.connections() > 1 {
            alive.fence().await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    crate::support::wait_for("the end of the dead connection", only_alive_left).await;
    alive.fence().await;
    drop((alive, dead));
    app.finish().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_with_try_again_later() {
    let app = TestApp::with_flags(&["--connections-max", "1"]).await;
    let mut first = app.client(None).await;
    let mut second = Client::open(app.address()).await;
    assert_eq!(
        second.try_receive().await,
        Err(Closed(1013, "Try again later".to_owned()))
    );
    first.fence().await;
    first.close().await;
    drop(second);
    app.finish().await;
}

#[tokio::test]
async fn r1_no_task_is_left_when_the_server_has_stopped() {
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    assert_eq!(alive(), 0);
    let app = TestApp::with_flags(&["--drain-window", "10ms"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    ann.subscribe("room-1", &head).await;
    ann.send_message("room-1", "hello").await;
    assert_eq!(ann.next_texts(1).await, ["hello"]);
    assert_ne!(alive(), 0, "the server has tasks");
    // The client is still connected, and the server closes its socket.
    let closed = async { while let Some(Ok(_)) = ann.socket.next().await {} };
    futures::join!(app.stop(), closed);
    assert_eq!(alive(), 0);
}

#[tokio::test]
async fn r2_readiness_turns_false_before_the_sockets_close() {
    let app = TestApp::start().await;
    // A client that does not answer the close keeps the drain going for a while.
    let silent = app.client(None).await;
    let address = app.address();
    let stopping = tokio::spawn(app.stop());
    let draining = async {
        while crate::support::http::get(address, "/readyz", &[])
            .await
            .status
            != 503
        {
            tokio::task::yield_now().await;
        }
    };
    crate::support::wait_for("503 from /readyz", draining).await;
    drop(silent);
    stopping.await.unwrap();
}
