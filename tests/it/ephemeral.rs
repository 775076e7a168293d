//! The common behaviour of typing and signals, below the transports: views, rights and failures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use serde_json::{Value, json};
use switchboard::{
    domain::{Caller, Visibility},
    hub::HubLimits,
    presence::Instant,
    store::RoomChange,
    view::{ReadError, Reader, ViewLimits},
};

use crate::support::{
    core::{Core, TakeFrames, take_frames},
    ephemeral::{
        SIGNALS, TYPING, lobby_of_room_1, mutate, next_signal, next_typing_names, send_signal,
        set_typing, signal_text, subscribe, take_ready,
    },
    wait_for,
};

#[tokio::test]
async fn v1_listeners_of_one_document_share_each_frame() {
    let core = Core::start().await;
    let spellings = [
        SIGNALS,
        "subscription($room:ID!){signals(roomId:$room){kind,data,direct sender{name}}}",
    ];
    let mut readers = Vec::new();
    for query in spellings {
        readers.push(subscribe(&core, Caller::Anonymous, query, "room-1").await);
    }
    readers.push(subscribe(&core, Caller::Viewer(core.ann), SIGNALS, "room-1").await);
    let typing = [(); 3].map(|()| subscribe(&core, Caller::Anonymous, TYPING, "room-1"));
    let mut typing = futures::future::join_all(typing).await;
    let mut frames = Vec::new();
    for reader in &mut readers {
        assert_eq!(next_signal(reader).await, "_open");
    }
    send_signal(&core, core.ann, "room-1", 1).await;
    for reader in &mut readers {
        frames.extend(take_frames(reader, 1).await);
    }
    assert!(
        frames
            .iter()
            .all(|frame| Arc::ptr_eq(&frame.payload, &frames[0].payload))
    );
    let mut states = Vec::new();
    for reader in &mut typing {
        states.extend(take_frames(reader, 1).await);
    }
    assert!(
        states
            .iter()
            .all(|frame| Arc::ptr_eq(&frame.payload, &states[0].payload))
    );
    assert_eq!(core.views.plans_live(), 2);
}

#[tokio::test]
async fn v2_a_document_with_a_viewer_field_has_a_view_for_each_viewer() {
    let core = Core::start().await;
    core.create_room("r", Visibility::Public).await;
    let query = "subscription ($room: ID!) { typing(roomId: $room) { users { name } room { id viewerMembership { role } } } }";
    let mut seen = Vec::new();
    for caller in [
        Caller::Viewer(core.ann),
        Caller::Viewer(core.create_user("bob").await),
        Caller::Anonymous,
    ] {
        let mut reader = subscribe(&core, caller, query, "r").await;
        let frame = take_frames(&mut reader, 1).await.remove(0);
        let payload: Value = serde_json::from_str(&frame.payload).unwrap();
        assert_eq!(payload["data"]["typing"]["room"]["id"], "r");
        seen.push(payload["data"]["typing"]["room"]["viewerMembership"]["role"].clone());
    }
    assert_eq!(seen, [json!("OWNER"), Value::Null, Value::Null]);
}

#[tokio::test]
async fn e4_a_shut_out_user_receives_nothing_more_and_leaves_the_state() {
    let core = Core::start().await;
    let bob = core.create_user("bob").await;
    core.create_room("p", Visibility::Private).await;
    core.add_member("p", bob).await;
    let (mut typing, mut signals) = (
        subscribe(&core, Caller::Viewer(bob), TYPING, "p").await,
        subscribe(&core, Caller::Viewer(bob), SIGNALS, "p").await,
    );
    let mut ann = subscribe(&core, Caller::Viewer(core.ann), TYPING, "p").await;
    mutate(&core, bob, r#"setTyping(roomId: "p")"#)
        .await
        .unwrap();
    send_signal(&core, core.ann, "p", 1).await;
    while next_typing_names(&mut ann).await != ["bob"] {}
    while next_typing_names(&mut typing).await != ["bob"] {}
    assert_eq!(
        take_frames(&mut signals, 2)
            .await
            .iter()
            .map(signal_text)
            .collect::<Vec<_>>(),
        ["_open", "1"]
    );
    core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user))
        .await;
    send_signal(&core, core.ann, "p", 2).await;
    for reader in [&mut typing, &mut signals] {
        let mut frames = Vec::new();
        assert_eq!(
            wait_for(
                "the end of the reader",
                reader.take(usize::MAX, &mut frames)
            )
            .await,
            Err(ReadError::ShutOut)
        );
        assert!(frames.is_empty());
    }
    assert_eq!(next_typing_names(&mut ann).await, [""; 0]);
    assert_eq!(
        mutate(&core, bob, r#"setTyping(roomId: "p")"#).await,
        Err("NOT_FOUND".to_owned())
    );
    let again = core
        .subscribe(
            Caller::Viewer(bob),
            TYPING.to_owned(),
            json!({ "room": "p" }),
        )
        .await;
    assert_eq!(again.err().as_deref(), Some("\"NOT_FOUND\""));
    // After Bob is added again, nothing from before reaches him.
    core.add_member("p", bob).await;
    let mut back = subscribe(&core, Caller::Viewer(bob), SIGNALS, "p").await;
    assert_eq!(next_signal(&mut back).await, "_open");
    send_signal(&core, core.ann, "p", 3).await;
    assert_eq!(next_signal(&mut back).await, "3");
}

