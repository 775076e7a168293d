//! What typing and signals have in common, below the transports: views, rights and failures.

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
    core::{Core, take},
    ephemeral::{
        SIGNALS, TYPING, ask, listen, lobby, next_names, next_said, now, said, set, signal,
    },
    soon,
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
        readers.push(listen(&core, Caller::Anonymous, query, "room-1").await);
    }
    readers.push(listen(&core, Caller::Viewer(core.ann), SIGNALS, "room-1").await);
    let typing = [(); 3].map(|()| listen(&core, Caller::Anonymous, TYPING, "room-1"));
    let mut typing = futures::future::join_all(typing).await;
    let mut frames = Vec::new();
    for reader in &mut readers {
        assert_eq!(next_said(reader).await, "_open");
    }
    signal(&core, core.ann, "room-1", 1).await;
    for reader in &mut readers {
        frames.extend(take(reader, 1).await);
    }
    assert!(
        frames
            .iter()
            .all(|frame| Arc::ptr_eq(&frame.payload, &frames[0].payload))
    );
    let mut states = Vec::new();
    for reader in &mut typing {
        states.extend(take(reader, 1).await);
    }
    assert!(
        states
            .iter()
            .all(|frame| Arc::ptr_eq(&frame.payload, &states[0].payload))
    );
    assert_eq!(core.views.plans_live(), 2);
}

#[tokio::test]
async fn v2_a_document_that_depends_on_the_viewer_has_a_view_of_their_own() {
    let core = Core::start().await;
    core.room("r", Visibility::Public).await;
    let query = "subscription ($room: ID!) { typing(roomId: $room) { users { name } room { id viewerMembership { role } } } }";
    let mut seen = Vec::new();
    for caller in [
        Caller::Viewer(core.ann),
        Caller::Viewer(core.user("bob").await),
        Caller::Anonymous,
    ] {
        let mut reader = listen(&core, caller, query, "r").await;
        let frame = take(&mut reader, 1).await.remove(0);
        let payload: Value = serde_json::from_str(&frame.payload).unwrap();
        assert_eq!(payload["data"]["typing"]["room"]["id"], "r");
        seen.push(payload["data"]["typing"]["room"]["viewerMembership"]["role"].clone());
    }
    assert_eq!(seen, [json!("OWNER"), Value::Null, Value::Null]);
}

