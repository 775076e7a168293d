//! Typing, below the transports.

use std::{task::Poll, time::Duration};

use serde_json::json;
use switchboard::{
    domain::Caller,
    hub::HubLimits,
    presence::{Instant, PresenceLimits},
    view::ViewLimits,
};

use crate::support::{
    core::{Core, TakeFrames},
    ephemeral::{
        TYPING, lobby_of_room_1, mutate, next_typing_names, set_typing, subscribe, take_ready,
        typing_names,
    },
};

#[tokio::test]
async fn e1_typing_begins_with_a_snapshot_and_reports_each_change() {
    let core = Core::start().await;
    let bob = core.create_user("bob").await;
    assert_eq!(
        mutate(&core, core.ann, r#"setTyping(roomId: "room-1")"#).await,
        Ok(json!(true))
    );
    let mut reader = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    assert_eq!(next_typing_names(&mut reader).await, ["ann"]);
    mutate(&core, bob, r#"setTyping(roomId: "room-1")"#)
        .await
        .unwrap();
    assert_eq!(next_typing_names(&mut reader).await, ["ann", "bob"]);
    mutate(
        &core,
        core.ann,
        r#"setTyping(roomId: "room-1", typing: false)"#,
    )
    .await
    .unwrap();
    assert_eq!(next_typing_names(&mut reader).await, ["bob"]);
    let mut late = subscribe(&core, Caller::Viewer(bob), TYPING, "room-1").await;
    assert_eq!(next_typing_names(&mut late).await, ["bob"]);
    mutate(&core, bob, r#"setTyping(roomId: "room-1", typing: false)"#)
        .await
        .unwrap();
    assert_eq!(next_typing_names(&mut reader).await, [""; 0]);
    drop((reader, late));
    while core.presence.rooms_live(Instant::now()) + core.views.plans_live() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_typing_of_a_sender_ends_with_the_message() {
    let core = Core::start().await;
    let bob = core.create_user("bob").await;
    for viewer in [core.ann, bob] {
        let typing = mutate(&core, viewer, r#"setTyping(roomId: "room-1")"#).await;
        assert_eq!(typing, Ok(json!(true)));
    }
    let mut reader = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    assert_eq!(next_typing_names(&mut reader).await, ["ann", "bob"]);
    let send = r#"sendMessage(roomId: "room-1", text: "hi", nonce: "1") { text }"#;
    mutate(&core, core.ann, send).await.unwrap();
    assert_eq!(next_typing_names(&mut reader).await, ["bob"]);
    // Sending it again is no new message.
    mutate(&core, core.ann, r#"setTyping(roomId: "room-1")"#)
        .await
        .unwrap();
    assert_eq!(next_typing_names(&mut reader).await, ["bob", "ann"]);
    mutate(&core, core.ann, send).await.unwrap();
    let mut still = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    assert_eq!(next_typing_names(&mut still).await, ["bob", "ann"]);
}

#[tokio::test]
async fn e5_a_burst_of_changes_is_sent_once_per_interval() {
    let core = Core::start().await;
    let mut reader = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    let lobby = lobby_of_room_1(&core);
    assert_eq!(next_typing_names(&mut reader).await, [""; 0]);
    tokio::time::pause();
    (1..=50).for_each(|number| set_typing(&lobby, number, true));
    assert_eq!(
        next_typing_names(&mut reader).await.len(),
        20,
        "the limit of listed users, in one frame"
    );
    // A change every 10 ms for a second.
    let (start, mut frame_count) = (Instant::now(), 0);
    for number in 0..100 {
        set_typing(&lobby, 1, number % 2 == 0);
        tokio::time::advance(Duration::from_millis(10)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        if let Poll::Ready(frames) = take_ready(&mut reader).await {
            frame_count += frames.unwrap().len();
        }
    }
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert!((5..=10).contains(&frame_count), "{frame_count}");
}

#[tokio::test]
async fn typing_expires_without_further_events() {
    let core = Core::start().await;
    let mut reader = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    let lobby = lobby_of_room_1(&core);
    assert_eq!(next_typing_names(&mut reader).await, [""; 0]);
    tokio::time::pause();
    let start = Instant::now();
    set_typing(&lobby, 1, true);
    assert_eq!(next_typing_names(&mut reader).await, ["1"]);
    tokio::time::sleep_until(start + Duration::from_secs(4)).await;
    set_typing(&lobby, 1, true);
    tokio::time::sleep_until(start + Duration::from_secs(9)).await;
    assert!(
        take_ready(&mut reader).await.is_pending(),
        "the second call extended the time"
    );
    // The paused clock moves only when all tasks are idle.
    let mut frames = Vec::new();
    reader.take(usize::MAX, &mut frames).await.unwrap();
    assert_eq!(typing_names(&frames[0]), [""; 0]);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn e1_a_slow_reader_skips_outdated_snapshots() {
    let limits = PresenceLimits {
        typing_interval: Duration::ZERO,
        ..PresenceLimits::default()
    };
    let core = Core::with_all_limits(ViewLimits::default(), HubLimits::default(), limits).await;
    let mut quick = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    let mut slow = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    let lobby = lobby_of_room_1(&core);
    next_typing_names(&mut slow).await;
    next_typing_names(&mut quick).await;
    for number in 1..=10 {
        set_typing(&lobby, number, true);
        assert_eq!(next_typing_names(&mut quick).await.len(), number as usize);
    }
    assert_eq!(next_typing_names(&mut slow).await.len(), 10);
    assert!(take_ready(&mut slow).await.is_pending());
}
