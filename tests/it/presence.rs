//! Presence, below the transports: which users are in a room.

use std::{collections::BTreeSet, sync::Arc, task::Poll, time::Duration};

use async_graphql::Variables;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use switchboard::{
    domain::{Caller, Seq, Timestamp, Viewer, Visibility},
    hub::HubLimits,
    presence::{Attendance, Instant, Lobby, Person, Position, PresenceLimits},
    schema::{Answer, Request, RequestContext},
    store::RoomChange,
    view::{Frame, ReadError, Reader, ViewLimits},
};

use crate::support::{
    core::{Core, TakeFrames, take_frames},
    wait_for,
};

const PRESENCE: &str = "subscription ($room: ID!) { presence(roomId: $room) {
    count present { user { name } } joined { user { name } } left { name } } }";

/// Limits that send every change at once and have no grace period.
fn immediate() -> PresenceLimits {
    PresenceLimits {
        presence_interval: Duration::ZERO,
        presence_grace: Duration::ZERO,
        ..PresenceLimits::default()
    }
}

async fn core(presence: PresenceLimits) -> Core {
    Core::with_all_limits(ViewLimits::default(), HubLimits::default(), presence).await
}

async fn follow(core: &Core, caller: Caller, room: &str) -> Reader {
    core.subscribe(caller, PRESENCE.to_owned(), json!({ "room": room }))
        .await
        .unwrap()
}

fn event(frame: &Frame) -> Value {
    let payload: Value = serde_json::from_str(&frame.payload).unwrap();
    assert!(
        payload["errors"].is_null() && payload["extensions"].is_null(),
        "{payload}"
    );
    payload["data"]["presence"].clone()
}

fn names(users: &Value) -> Vec<&str> {
    let name = |user: &'_ Value| {
        user["user"]["name"]
            .as_str()
            .or(user["name"].as_str())
            .map(str::len)
    };
    assert!(
        users
            .as_array()
            .unwrap()
            .iter()
            .all(|user| name(user).is_some()),
        "{users}"
    );
    let users = users.as_array().unwrap().iter();
    users
        .map(|user| {
            user["user"]["name"]
                .as_str()
                .unwrap_or_else(|| user["name"].as_str().unwrap())
        })
        .collect()
}

/// The next event as text: `present …`, or `+` the users who joined and `-` those who left, and the
/// count of present users.
async fn next_event(reader: &mut Reader) -> String {
    let mut frames = Vec::new();
    // One frame at a time.
    wait_for("a frame", reader.take(1, &mut frames))
        .await
        .unwrap();
    let event = event(&frames[0]);
    let count = &event["count"];
    match &event["present"] {
        Value::Null => {
            format!(
                "+{} -{} = {count}",
                names(&event["joined"]).join(","),
                names(&event["left"]).join(",")
            )
        }
        present => format!("present {} = {count}", names(present).join(",")),
    }
}

fn lobby(core: &Core, room: &str) -> Arc<Lobby> {
    core.presence.enter(&room.parse().unwrap(), Instant::now())
}

fn attend(lobby: &Arc<Lobby>, viewer: Viewer) -> Attendance {
    let person = Person {
        user: viewer.user,
        since: Timestamp(0),
    };
    lobby
        .attend(person, Seq(u64::MAX), Instant::now())
        .ok()
        .unwrap()
}

async fn users(core: &Core, count: usize) -> Vec<Viewer> {
    let mut users = Vec::new();
    for number in 0..count {
        users.push(core.create_user(&format!("u{number}")).await);
    }
    users
}

