//! Readers of views, below the transports.

use std::{sync::Arc, task::Poll};

use switchboard::{
    hub::HubLimits,
    view::{ReadError, ViewLimits},
};

use crate::support::{
    core::{Core, TakeFrames, seqs, take_frames},
    wait_for,
};

fn small() -> ViewLimits {
    ViewLimits {
        ring_frames_max: 8,
        ..ViewLimits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_live_delivery_are_one_read() {
    let core = Core::with_limits(small(), HubLimits::default()).await;
    core.send_messages(1..=200).await;
    let mut reader = core.reader("text", Some(0)).await;
    core.send_messages(201..=230).await;
    let mut frames = Vec::new();
    while frames.len() < 230 {
        wait_for("a frame", reader.take(usize::MAX, &mut frames))
            .await
            .unwrap();
        if frames.len() == 64 {
            core.send_messages(231..=231).await;
        }
    }
    let all = take_rest(&mut reader, frames, 231).await;
    assert_eq!(seqs(&all), (1..=231).collect::<Vec<_>>());
    for (number, frame) in (1..).zip(&all) {
        assert!(
            frame.payload.contains(&format!(r#"{{"text":"{number}"}}"#)),
            "{}",
            frame.payload
        );
    }
}

async fn take_rest(
    reader: &mut switchboard::view::Reader,
    mut frames: Vec<switchboard::view::Frame>,
    count: usize,
) -> Vec<switchboard::view::Frame> {
    while frames.len() < count {
        wait_for("a frame", reader.take(usize::MAX, &mut frames))
            .await
            .unwrap();
    }
    frames
}

#[tokio::test]
async fn v1_readers_of_one_document_share_each_frame() {
    let core = Core::start().await;
    let mut readers = Vec::new();
    for selection in [
        "text sender { name }",
        "text   sender{name}",
        "text, sender { name, }",
    ] {
        readers.push(core.reader(selection, None).await);
    }
    let mut other = core.reader("text", None).await;
    core.send_messages(1..=5).await;
    let first = take_frames(&mut readers[0], 5).await;
    for reader in &mut readers[1..] {
        let frames = take_frames(reader, 5).await;
        assert!(
            frames
                .iter()
                .zip(&first)
                .all(|(a, b)| Arc::ptr_eq(&a.payload, &b.payload))
        );
    }
    assert!(!Arc::ptr_eq(
        &take_frames(&mut other, 5).await[0].payload,
        &first[0].payload
    ));
}

#[tokio::test]
async fn v3_views_and_rooms_are_dropped_with_their_last_reader() {
    let core = Core::start().await;
    let readers = (
        core.reader("text", None).await,
        core.reader("id", None).await,
        core.reader("id", Some(0)).await,
    );
    assert_eq!((core.views.plans_live(), core.hub.rooms_live()), (2, 1));
    drop(readers);
    // The rest is dropped when the tasks of the pumps have ended.
    while (core.views.plans_live(), core.hub.rooms_live()) != (0, 0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_many_readers_at_one_old_position_cost_one_execution_per_event() {
    let hub = HubLimits {
        tail_events_max: 4,
        ..HubLimits::default()
    };
    let (core, faults) = Core::with_faults(small(), hub).await;
    core.send_messages(1..=200).await;
    let core = Arc::new(core);
    let storm = (0..100).map(|_| {
        let core = core.clone();
        tokio::spawn(
            async move { take_frames(&mut core.reader("text", Some(10)).await, 190).await },
        )
    });
    let records: Vec<_> = futures::future::try_join_all(storm).await.unwrap();
    for frames in &records {
        assert_eq!(seqs(frames), (11..=200).collect::<Vec<_>>());
        assert!(
            frames
                .iter()
                .zip(&records[0])
                .all(|(a, b)| Arc::ptr_eq(&a.payload, &b.payload))
        );
    }
    assert_eq!(
        faults.event_reads(),
        4,
        "pages are read once, not once per reader"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn v7_a_temporary_failure_is_never_cached_sent_or_skipped() {
    let (core, faults) = Core::with_faults(ViewLimits::default(), HubLimits::default()).await;
    // The document reads the room while it runs, and this read fails.
    let mut reader = core.reader("text room { name }", None).await;
    core.send_messages(1..=2).await;
    take_frames(&mut reader, 2).await;
    faults.fail_next(3);
    core.send_messages(3..=6).await;
    let frames = take_frames(&mut reader, 4).await;
    assert_eq!(
        (seqs(&frames), faults.failures_left()),
        (vec![3, 4, 5, 6], 0)
    );
    assert!(frames.iter().all(|frame| !frame.payload.contains("errors")));
}

#[tokio::test]
async fn v7_a_lasting_failure_ends_the_readers_and_moves_no_cursor() {
    let limits = ViewLimits {
        tries_max: 3,
        ..ViewLimits::default()
    };
    let (core, faults) = Core::with_faults(limits, HubLimits::default()).await;
    let mut reader = core.reader("text room { name }", None).await;
    faults.fail_next(u32::MAX);
    core.send_messages(1..=1).await;
    let mut frames = Vec::new();
    assert_eq!(
        reader.take(usize::MAX, &mut frames).await,
        Err(ReadError::Unavailable)
    );
    assert!(frames.is_empty());
    faults.fail_next(0);
    // The next subscriber gets a view that works, and the frame that was not made.
    let mut again = core.reader("text room { name }", Some(0)).await;
    assert_eq!(seqs(&take_frames(&mut again, 1).await), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn v8_a_reader_dropped_at_any_await_changes_no_frames_of_others() {
    let core = Core::with_limits(
        small(),
        HubLimits {
            tail_events_max: 4,
            ..HubLimits::default()
        },
    )
    .await;
    core.send_messages(1..=100).await;
    let mut steady = core.reader("text", Some(0)).await;
    let mut frames = Vec::new();
    for round in 0..100_u64 {
        let mut fleeting = core.reader("text", Some(round % 100)).await;
        let mut seen = Vec::new();
        // The reader is polled a few times and then dropped in whatever state it is.
        for _ in 0..round % 5 {
            let polled = futures::poll!(std::future::poll_fn(
                |cx| fleeting.poll_take(cx, 1, &mut seen)
            ));
            if polled == Poll::Pending {
                tokio::task::yield_now().await;
            }
        }
        drop(fleeting);
        core.send_messages(101 + round..=101 + round).await;
    }
    while frames.len() < 200 {
        wait_for("a frame", steady.take(64, &mut frames))
            .await
            .unwrap();
    }
    assert_eq!(seqs(&frames), (1..=200).collect::<Vec<_>>());
    for (number, frame) in (1..).zip(&frames) {
        assert!(
            frame.payload.contains(&format!(r#"{{"text":"{number}"}}"#)),
            "{}",
            frame.payload
        );
    }
}

#[tokio::test]
async fn t2_a_portion_is_bounded_and_nothing_is_lost_between_portions() {
    let core = Core::with_limits(small(), HubLimits::default()).await;
    core.send_messages(1..=150).await;
    let mut reader = core.reader("text", Some(0)).await;
    let (mut all, mut portion) = (Vec::new(), Vec::new());
    while all.len() < 150 {
        wait_for("a frame", reader.take(500, &mut portion))
            .await
            .unwrap();
        let bytes: usize = portion.iter().map(|frame| frame.payload.len()).sum();
        assert!(bytes <= 500 || portion.len() == 1, "{bytes}");
        all.append(&mut portion);
    }
    assert_eq!(seqs(&all), (1..=150).collect::<Vec<_>>());
}
