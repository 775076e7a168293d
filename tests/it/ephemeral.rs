//! What is not kept, below the transports: who listens, what they see, and what it costs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_graphql::Variables;
use serde_json::{Value, json};
use switchboard::{
    domain::{Caller, Seq, Timestamp, User, UserId, UserName, Viewer, Visibility},
    hub::HubLimits,
    presence::{Instant, Lobby, PresenceLimits},
    schema::{Answer, Request, RequestContext},
    store::RoomChange,
    view::{Frame, ReadError, Reader, ViewLimits},
};

use crate::support::{
    core::{Core, take},
    soon,
};

const TYPING: &str = "subscription ($room: ID!) { typing(roomId: $room) { users { name } } }";
const SIGNALS: &str =
    "subscription ($room: ID!) { signals(roomId: $room) { kind data direct sender { name } } }";

async fn listen(core: &Core, caller: Caller, query: &str, room: &str) -> Reader {
    core.subscribe(caller, query.to_owned(), json!({ "room": room }))
        .await
        .unwrap()
}

/// The result of a mutation, or the code of its refusal.
async fn ask(core: &Core, viewer: Viewer, field: &str) -> Result<Value, String> {
    let request = Request {
        query: format!("mutation {{ answer: {field} }}"),
        ..Request::default()
    };
    let request = Request {
        variables: Variables::default(),
        ..request
    };
    let Answer::Executed(response) = core
        .schema
        .execute(
            core.schema.prepare(request).unwrap(),
            Caller::Viewer(viewer),
            &RequestContext::default(),
            None,
        )
        .await
    else {
        panic!("{field} was refused")
    };
    let response = serde_json::to_value(&response).unwrap();
    match response["errors"][0]["extensions"]["code"].as_str() {
        Some(code) => Err(code.to_owned()),
        None => Ok(response["data"]["answer"].clone()),
    }
}