#[tokio::test]
async fn e4_a_listener_of_a_quiet_room_ends_when_it_is_shut_out() {
    let core = Core::start().await;
    let bob = core.create_user("bob").await;
    core.create_room("p", Visibility::Private).await;
    core.add_member("p", bob).await;
    for query in [TYPING, SIGNALS] {
        let mut reader = subscribe(&core, Caller::Viewer(bob), query, "p").await;
        take_frames(&mut reader, 1).await;
        assert!(take_ready(&mut reader).await.is_pending());
        // The reader runs in its own task, so that only a wake-up lets it notice: a timeout would
        // poll it once more.
        let ended = tokio::spawn(async move { reader.take(usize::MAX, &mut Vec::new()).await });
        tokio::task::yield_now().await;
        core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user))
            .await;
        assert_eq!(
            wait_for("the end of the reader", ended).await.unwrap(),
            Err(ReadError::ShutOut)
        );
        core.add_member("p", bob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_a_removal_during_other_calls_lets_nothing_through() {
    let core = Arc::new(Core::start().await);
    let bob = core.create_user("bob").await;
    for round in 0..60 {
        let room = format!("p{round}");
        core.create_room(&room, Visibility::Private).await;
        core.add_member(&room, bob).await;
        let opening = tokio::spawn({
            let (core, room) = (core.clone(), room.clone());
            async move {
                core.subscribe(
                    Caller::Viewer(bob),
                    SIGNALS.to_owned(),
                    json!({ "room": room }),
                )
                .await
            }
        });
        let typing = tokio::spawn({
            let (core, room) = (core.clone(), room.clone());
            async move { mutate(&core, bob, &format!(r#"setTyping(roomId: "{room}")"#)).await }
        });
        core.change_room(core.ann, &room, RoomChange::RemoveMember(bob.user))
            .await;
        send_signal(&core, core.ann, &room, 7).await;
        let (opened, typed) = (opening.await.unwrap(), typing.await.unwrap());
        let state = core
            .presence
            .enter(&room.parse().unwrap(), Instant::now())
            .typing(Instant::now());
        assert!(
            state.users.is_empty(),
            "Bob is removed but still typing, round {round}: {typed:?}"
        );
        let Ok(mut reader) = opened else { continue };
        let mut frames = Vec::new();
        while wait_for(
            "the end of the reader",
            reader.take(usize::MAX, &mut frames),
        )
        .await
            != Err(ReadError::ShutOut)
        {}
        assert!(
            frames.iter().all(|frame| signal_text(frame) == "_open"),
            "round {round}"
        );
    }
}

#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn messages_do_not_wake_readers_of_ephemeral_state() {
    let core = Core::start().await;
    let typing = subscribe(&core, Caller::Anonymous, TYPING, "room-1").await;
    let mut readers = [
        typing,
        subscribe(&core, Caller::Anonymous, SIGNALS, "room-1").await,
    ];
    for reader in &mut readers {
        take_frames(reader, 1).await;
    }
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut poll = |reader: &mut Reader| {
        let polled = reader.poll_take(
            &mut Context::from_waker(&waker),
            usize::MAX,
            &mut Vec::new(),
        );
        polled.is_pending()
    };
    assert!(readers.iter_mut().all(&mut poll));
    let mut log = core.reader("text", None).await;
    core.send_messages(1..=200).await;
    take_frames(&mut log, 200).await;
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    set_typing(&lobby_of_room_1(&core), 1, true);
    while wakes.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn v7_a_temporary_failure_is_retried_and_a_lasting_one_ends_the_readers() {
    let limits = ViewLimits {
        tries_max: 3,
        retry_first: Duration::from_millis(1),
        ..ViewLimits::default()
    };
    let (core, faults) = Core::with_faults(limits, HubLimits::default()).await;
    let query =
        "subscription ($room: ID!) { typing(roomId: $room) { users { name } room { name } } }";
    let mut reader = subscribe(&core, Caller::Anonymous, query, "room-1").await;
    let lobby = lobby_of_room_1(&core);
    assert_eq!(next_typing_names(&mut reader).await, [""; 0]);
    faults.fail_next(2);
    set_typing(&lobby, 1, true);
    assert_eq!(
        (next_typing_names(&mut reader).await, faults.failures_left()),
        (vec!["1".to_owned()], 0)
    );
    faults.fail_next(u32::MAX);
    set_typing(&lobby, 2, true);
    let mut frames = Vec::new();
    assert_eq!(
        wait_for(
            "the end of the reader",
            reader.take(usize::MAX, &mut frames)
        )
        .await,
        Err(ReadError::Unavailable)
    );
    assert!(frames.is_empty());
    faults.fail_next(0);
    // A new subscription begins with a snapshot.
    let mut again = subscribe(&core, Caller::Anonymous, query, "room-1").await;
    assert_eq!(next_typing_names(&mut again).await, ["1", "2"]);
}

#[tokio::test]
async fn e3_a_reader_too_far_behind_to_check_its_right_ends_as_unavailable() {
    let limits = HubLimits {
        shut_outs_kept_max: 2,
        ..HubLimits::default()
    };
    let core = Core::with_limits(ViewLimits::default(), limits).await;
    core.create_room("p", Visibility::Private).await;
    let mut reader = subscribe(&core, Caller::Viewer(core.ann), TYPING, "p").await;
    take_frames(&mut reader, 1).await;
    for name in ["b", "c", "d"] {
        let user = core.create_user(name).await;
        core.add_member("p", user).await;
        core.change_room(core.ann, "p", RoomChange::RemoveMember(user.user))
            .await;
    }
    let mut frames = Vec::new();
    assert_eq!(
        reader.take(usize::MAX, &mut frames).await,
        Err(ReadError::Unavailable)
    );
    assert_eq!(
        next_typing_names(&mut subscribe(&core, Caller::Viewer(core.ann), TYPING, "p").await).await,
        [""; 0]
    );
}
