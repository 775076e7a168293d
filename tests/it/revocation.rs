//! Revoked rights and deletions. A user who is shut out receives nothing newer than the event that
//! did so, and no reader receives a deleted text.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

use switchboard::{
    domain::{Caller, RoomName, Viewer, Visibility},
    hub::HubLimits,
    store::RoomChange,
    view::{Frame, ReadError, Reader, ViewLimits},
};

use tokio::task::JoinHandle;

use crate::support::{
    core::{Core, TakeFrames, message_id, seqs, take_frames, text},
    wait_for,
};

/// Reads until the reader ends.
async fn to_the_end(mut reader: Reader) -> (Vec<Frame>, ReadError) {
    let mut frames = Vec::new();
    loop {
        if let Err(end) = wait_for("the end of the reader", reader.take(400, &mut frames)).await {
            return (frames, end);
        }
    }
}

fn small() -> (ViewLimits, HubLimits) {
    (
        ViewLimits {
            ring_frames_max: 8,
            ..ViewLimits::default()
        },
        HubLimits {
            tail_events_max: 8,
            ..HubLimits::default()
        },
    )
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// Starts three readers for Bob: a live one, one far behind, and one with a view of its own.
/// Returns the Seq after which each starts, and its task.
async fn readers_of_bob(
    core: &Core,
    bob: Viewer,
    joined: u64,
) -> Vec<(u64, JoinHandle<(Vec<Frame>, ReadError)>)> {
    let behind = joined.saturating_sub(20);
    let mut readers = Vec::new();
    for (after, document) in [
        (None, "text"),
        (Some(behind), "text"),
        (None, "text room { viewerMembership { role } }"),
    ] {
        let reader = core
            .reader_as(Caller::Viewer(bob), "p", document, after)
            .await
            .unwrap();
        readers.push((after.unwrap_or(joined), tokio::spawn(to_the_end(reader))));
    }
    readers
}

/// The race between a removal and messages. `REVOCATION_MESSAGES=10000 cargo test --release
/// removed_member` runs it at full size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v5_a_removed_member_receives_everything_before_the_removal_and_nothing_after() {
    let (runs, messages) = (
        number("REVOCATION_RUNS", 200),
        number("REVOCATION_MESSAGES", 40),
    );
    let (views, hub) = small();
    let core = Core::with_limits(views, hub).await;
    core.create_room("p", Visibility::Private).await;
    let bob = core.create_user("bob").await;
    let (sent, mut log) = (AtomicU64::new(0), Vec::new());
    for run in 0..runs {
        let joined = core.add_member("p", bob).await.0;
        let (caller, ann) = (Caller::Viewer(bob), Caller::Viewer(core.ann));
        let readers = readers_of_bob(&core, bob, joined).await;
        let mut stays = core.reader_as(ann, "p", "text", None).await.unwrap();
        let sends = async {
            for _ in 0..messages / 8 {
                let batch = (0..8)
                    .map(|_| core.send_message("p", sent.fetch_add(1, Ordering::Relaxed), None));
                let seqs = futures::future::join_all(batch).await;
                log.extend(seqs.into_iter().map(|seq| seq.0));
            }
        };
        // The removal happens somewhere in the middle, at another place in each run.
        let due = sent.load(Ordering::Relaxed) + run * 7919 % messages;
        let removal = async {
            while sent.load(Ordering::Relaxed) < due {
                tokio::task::yield_now().await;
            }
            core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user))
                .await
                .0
        };
        let ((), removed) = tokio::join!(sends, removal);
        log.sort_unstable();
        let between = |after: u64, before: u64| {
            log.iter()
                .copied()
                .filter(move |seq| *seq > after && *seq < before)
        };
        for (after, reader) in readers {
            let (frames, end) = reader.await.unwrap();
            assert_eq!(end, ReadError::ShutOut);
            assert_eq!(
                seqs(&frames),
                between(after, removed).collect::<Vec<_>>(),
                "run {run}, removed by {removed}"
            );
        }
        let all: Vec<_> = between(joined, u64::MAX).collect();
        assert_eq!(seqs(&take_frames(&mut stays, all.len()).await), all);
        let refused = core.reader_as(caller, "p", "text", None).await.err();
        assert_eq!(refused.as_deref(), Some("\"NOT_FOUND\""));
    }
}