#[tokio::test]
async fn e4_who_is_shut_out_hears_nothing_more_and_is_shown_no_longer() {
    let core = Core::start().await;
    let bob = core.user("bob").await;
    core.room("p", Visibility::Private).await;
    core.add("p", bob).await;
    let (mut typing, mut signals) = (
        listen(&core, Caller::Viewer(bob), TYPING, "p").await,
        listen(&core, Caller::Viewer(bob), SIGNALS, "p").await,
    );
    let mut ann = listen(&core, Caller::Viewer(core.ann), TYPING, "p").await;
    ask(&core, bob, r#"setTyping(roomId: "p")"#).await.unwrap();
    signal(&core, core.ann, "p", 1).await;
    while next_names(&mut ann).await != ["bob"] {}
    while next_names(&mut typing).await != ["bob"] {}
    assert_eq!(
        take(&mut signals, 2)
            .await
            .iter()
            .map(said)
            .collect::<Vec<_>>(),
        ["_open", "1"]
    );
    core.change(core.ann, "p", RoomChange::RemoveMember(bob.user))
        .await;
    signal(&core, core.ann, "p", 2).await;
    for reader in [&mut typing, &mut signals] {
        let mut frames = Vec::new();
        assert_eq!(
            soon("the end", reader.take(usize::MAX, &mut frames)).await,
            Err(ReadError::ShutOut)
        );
        assert!(frames.is_empty());
    }
    assert_eq!(next_names(&mut ann).await, [""; 0]);
    assert_eq!(
        ask(&core, bob, r#"setTyping(roomId: "p")"#).await,
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
    // Let in again, nothing of before counts.
    core.add("p", bob).await;
    let mut back = listen(&core, Caller::Viewer(bob), SIGNALS, "p").await;
    assert_eq!(next_said(&mut back).await, "_open");
    signal(&core, core.ann, "p", 3).await;
    assert_eq!(next_said(&mut back).await, "3");
}

#[tokio::test]
async fn e4_who_is_shut_out_of_a_quiet_room_hears_so_too() {
    let core = Core::start().await;
    let bob = core.user("bob").await;
    core.room("p", Visibility::Private).await;
    core.add("p", bob).await;
    for query in [TYPING, SIGNALS] {
        let mut reader = listen(&core, Caller::Viewer(bob), query, "p").await;
        take(&mut reader, 1).await;
        assert!(now(&mut reader).await.is_pending());
        // In a task of its own, which nobody but the reader wakes: one that gives up waiting looks once more.
        let ended = tokio::spawn(async move { reader.take(usize::MAX, &mut Vec::new()).await });
        tokio::task::yield_now().await;
        core.change(core.ann, "p", RoomChange::RemoveMember(bob.user))
            .await;
        assert_eq!(
            soon("the end", ended).await.unwrap(),
            Err(ReadError::ShutOut)
        );
        core.add("p", bob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_a_removal_in_the_middle_of_everything_lets_nothing_through() {
    let core = Arc::new(Core::start().await);
    let bob = core.user("bob").await;
    for round in 0..60 {
        let room = format!("p{round}");
        core.room(&room, Visibility::Private).await;
        core.add(&room, bob).await;
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
            async move { ask(&core, bob, &format!(r#"setTyping(roomId: "{room}")"#)).await }
        });
        core.change(core.ann, &room, RoomChange::RemoveMember(bob.user))
            .await;
        signal(&core, core.ann, &room, 7).await;
        let (opened, typed) = (opening.await.unwrap(), typing.await.unwrap());
        let state = core
            .presence
            .enter(&room.parse().unwrap(), Instant::now())
            .typing(Instant::now());
        assert!(
            state.users.is_empty(),
            "bob is gone and typing, round {round}: {typed:?}"
        );
        let Ok(mut reader) = opened else { continue };
        let mut frames = Vec::new();
        while soon("the end", reader.take(usize::MAX, &mut frames)).await != Err(ReadError::ShutOut)
        {
        }
        assert!(
            frames.iter().all(|frame| said(frame) == "_open"),
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
async fn messages_wake_nobody_who_listens_to_what_is_not_kept() {
    let core = Core::start().await;
    let typing = listen(&core, Caller::Anonymous, TYPING, "room-1").await;
    let mut readers = [
        typing,
        listen(&core, Caller::Anonymous, SIGNALS, "room-1").await,
    ];
    for reader in &mut readers {
        take(reader, 1).await;
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
    core.send(1..=200).await;
    take(&mut log, 200).await;
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    set(&lobby(&core), 1, true);
    while wakes.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn v7_a_passing_failure_is_tried_again_and_a_lasting_one_ends_the_readers() {
    let limits = ViewLimits {
        tries_max: 3,
        retry_first: Duration::from_millis(1),
        ..ViewLimits::default()
    };
    let (core, knobs) = Core::flaky(limits, HubLimits::default()).await;
    let query =
        "subscription ($room: ID!) { typing(roomId: $room) { users { name } room { name } } }";
    let mut reader = listen(&core, Caller::Anonymous, query, "room-1").await;
    let lobby = lobby(&core);
    assert_eq!(next_names(&mut reader).await, [""; 0]);
    knobs.fail(2);
    set(&lobby, 1, true);
    assert_eq!(
        (next_names(&mut reader).await, knobs.failures_left()),
        (vec!["1".to_owned()], 0)
    );
    knobs.fail(u32::MAX);
    set(&lobby, 2, true);
    let mut frames = Vec::new();
    assert_eq!(
        soon("the end", reader.take(usize::MAX, &mut frames)).await,
        Err(ReadError::Unavailable)
    );
    assert!(frames.is_empty());
    knobs.fail(0);
    // Whoever comes back begins with how it stands.
    let mut again = listen(&core, Caller::Anonymous, query, "room-1").await;
    assert_eq!(next_names(&mut again).await, ["1", "2"]);
}

#[tokio::test]
async fn e3_who_is_too_far_behind_to_know_their_right_comes_back_later() {
    let limits = HubLimits {
        shut_outs_kept_max: 2,
        ..HubLimits::default()
    };
    let core = Core::with(ViewLimits::default(), limits, |log| log).await;
    core.room("p", Visibility::Private).await;
    let mut reader = listen(&core, Caller::Viewer(core.ann), TYPING, "p").await;
    take(&mut reader, 1).await;
    for name in ["b", "c", "d"] {
        let user = core.user(name).await;
        core.add("p", user).await;
        core.change(core.ann, "p", RoomChange::RemoveMember(user.user))
            .await;
    }
    let mut frames = Vec::new();
    assert_eq!(
        reader.take(usize::MAX, &mut frames).await,
        Err(ReadError::Unavailable)
    );
    assert_eq!(
        next_names(&mut listen(&core, Caller::Viewer(core.ann), TYPING, "p").await).await,
        [""; 0]
    );
}
