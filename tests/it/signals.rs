//! Signals, below the transports: each listener receives each signal for it once and in order.

use std::sync::Arc;

use switchboard::{
    domain::{Caller, Seq, Timestamp},
    hub::HubLimits,
    presence::PresenceLimits,
    view::ViewLimits,
};

use crate::support::{
    core::{Core, take_frames},
    ephemeral::{
        SIGNALS, lobby_of_room_1, mutate, next_signal, numbered_user, send_signal, signal_text,
        subscribe,
    },
};

#[tokio::test]
async fn e2_each_signal_arrives_once_in_order_and_a_slow_listener_learns_of_losses() {
    let views = ViewLimits {
        ring_frames_max: 4,
        ..ViewLimits::default()
    };
    let core = Core::with_limits(views, HubLimits::default()).await;
    let mut quick = subscribe(&core, Caller::Anonymous, SIGNALS, "room-1").await;
    let mut slow = subscribe(&core, Caller::Anonymous, SIGNALS, "room-1").await;
    assert_eq!(
        (next_signal(&mut quick).await, next_signal(&mut slow).await),
        ("_open".to_owned(), "_open".to_owned())
    );
    for number in 1..=20 {
        send_signal(&core, core.ann, "room-1", number).await;
        assert_eq!(next_signal(&mut quick).await, number.to_string());
    }
    let frames = take_frames(&mut slow, 5).await;
    assert_eq!(
        frames.iter().map(signal_text).collect::<Vec<_>>(),
        ["_open", "17", "18", "19", "20"]
    );
    send_signal(&core, core.ann, "room-1", 21).await;
    assert_eq!(
        (next_signal(&mut quick).await, next_signal(&mut slow).await),
        ("21".to_owned(), "21".to_owned())
    );
}

#[tokio::test]
async fn the_keys_of_data_keep_their_order() {
    let core = Core::start().await;
    let mut reader = subscribe(&core, Caller::Anonymous, SIGNALS, "room-1").await;
    assert_eq!(next_signal(&mut reader).await, "_open");
    let field =
        r#"sendSignal(roomId: "room-1", kind: "k", data: { z: 1, a: { y: 2, b: 3 }, m: [] })"#;
    mutate(&core, core.ann, field).await.unwrap();
    let frames = take_frames(&mut reader, 1).await;
    let text = frames[0].payload.to_string();
    assert!(
        text.contains(r#""data":{"z":1,"a":{"y":2,"b":3},"m":[]}"#),
        "{text}"
    );
}

#[tokio::test]
async fn e2_signals_lost_before_they_are_encoded_are_reported_too() {
    let limits = PresenceLimits {
        signals_kept_max: 3,
        ..PresenceLimits::default()
    };
    let (views, hub) = (ViewLimits::default(), HubLimits::default());
    let core = Core::with_all_limits(views, hub, limits).await;
    let mut reader = subscribe(&core, Caller::Anonymous, SIGNALS, "room-1").await;
    assert_eq!(next_signal(&mut reader).await, "_open");
    // There is one thread, so no other task runs during this loop.
    let lobby = lobby_of_room_1(&core);
    for number in 1..=9 {
        let kind = switchboard::domain::SignalKind::new("k").unwrap();
        let data = number.to_string().into();
        let signal = switchboard::presence::Signal {
            sender: numbered_user(1),
            to: None,
            kind,
            data,
            sent_at: Timestamp(0),
        };
        lobby.signal(signal, Seq(u64::MAX)).unwrap();
    }
    let frames = take_frames(&mut reader, 4).await;
    assert_eq!(
        frames.iter().map(signal_text).collect::<Vec<_>>(),
        ["_open", "7", "8", "9"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_all_listeners_receive_the_same_signals_in_one_order() {
    let limits = PresenceLimits {
        signals_kept_max: 1_000,
        ..PresenceLimits::default()
    };
    let views = ViewLimits {
        ring_frames_max: 1_000,
        ..ViewLimits::default()
    };
    let core = Arc::new(Core::with_all_limits(views, HubLimits::default(), limits).await);
    let mut readers = Vec::new();
    for query in [
        SIGNALS,
        SIGNALS,
        "subscription ($room: ID!) { signals(roomId: $room) { data kind } }",
    ] {
        let mut reader = subscribe(&core, Caller::Anonymous, query, "room-1").await;
        assert_eq!(next_signal(&mut reader).await, "_open");
        readers.push(reader);
    }
    let senders = [1_000, 2_000, 3_000].map(|first| {
        let core = core.clone();
        tokio::spawn(async move {
            for number in first..first + 100 {
                send_signal(&core, core.ann, "room-1", number).await;
            }
        })
    });
    let mut received = Vec::new();
    for reader in &mut readers {
        received.push(
            take_frames(reader, 300)
                .await
                .iter()
                .map(signal_text)
                .collect::<Vec<_>>(),
        );
    }
    futures::future::try_join_all(senders).await.unwrap();
    assert!(
        received.iter().all(|one| *one == received[0]),
        "all listeners receive the same"
    );
    for first in ["1", "2", "3"] {
        let own: Vec<_> = received[0]
            .iter()
            .filter(|data| data.starts_with(first))
            .collect();
        assert!(own.len() == 100 && own.is_sorted(), "{own:?}");
    }
}

#[tokio::test]
async fn a_direct_signal_reaches_all_readers_of_its_user_and_no_others() {
    let core = Core::start().await;
    let bob = core.create_user("bob").await;
    let mut readers = Vec::new();
    for caller in [
        Caller::Viewer(bob),
        Caller::Viewer(bob),
        Caller::Viewer(core.ann),
        Caller::Anonymous,
    ] {
        let mut reader = subscribe(&core, caller, SIGNALS, "room-1").await;
        assert_eq!(next_signal(&mut reader).await, "_open");
        readers.push(reader);
    }
    let to = bob.user;
    let direct = format!(
        r#"sendSignal(roomId: "room-1", to: "{to}", kind: "offer", data: {{ sdp: "v=0", b: null }})"#
    );
    mutate(&core, core.ann, &direct).await.unwrap();
    send_signal(&core, core.ann, "room-1", 2).await;
    for reader in &mut readers[..2] {
        let frames = take_frames(reader, 2).await;
        let expected = r#"{"data":{"signals":{"kind":"offer","data":{"sdp":"v=0","b":null},"direct":true,"sender":{"name":"ann"}}}}"#;
        assert_eq!(
            (&*frames[0].payload, signal_text(&frames[1]).as_str()),
            (expected, "2")
        );
    }
    // The sender receives their own signal too, because they may have several clients.
    for reader in &mut readers[2..] {
        assert_eq!(next_signal(reader).await, "2");
    }
}