fn renamed(name: &str) -> RoomChange {
    RoomChange::Update {
        name: Some(RoomName::new(name).unwrap()),
        visibility: None,
        slow_mode_seconds: None,
    }
}

/// The texts of the messages that a frame shows of its room.
fn shown(frame: &Frame) -> Vec<u64> {
    let payload: serde_json::Value = serde_json::from_str(&frame.payload).unwrap();
    let nodes = payload["data"]["newMessage"]["room"]["messages"]["nodes"]
        .as_array()
        .unwrap()
        .clone();
    nodes
        .iter()
        .map(|node| node["text"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// Checks that a reader gets all of these frames, although they are made after it was shut out: an
/// event and the log before it are the same whenever they are read.
async fn assert_events_show_no_later_message(reader: Reader, before: &[u64]) {
    let (frames, end) = to_the_end(reader).await;
    assert_eq!((seqs(&frames), end), (before.to_vec(), ReadError::ShutOut));
    for (number, frame) in (0_u64..).zip(&frames) {
        assert_eq!(
            shown(frame),
            (number.saturating_sub(2)..=number).collect::<Vec<_>>()
        );
        assert!(!frame.payload.contains(r#""40""#));
    }
}

/// Checks that no frame shows the state of the room after the removal.
async fn assert_present_state_is_hidden(reader: Reader) {
    let (frames, end) = to_the_end(reader).await;
    assert_eq!(end, ReadError::ShutOut);
    assert!(
        frames
            .iter()
            .all(|frame| !frame.payload.contains("secret") && !frame.payload.contains("dave"))
    );
}

#[tokio::test]
async fn v5_a_frame_made_after_the_removal_shows_nothing_newer() {
    let (views, hub) = small();
    let core = Core::with_limits(views, hub).await;
    core.create_room("p", Visibility::Private).await;
    let (bob, carol) = (
        core.create_user("bob").await,
        core.create_user("carol").await,
    );
    core.add_member("p", bob).await;
    core.add_member("p", carol).await;
    let mut before = Vec::new();
    for number in 0..40 {
        before.push(core.send_message("p", number, None).await.0);
    }
    let messages = "text room { head messages(last: 3) { nodes { text room { messages(last: 1) { nodes { text } } } } } }";
    let names = "text room { name }";
    let members = "text room { members(first: 9) { nodes { user { name } } } }";
    let subscribe = async |caller, document| {
        core.reader_as(Caller::Viewer(caller), "p", document, Some(0))
            .await
            .unwrap()
    };
    let (lagging, name, member) = (
        subscribe(bob, messages).await,
        subscribe(bob, names).await,
        subscribe(bob, members).await,
    );
    let (mut stays, mut remains) = (
        subscribe(carol, names).await,
        subscribe(carol, messages).await,
    );
    core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user))
        .await;
    core.change_room(core.ann, "p", renamed("secret")).await;
    let dave = core.create_user("dave").await;
    core.add_member("p", dave).await;
    before.push(core.send_message("p", 40, None).await.0);

    assert_events_show_no_later_message(lagging, &before[..40]).await;
    assert_eq!(
        take_frames(&mut remains, 41)
            .await
            .iter()
            .map(shown)
            .next_back()
            .unwrap(),
        [38, 39, 40]
    );
    for reader in [name, member] {
        assert_present_state_is_hidden(reader).await;
    }
    assert!(
        take_frames(&mut stays, 41)
            .await
            .iter()
            .all(|frame| frame.payload.contains("secret"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v5_a_live_frame_never_shows_anything_after_the_removal() {
    let core = Core::start().await;
    core.create_room("p", Visibility::Private).await;
    let bob = core.create_user("bob").await;
    for run in 0..50 {
        core.change_room(core.ann, "p", renamed("open")).await;
        core.add_member("p", bob).await;
        let document = "text room { name messages(last: 2) { nodes { text } } }";
        let reader = core
            .reader_as(Caller::Viewer(bob), "p", document, None)
            .await
            .unwrap();
        let reader = tokio::spawn(to_the_end(reader));
        // All of these are one batch, in this order.
        let (.., last) = tokio::join!(
            core.send_message("p", run * 10, None),
            core.send_message("p", run * 10 + 1, None),
            core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user)),
            core.change_room(core.ann, "p", renamed("secret")),
            core.send_message("p", run * 10 + 2, None),
        );
        let (frames, end) = reader.await.unwrap();
        assert_eq!(end, ReadError::ShutOut);
        for frame in frames {
            assert!(
                frame.seq < last && !frame.payload.contains("secret"),
                "run {run}: {}",
                frame.payload
            );
            assert!(
                *shown(&frame).last().unwrap() < run * 10 + 2,
                "run {run}: {}",
                frame.payload
            );
        }
    }
}

#[tokio::test]
async fn v5_readers_without_the_right_end_when_a_room_becomes_private_or_is_deleted() {
    let core = Core::start().await;
    core.create_room("p", Visibility::Public).await;
    let (bob, eve) = (core.create_user("bob").await, core.create_user("eve").await);
    core.add_member("p", bob).await;
    let subscribe = async |caller: Caller| core.reader_as(caller, "p", "text", None).await.unwrap();
    let of = Caller::Viewer;
    let (mut member, outsider, anonymous) = (
        subscribe(of(bob)).await,
        subscribe(of(eve)).await,
        subscribe(Caller::Anonymous).await,
    );
    core.send_message("p", 1, None).await;
    let hide = RoomChange::Update {
        name: None,
        visibility: Some(Visibility::Private),
        slow_mode_seconds: None,
    };
    core.change_room(core.ann, "p", hide).await;
    // The cached knowledge that the room is public is gone.
    assert_eq!(
        core.reader_as(of(eve), "p", "text", None)
            .await
            .err()
            .as_deref(),
        Some("\"NOT_FOUND\"")
    );
    core.send_message("p", 2, None).await;
    for shut_out in [outsider, anonymous] {
        let (frames, end) = to_the_end(shut_out).await;
        assert_eq!(
            (frames.iter().map(text).collect::<Vec<_>>(), end),
            (vec!["1".to_owned()], ReadError::ShutOut)
        );
    }
    let texts: Vec<_> = take_frames(&mut member, 2).await.iter().map(text).collect();
    assert_eq!(texts, ["1", "2"]);
    core.change_room(core.ann, "p", RoomChange::Delete).await;
    assert_eq!(to_the_end(member).await.1, ReadError::ShutOut);
    assert_eq!(
        core.reader_as(of(bob), "p", "text", None)
            .await
            .err()
            .as_deref(),
        Some("\"NOT_FOUND\"")
    );
}

#[tokio::test]
async fn v5_a_member_who_returns_reads_past_the_old_removal() {
    let (views, hub) = small();
    let core = Core::with_limits(views, hub).await;
    core.create_room("p", Visibility::Private).await;
    let bob = core.create_user("bob").await;
    core.add_member("p", bob).await;
    core.send_message("p", 1, None).await;
    core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user))
        .await;
    core.send_message("p", 2, None).await;
    core.add_member("p", bob).await;
    core.send_message("p", 3, None).await;
    let mut reader = core
        .reader_as(Caller::Viewer(bob), "p", "text", Some(0))
        .await
        .unwrap();
    let texts: Vec<_> = take_frames(&mut reader, 3).await.iter().map(text).collect();
    assert_eq!(
        texts,
        ["1", "2", "3"],
        "a user who may read the room now may read all of its history"
    );
}

async fn delete(core: &Core, room: &str, number: u64) {
    core.change_room(
        core.ann,
        room,
        RoomChange::DeleteMessage(message_id(number)),
    )
    .await;
}

#[tokio::test]
async fn v6_no_frame_after_the_deletion_holds_the_text() {
    for ring_frames_max in [2, 256] {
        let (views, hub) = small();
        let core = Core::with_limits(
            ViewLimits {
                ring_frames_max,
                ..views
            },
            hub,
        )
        .await;
        let document = "text replyTo { text }";
        // Before the deletions, frames of all messages exist: in the ring as far as it reaches, and
        // in pages.
        let mut live = core.reader(document, None).await;
        for number in 1..=101 {
            core.send_message("room-1", number, [90, 101].contains(&number).then_some(80))
                .await;
        }
        take_frames(&mut live, 101).await;
        let mut early = core.reader(document, Some(0)).await;
        take_frames(&mut early, 101).await;
        let mut halfway = core.reader(document, Some(70)).await;
        let mut seen = Vec::new();
        wait_for("a frame", halfway.take(1, &mut seen))
            .await
            .unwrap();
        for number in [1, 80, 101] {
            delete(&core, "room-1", number).await;
        }
        let mut late = core.reader(document, Some(0)).await;
        let frames = take_frames(&mut late, 101).await;
        let texts: Vec<_> = frames.iter().map(text).collect();
        let expected = |number: u64| match number {
            1 | 80 | 101 => String::new(),
            _ => number.to_string(),
        };
        assert_eq!(texts, (1..=101).map(expected).collect::<Vec<_>>());
        assert!(
            // With its quotes: a cursor may contain any two characters.
            frames.iter().all(|frame| !frame.payload.contains("\"80\"")),
            "a reply still shows the deleted text"
        );
        let rest = take_frames(&mut halfway, 30).await;
        assert!(
            rest.iter().all(
                |frame| !frame.payload.contains("\"80\"") && !frame.payload.contains("\"101\"")
            )
        );
        assert_eq!(
            seqs(&rest),
            (72..=101).collect::<Vec<_>>(),
            "the deletions lost frames"
        );
        core.send_message("room-1", 102, None).await;
        for reader in [&mut early, &mut live, &mut late, &mut halfway] {
            assert_eq!(text(&take_frames(reader, 1).await[0]), "102");
        }
    }
}

#[tokio::test]
async fn v2_a_viewer_field_gives_each_viewer_a_view() {
    let core = Core::start().await;
    core.create_room("p", Visibility::Public).await;
    let bob = core.create_user("bob").await;
    core.add_member("p", bob).await;
    let document = "text room { viewerMembership { role user { name } } }";
    let mut readers = Vec::new();
    for caller in [
        Caller::Viewer(core.ann),
        Caller::Viewer(core.ann),
        Caller::Viewer(bob),
        Caller::Anonymous,
    ] {
        readers.push(core.reader_as(caller, "p", document, None).await.unwrap());
    }
    assert_eq!(core.views.plans_live(), 3, "one plan for each caller");
    core.send_message("p", 1, None).await;
    let ann = r#"{"role":"OWNER","user":{"name":"ann"}}"#;
    let bob_membership = r#"{"role":"MEMBER","user":{"name":"bob"}}"#;
    for (reader, expected) in readers.iter_mut().zip([ann, ann, bob_membership, "null"]) {
        let payload = take_frames(reader, 1).await[0].payload.clone();
        let own = format!(r#""room":{{"viewerMembership":{expected}}}"#);
        assert!(
            payload.contains(&own) && !payload.contains("errors"),
            "{payload} does not contain {own}"
        );
    }
}

#[tokio::test]
async fn v2_the_head_in_a_frame_is_its_own_cursor_in_a_viewers_view_too() {
    let core = Core::start().await;
    let document = "cursor room { head viewerMembership { id } }";
    let mut reader = core
        .reader_as(Caller::Viewer(core.ann), "room-1", document, Some(0))
        .await
        .unwrap();
    core.send_messages(1..=3).await;
    for frame in take_frames(&mut reader, 3).await {
        let payload: serde_json::Value = serde_json::from_str(&frame.payload).unwrap();
        let message = &payload["data"]["newMessage"];
        assert_eq!(message["cursor"], message["room"]["head"]);
    }
}

#[tokio::test]
async fn a_reader_that_was_shut_out_stays_shut_out() {
    let core = Core::start().await;
    core.create_room("p", Visibility::Private).await;
    let bob: Viewer = core.create_user("bob").await;
    core.add_member("p", bob).await;
    let mut reader = core
        .reader_as(Caller::Viewer(bob), "p", "text", None)
        .await
        .unwrap();
    core.change_room(core.ann, "p", RoomChange::RemoveMember(bob.user))
        .await;
    core.add_member("p", bob).await;
    core.send_message("p", 1, None).await;
    let mut frames = Vec::new();
    for _ in 0..2 {
        assert_eq!(
            wait_for("the end of the reader", reader.take(99, &mut frames)).await,
            Err(ReadError::ShutOut)
        );
        let again = futures::poll!(std::future::poll_fn(|cx| reader.poll_take(
            cx,
            99,
            &mut frames
        )));
        assert_eq!(
            (again, frames.len()),
            (Poll::Ready(Err(ReadError::ShutOut)), 0)
        );
    }
}