#[tokio::test]
async fn e1_a_user_with_several_subscriptions_is_present_once() {
    let core = core(immediate()).await;
    let bob = core.create_user("bob").await;
    let mut reader = follow(&core, Caller::Anonymous, "room-1").await;
    assert_eq!(next_event(&mut reader).await, "present  = 0");
    let first = core
        .reader_as(Caller::Viewer(core.ann), "room-1", "text", None)
        .await
        .unwrap();
    assert_eq!(next_event(&mut reader).await, "+ann - = 1");
    let second = core
        .reader_as(Caller::Viewer(core.ann), "room-1", "id", None)
        .await
        .unwrap();
    let mut bob_reader = follow(&core, Caller::Viewer(bob), "room-1").await;
    assert_eq!(next_event(&mut reader).await, "+bob - = 2");
    // The first snapshot may not have everybody yet.
    while !next_event(&mut bob_reader).await.ends_with("= 2") {}
    drop(first);
    let anonymous = core.reader("text", None).await;
    drop(bob_reader);
    assert_eq!(
        next_event(&mut reader).await,
        "+ -bob = 1",
        "ann is still present, and an anonymous client never is"
    );
    drop(second);
    assert_eq!(next_event(&mut reader).await, "+ -ann = 0");
    drop((reader, anonymous));
    while core.presence.rooms_live(Instant::now()) + core.views.plans_live() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_user_who_returns_within_the_grace_period_never_leaves() {
    let core = core(PresenceLimits::default()).await;
    let query = r#"subscription { presence(roomId: "room-1") { count } }"#;
    let mut reader = core
        .subscribe(Caller::Anonymous, query.to_owned(), json!({}))
        .await
        .unwrap();
    let lobby = lobby(&core, "room-1");
    assert_eq!(event(&take_frames(&mut reader, 1).await[0])["count"], 0);
    tokio::time::pause();
    let attendance = attend(&lobby, core.ann);
    assert_eq!(event(&take_frames(&mut reader, 1).await[0])["count"], 1);
    drop(attendance);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let attendance = attend(&lobby, core.ann);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut frames = Vec::new();
    let polled = futures::poll!(std::future::poll_fn(|cx| reader.poll_take(
        cx,
        99,
        &mut frames
    )));
    assert_eq!(polled, Poll::Pending);
    let gone = Instant::now();
    drop(attendance);
    // The paused clock moves only when all tasks are idle.
    reader.take(99, &mut frames).await.unwrap();
    assert_eq!(
        (event(&frames[0])["count"].clone(), gone.elapsed().as_secs()),
        (json!(0), 5)
    );
}

#[tokio::test]
async fn e5_changes_of_presence_are_batched() {
    let core = core(PresenceLimits {
        presence_grace: Duration::ZERO,
        ..PresenceLimits::default()
    })
    .await;
    let query = r#"subscription { presence(roomId: "room-1") { count } }"#;
    let mut reader = core
        .subscribe(Caller::Anonymous, query.to_owned(), json!({}))
        .await
        .unwrap();
    let (lobby, viewers) = (lobby(&core, "room-1"), users(&core, 50).await);
    take_frames(&mut reader, 1).await;
    tokio::time::pause();
    let (start, mut attendances, mut counts) = (Instant::now(), Vec::new(), Vec::new());
    for viewer in viewers {
        attendances.push(attend(&lobby, viewer));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut frames = Vec::new();
        let _ = futures::poll!(std::future::poll_fn(|cx| reader.poll_take(
            cx,
            9_999,
            &mut frames
        )));
        counts.extend(
            frames
                .iter()
                .map(|frame| event(frame)["count"].as_u64().unwrap()),
        );
    }
    assert_eq!(start.elapsed().as_secs(), 5);
    assert!((4..=6).contains(&counts.len()), "{counts:?}");
    assert!(
        counts.is_sorted() && *counts.last().unwrap() > 35,
        "{counts:?}"
    );
}

#[tokio::test]
async fn e3_a_bounded_number_of_users_is_listed_and_all_are_counted() {
    let core = core(PresenceLimits {
        presence_shown_max: 2,
        ..immediate()
    })
    .await;
    let (lobby, viewers) = (lobby(&core, "room-1"), users(&core, 8).await);
    let mut attendances: Vec<_> = viewers[..3]
        .iter()
        .map(|viewer| attend(&lobby, *viewer))
        .collect();
    let mut reader = follow(&core, Caller::Anonymous, "room-1").await;
    assert_eq!(next_event(&mut reader).await, "present u0,u1 = 3");
    attendances.extend(viewers[3..5].iter().map(|viewer| attend(&lobby, *viewer)));
    assert_eq!(next_event(&mut reader).await, "+u3,u4 - = 5");
    attendances.extend(viewers[5..].iter().map(|viewer| attend(&lobby, *viewer)));
    assert_eq!(
        next_event(&mut reader).await,
        "present u0,u1 = 8",
        "more users joined than may be listed, so the reader gets a snapshot"
    );
    let request = Request {
        query: r#"{ room(id: "room-1") { presence { user { name } since } } }"#.to_owned(),
        variables: Variables::default(),
        ..Request::default()
    };
    let Answer::Executed(answer) = core
        .schema
        .execute(
            core.schema.prepare(request).unwrap(),
            Caller::Anonymous,
            &RequestContext::default(),
            None,
        )
        .await
    else {
        panic!("the query was refused")
    };
    let answer = serde_json::to_value(&answer).unwrap();
    assert_eq!(names(&answer["data"]["room"]["presence"]), ["u0", "u1"]);
}

#[tokio::test]
async fn v1_followers_of_one_document_share_each_frame() {
    let core = core(immediate()).await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(follow(&core, Caller::Anonymous, "room-1").await);
    }
    let mut openings = Vec::new();
    for reader in &mut readers {
        openings.extend(take_frames(reader, 1).await);
    }
    let _here = attend(&lobby(&core, "room-1"), core.ann);
    let mut changes = Vec::new();
    for reader in &mut readers {
        changes.extend(take_frames(reader, 1).await);
    }
    for frames in [openings, changes] {
        assert!(
            frames
                .iter()
                .all(|frame| Arc::ptr_eq(&frame.payload, &frames[0].payload))
        );
    }
}

/// The state of a client that applies events as the documentation says.
#[derive(Default)]
struct ClientState(BTreeSet<String>);