async fn signal(core: &Core, viewer: Viewer, room: &str, data: u64) {
    let field = format!(r#"sendSignal(roomId: "{room}", kind: "k", data: {data})"#);
    assert_eq!(ask(core, viewer, &field).await, Ok(json!(true)));
}

/// The names in a frame of [`TYPING`].
fn names(frame: &Frame) -> Vec<String> {
    let payload: Value = serde_json::from_str(&frame.payload).unwrap();
    let users = payload["data"]["typing"]["users"]
        .as_array()
        .unwrap_or_else(|| panic!("{payload}"))
        .clone();
    users
        .iter()
        .map(|user| user["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What a frame of [`SIGNALS`] says, or its kind if that is the server's.
fn said(frame: &Frame) -> String {
    let payload: Value = serde_json::from_str(&frame.payload).unwrap();
    let signal = &payload["data"]["signals"];
    match signal["kind"]
        .as_str()
        .unwrap_or_else(|| panic!("{payload}"))
    {
        "_open" => "_open".to_owned(),
        _ => signal["data"].to_string(),
    }
}

async fn next_names(reader: &mut Reader) -> Vec<String> {
    names(&take(reader, 1).await[0])
}

async fn next_said(reader: &mut Reader) -> String {
    said(&take(reader, 1).await[0])
}

/// What is there to take right now.
async fn now(reader: &mut Reader) -> Poll<Result<Vec<Frame>, ReadError>> {
    let mut frames = Vec::new();
    futures::poll!(std::future::poll_fn(|cx| reader.poll_take(
        cx,
        usize::MAX,
        &mut frames
    )))
    .map(|result| result.map(|()| frames))
}

fn stranger(number: u32) -> Arc<User> {
    let id = UserId::from_uuid(uuid::Uuid::from_u128(number.into()));
    Arc::new(User {
        id,
        name: UserName::new(&number.to_string()).unwrap(),
        created_at: Timestamp(0),
    })
}

fn lobby(core: &Core) -> Arc<Lobby> {
    core.presence
        .enter(&"room-1".parse().unwrap(), Instant::now())
}

fn set(lobby: &Lobby, number: u32, typing: bool) {
    lobby
        .set_typing(stranger(number), typing, Seq(u64::MAX), Instant::now())
        .unwrap();
}

#[tokio::test]
async fn e1_typing_begins_with_how_it_stands_and_tells_each_change() {
    let core = Core::start().await;
    let bob = core.user("bob").await;
    assert_eq!(
        ask(&core, core.ann, r#"setTyping(roomId: "room-1")"#).await,
        Ok(json!(true))
    );
    let mut reader = listen(&core, Caller::Anonymous, TYPING, "room-1").await;
    assert_eq!(next_names(&mut reader).await, ["ann"]);
    ask(&core, bob, r#"setTyping(roomId: "room-1")"#)
        .await
        .unwrap();
    assert_eq!(next_names(&mut reader).await, ["ann", "bob"]);
    ask(
        &core,
        core.ann,
        r#"setTyping(roomId: "room-1", typing: false)"#,
    )
    .await
    .unwrap();
    assert_eq!(next_names(&mut reader).await, ["bob"]);
    let mut late = listen(&core, Caller::Viewer(bob), TYPING, "room-1").await;
    assert_eq!(next_names(&mut late).await, ["bob"]);
    ask(&core, bob, r#"setTyping(roomId: "room-1", typing: false)"#)
        .await
        .unwrap();
    assert_eq!(next_names(&mut reader).await, [""; 0]);
    drop((reader, late));
    while core.presence.rooms_live(Instant::now()) + core.views.plans_live() > 0 {
        tokio::task::yield_now().await;
    }
}

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
async fn e5_a_burst_of_changes_is_told_once_in_an_interval() {
    let core = Core::start().await;
    let mut reader = listen(&core, Caller::Anonymous, TYPING, "room-1").await;
    let lobby = lobby(&core);
    assert_eq!(next_names(&mut reader).await, [""; 0]);
    tokio::time::pause();
    (1..=50).for_each(|number| set(&lobby, number, true));
    assert_eq!(
        next_names(&mut reader).await.len(),
        20,
        "as many as are shown, all at once"
    );
    // A change every 10 ms for a second.
    let (start, mut told) = (Instant::now(), 0);
    for number in 0..100 {
        set(&lobby, 1, number % 2 == 0);
        tokio::time::advance(Duration::from_millis(10)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        if let Poll::Ready(frames) = now(&mut reader).await {
            told += frames.unwrap().len();
        }
    }
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert!((5..=10).contains(&told), "{told}");
}

#[tokio::test]
async fn typing_lapses_although_nobody_says_anything() {
    let core = Core::start().await;
    let mut reader = listen(&core, Caller::Anonymous, TYPING, "room-1").await;
    let lobby = lobby(&core);
    assert_eq!(next_names(&mut reader).await, [""; 0]);
    tokio::time::pause();
    let start = Instant::now();
    set(&lobby, 1, true);
    assert_eq!(next_names(&mut reader).await, ["1"]);
    tokio::time::sleep_until(start + Duration::from_secs(4)).await;
    set(&lobby, 1, true);
    tokio::time::sleep_until(start + Duration::from_secs(9)).await;
    assert!(now(&mut reader).await.is_pending(), "it was said again");
    // The clock moves only when nothing else does.
    let mut frames = Vec::new();
    reader.take(usize::MAX, &mut frames).await.unwrap();
    assert_eq!(names(&frames[0]), [""; 0]);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn e1_a_slow_reader_of_a_state_skips_what_is_over() {
    let limits = PresenceLimits {
        typing_interval: Duration::ZERO,
        ..PresenceLimits::default()
    };
    let core = Core::within(ViewLimits::default(), HubLimits::default(), limits, |log| {
        log
    })
    .await;
    let mut quick = listen(&core, Caller::Anonymous, TYPING, "room-1").await;
    let mut slow = listen(&core, Caller::Anonymous, TYPING, "room-1").await;
    let lobby = lobby(&core);
    next_names(&mut slow).await;
    next_names(&mut quick).await;
    for number in 1..=10 {
        set(&lobby, number, true);
        assert_eq!(next_names(&mut quick).await.len(), number as usize);
    }
    assert_eq!(next_names(&mut slow).await.len(), 10);
    assert!(now(&mut slow).await.is_pending());
}

#[tokio::test]
async fn e2_every_signal_comes_once_in_order_and_who_is_too_slow_is_told() {
    let views = ViewLimits {
        ring_frames_max: 4,
        ..ViewLimits::default()
    };
    let core = Core::with(views, HubLimits::default(), |log| log).await;
    let mut quick = listen(&core, Caller::Anonymous, SIGNALS, "room-1").await;
    let mut slow = listen(&core, Caller::Anonymous, SIGNALS, "room-1").await;
    assert_eq!(
        (next_said(&mut quick).await, next_said(&mut slow).await),
        ("_open".to_owned(), "_open".to_owned())
    );
    for number in 1..=20 {
        signal(&core, core.ann, "room-1", number).await;
        assert_eq!(next_said(&mut quick).await, number.to_string());
    }
    let frames = take(&mut slow, 5).await;
    assert_eq!(
        frames.iter().map(said).collect::<Vec<_>>(),
        ["_open", "17", "18", "19", "20"]
    );
    signal(&core, core.ann, "room-1", 21).await;
    assert_eq!(
        (next_said(&mut quick).await, next_said(&mut slow).await),
        ("21".to_owned(), "21".to_owned())
    );
}

#[tokio::test]
async fn e2_signals_that_are_lost_before_they_are_encoded_are_told_too() {
    let limits = PresenceLimits {
        signals_kept_max: 3,
        ..PresenceLimits::default()
    };
    let (views, hub) = (ViewLimits::default(), HubLimits::default());
    let core = Core::within(views, hub, limits, |log| log).await;
    let mut reader = listen(&core, Caller::Anonymous, SIGNALS, "room-1").await;
    assert_eq!(next_said(&mut reader).await, "_open");
    // On one thread nothing else runs meanwhile.
    let lobby = lobby(&core);
    for number in 1..=9 {
        let kind = switchboard::domain::SignalKind::new("k").unwrap();
        let data = number.to_string().into();
        let signal = switchboard::presence::Signal {
            sender: stranger(1),
            to: None,
            kind,
            data,
            sent_at: Timestamp(0),
        };
        lobby.signal(signal, Seq(u64::MAX)).unwrap();
    }
    let frames = take(&mut reader, 4).await;
    assert_eq!(
        frames.iter().map(said).collect::<Vec<_>>(),
        ["_open", "7", "8", "9"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_all_who_listen_hear_the_same_in_one_order() {
    let limits = PresenceLimits {
        signals_kept_max: 1_000,
        ..PresenceLimits::default()
    };
    let views = ViewLimits {
        ring_frames_max: 1_000,
        ..ViewLimits::default()
    };
    let core = Arc::new(Core::within(views, HubLimits::default(), limits, |log| log).await);
    let mut readers = Vec::new();
    for query in [
        SIGNALS,
        SIGNALS,
        "subscription ($room: ID!) { signals(roomId: $room) { data kind } }",
    ] {
        let mut reader = listen(&core, Caller::Anonymous, query, "room-1").await;
        assert_eq!(next_said(&mut reader).await, "_open");
        readers.push(reader);
    }
    let senders = [1_000, 2_000, 3_000].map(|first| {
        let core = core.clone();
        tokio::spawn(async move {
            for number in first..first + 100 {
                signal(&core, core.ann, "room-1", number).await;
            }
        })
    });
    let mut heard = Vec::new();
    for reader in &mut readers {
        heard.push(take(reader, 300).await.iter().map(said).collect::<Vec<_>>());
    }
    futures::future::try_join_all(senders).await.unwrap();
    assert!(
        heard.iter().all(|one| *one == heard[0]),
        "all hear the same"
    );
    for first in ["1", "2", "3"] {
        let own: Vec<_> = heard[0]
            .iter()
            .filter(|said| said.starts_with(first))
            .collect();
        assert!(own.len() == 100 && own.is_sorted(), "{own:?}");
    }
}

#[tokio::test]
async fn a_signal_to_one_user_is_for_all_their_readers_and_nobody_else() {
    let core = Core::start().await;
    let bob = core.user("bob").await;
    let mut readers = Vec::new();
    for caller in [
        Caller::Viewer(bob),
        Caller::Viewer(bob),
        Caller::Viewer(core.ann),
        Caller::Anonymous,
    ] {
        let mut reader = listen(&core, caller, SIGNALS, "room-1").await;
        assert_eq!(next_said(&mut reader).await, "_open");
        readers.push(reader);
    }
    let to = bob.user;
    let direct = format!(
        r#"sendSignal(roomId: "room-1", to: "{to}", kind: "offer", data: {{ sdp: "v=0", b: null }})"#
    );
    ask(&core, core.ann, &direct).await.unwrap();
    signal(&core, core.ann, "room-1", 2).await;
    for reader in &mut readers[..2] {
        let frames = take(reader, 2).await;
        let expected = r#"{"data":{"signals":{"kind":"offer","data":{"sdp":"v=0","b":null},"direct":true,"sender":{"name":"ann"}}}}"#;
        assert_eq!(
            (&*frames[0].payload, said(&frames[1]).as_str()),
            (expected, "2")
        );
    }
    // Who sends to all hears it too: they may have come by several ways.
    for reader in &mut readers[2..] {
        assert_eq!(next_said(reader).await, "2");
    }
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