impl ClientState {
    fn apply(&mut self, frames: &[Frame]) {
        for event in frames.iter().map(event) {
            let set = |users: &Value| {
                names(users)
                    .into_iter()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            if !event["present"].is_null() {
                self.0 = set(&event["present"]).into_iter().collect();
            }
            set(&event["left"])
                .iter()
                .for_each(|name| assert!(self.0.remove(name), "{name} left without being present"));
            set(&event["joined"])
                .into_iter()
                .for_each(|name| assert!(self.0.insert(name.clone()), "{name} joined twice"));
            assert_eq!(event["count"], self.0.len());
        }
    }
}

impl ClientState {
    /// Reads until the state is as expected.
    async fn read_until(&mut self, reader: &mut Reader, expected: &BTreeSet<String>) {
        while self.0 != *expected {
            let mut frames = Vec::new();
            wait_for("the expected state", reader.take(500, &mut frames))
                .await
                .unwrap();
            self.apply(&frames);
        }
    }
}

/// Users come and go at random. Readers start at any time and read at random moments.
async fn follow_random_changes(seed: u64) {
    let (mut random, views) = (
        StdRng::seed_from_u64(seed),
        ViewLimits {
            ring_frames_max: 4,
            ..ViewLimits::default()
        },
    );
    let limits = PresenceLimits {
        presence_moves_kept_max: 6,
        ..immediate()
    };
    let core = Core::with_all_limits(views, HubLimits::default(), limits).await;
    let (lobby, viewers) = (lobby(&core, "room-1"), users(&core, 10).await);
    let mut attendances: Vec<Vec<Attendance>> = viewers.iter().map(|_| Vec::new()).collect();
    let (mut leader, mut leader_state) = (
        follow(&core, Caller::Anonymous, "room-1").await,
        ClientState::default(),
    );
    let mut readers = Vec::new();
    for step in 0..300 {
        let number = random.random_range(0..viewers.len());
        match random.random_range(0..3) {
            0 => attendances[number].push(attend(&lobby, viewers[number])),
            1 => _ = attendances[number].pop(),
            // One reader reads everything at once, so that events are made before more changes
            // happen.
            _ => {
                leader_state
                    .read_until(&mut leader, &present(&attendances))
                    .await
            }
        }
        if step % 60 == 0 {
            readers.push((
                follow(&core, Caller::Anonymous, "room-1").await,
                ClientState::default(),
            ));
        }
        for (reader, state) in &mut readers {
            let mut frames = Vec::new();
            if random.random_bool(0.1) {
                let _ = futures::poll!(std::future::poll_fn(|cx| reader.poll_take(
                    cx,
                    500,
                    &mut frames
                )));
            }
            state.apply(&frames);
        }
    }
    for (reader, state) in &mut readers {
        state.read_until(reader, &present(&attendances)).await;
    }
}

/// The names of the users who are present.
fn present(attendances: &[Vec<Attendance>]) -> BTreeSet<String> {
    (0..attendances.len())
        .filter(|at| !attendances[*at].is_empty())
        .map(|at| format!("u{at}"))
        .collect()
}

#[tokio::test]
async fn e1_every_follower_ends_in_the_same_state() {
    for seed in 0..8 {
        follow_random_changes(seed).await;
    }
}

#[tokio::test]
async fn e4_a_shut_out_user_is_no_longer_present() {
    let core = core(PresenceLimits {
        presence_interval: Duration::ZERO,
        ..PresenceLimits::default()
    })
    .await;
    let (bob, eve) = (core.create_user("bob").await, core.create_user("eve").await);
    core.create_room("p", Visibility::Public).await;
    core.add_member("p", bob).await;
    let mut ann_reader = follow(&core, Caller::Viewer(core.ann), "p").await;
    assert_eq!(next_event(&mut ann_reader).await, "present ann = 1");
    // A reader of the log counts as present. It leaves the state before it notices itself that it
    // is shut out.
    let eve_reader = core
        .reader_as(Caller::Viewer(eve), "p", "text", None)
        .await
        .unwrap();
    assert_eq!(next_event(&mut ann_reader).await, "+eve - = 2");
    let mut bob_reader = follow(&core, Caller::Viewer(bob), "p").await;
    assert_eq!(next_event(&mut ann_reader).await, "+bob - = 3");
    let visibility = Some(Visibility::Private);
    core.change_room(
        core.ann,
        "p",
        RoomChange::Update {
            name: None,
            visibility,
            slow_mode_seconds: None,
        },
    )
    .await;
    assert_eq!(next_event(&mut ann_reader).await, "+ -eve = 2");
    core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user))
        .await;
    assert_eq!(next_event(&mut ann_reader).await, "+ -bob = 1");
    let mut frames = Vec::new();
    while wait_for(
        "the end of the reader",
        bob_reader.take(usize::MAX, &mut frames),
    )
    .await
        != Err(ReadError::ShutOut)
    {}
    // Bob is added again while the old reader still exists. Dropping that reader changes nothing.
    core.add_member("p", bob).await;
    let _back = core
        .reader_as(Caller::Viewer(bob), "p", "text", None)
        .await
        .unwrap();
    assert_eq!(next_event(&mut ann_reader).await, "+bob - = 2");
    drop((bob_reader, eve_reader));
    assert_eq!(
        lobby(&core, "p")
            .occupancy(Position(0), Instant::now() + Duration::from_secs(9))
            .count,
        2
    );
}
