//! Sending messages.

use std::sync::Arc;

use switchboard::{
    domain::{Caller, Message, MessageId, Seq, Timestamp, User, UserId, UserName, Visibility},
    store::{Command, RoomChange, SendMessage},
};
use uuid::Uuid;

use crate::support::{
    NOW, Store, change, commit, create, join, mute, room, send, send_once, texts, user,
};

pub(crate) async fn s2_seqs_are_1_2_3_per_room(store: &impl Store) {
    let ann = user(store, "ann").await;
    let batch = [
        create(&ann, "a", Visibility::Public),
        send(&ann, "a", "1"),
        send(&ann, "room-1", "1"),
        send(&ann, "a", "2"),
        create(&ann, "b", Visibility::Public),
        send(&ann, "a", "3"),
        send(&ann, "b", "1"),
    ];
    assert_eq!(
        commit(store, &batch).await,
        ["new a", "a 1", "room-1 1", "a 2", "new b", "a 3", "b 1"]
    );
    assert_eq!(commit(store, &[send(&ann, "a", "4")]).await, ["a 4"]);
    assert_eq!(texts(store, "a").await, ["1", "2", "3", "4"]);
    assert_eq!(
        store
            .room(&room("a"), Caller::Anonymous)
            .await
            .unwrap()
            .unwrap()
            .head,
        Seq(4)
    );
}

pub(crate) async fn s2_a_refusal_takes_no_seq(store: &impl Store) {
    let (ann, nobody) = (
        user(store, "ann").await,
        User {
            id: UserId::from_uuid(Uuid::now_v7()),
            name: UserName::new("ghost").unwrap(),
            created_at: NOW,
        },
    );
    let batch = [
        send(&ann, "room-1", "1"),
        send(&nobody, "room-1", "no"),
        send(&ann, "none", "no"),
        send(&ann, "room-1", "2"),
        create(&nobody, "x", Visibility::Public),
        create(&ann, "room-1", Visibility::Public),
        send(&ann, "room-1", "3"),
    ];
    let expected = [
        "room-1 1",
        "UnknownViewer",
        "NotFound",
        "room-1 2",
        "UnknownViewer",
        "RoomTaken",
        "room-1 3",
    ];
    assert_eq!(commit(store, &batch).await, expected);
    assert_eq!(texts(store, "room-1").await, ["1", "2", "3"]);
}

pub(crate) async fn s4_a_nonce_names_one_message_of_its_sender(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    commit(store, &[create(&ann, "a", Visibility::Public)]).await;
    assert_eq!(
        commit(store, &[send_once(&ann, "room-1", "x", "n")]).await,
        ["room-1 1"]
    );
    let batch = [
        send_once(&ann, "room-1", "x", "n"),
        send_once(&ann, "room-1", "y", "n"),
        send_once(&ann, "a", "x", "n"),
        send_once(&bob, "room-1", "x", "n"),
        send_once(&ann, "room-1", "x", "N"),
        send_once(&ann, "none", "x", "n"),
    ];
    let expected = [
        "again room-1 1",
        "NonceTaken",
        "NonceTaken",
        "room-1 2",
        "room-1 3",
        "NotFound",
    ];
    assert_eq!(commit(store, &batch).await, expected);
}

pub(crate) async fn s4_the_same_nonce_twice_in_a_batch(store: &impl Store) {
    let ann = user(store, "ann").await;
    let batch = [
        send_once(&ann, "room-1", "x", "n"),
        send_once(&ann, "room-1", "x", "n"),
        send_once(&ann, "room-1", "y", "n"),
        create(&ann, "a", Visibility::Public),
        send_once(&ann, "room-1", "x", "n"),
    ];
    assert_eq!(
        commit(store, &batch).await,
        [
            "room-1 1",
            "again room-1 1",
            "NonceTaken",
            "new a",
            "again room-1 1"
        ]
    );
    assert_eq!(texts(store, "room-1").await, ["x"]);
}

pub(crate) async fn s7_each_command_sees_the_commands_before_it(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let batch = [
        send(&ann, "a", "too early"),
        create(&ann, "a", Visibility::Private),
        send(&ann, "a", "mine"),
        send(&bob, "a", "not his"),
        create(&bob, "a", Visibility::Public),
    ];
    assert_eq!(
        commit(store, &batch).await,
        ["NotFound", "new a", "a 1", "NotFound", "RoomTaken"]
    );
}

pub(crate) async fn s1_a_batch_that_fails_runs_one_by_one(store: &impl Store) {
    let ann = user(store, "ann").await;
    // Two messages with the same id cannot both be stored, so the multi-row statement fails.
    let (first, Command::SendMessage(twin)) =
        (send(&ann, "room-1", "1"), send(&ann, "room-1", "2"))
    else {
        unreachable!()
    };
    let Command::SendMessage(SendMessage { id, .. }) = &first else {
        unreachable!()
    };
    let twin = Command::SendMessage(SendMessage { id: *id, ..twin });
    let outcomes = commit(store, &[first, twin, send(&ann, "room-1", "3")]).await;
    assert_eq!(
        (outcomes[0].as_str(), outcomes[2].as_str()),
        ("room-1 1", "room-1 2"),
        "{outcomes:?}"
    );
    assert!(outcomes[1].contains("the database failed"), "{outcomes:?}");
    assert_eq!(texts(store, "room-1").await, ["1", "3"]);
}

pub(crate) async fn s7_mutes_and_slow_mode_refuse_sends(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let slow = RoomChange::Update {
        name: None,
        visibility: None,
        slow_mode_seconds: Some(5),
    };
    let batch = [
        create(&ann, "a", Visibility::Public),
        join(&bob, "a"),
        mute(&ann, "a", &bob, Some(1)),
        send(&bob, "a", "no"),
        // A mute outlives the membership.
        change(&bob, "a", RoomChange::Leave),
        send(&bob, "a", "no"),
        join(&bob, "a"),
        mute(&ann, "a", &bob, None),
        send(&bob, "a", "yes"),
        change(&ann, "a", slow),
        send(&bob, "a", "first"),
        send(&bob, "a", "second"),
        send(&ann, "a", "1"),
        send(&ann, "a", "2"),
    ];
    let muted = format!("Muted(Timestamp({}))", NOW.0 + 1);
    let expected = [
        "new a",
        "changed 1",
        "done",
        &muted,
        "changed 2",
        &muted,
        "changed 3",
        "done",
        "a 4",
        "changed 5",
        "a 6",
        "TooSoon(5)",
        "a 7",
        "a 8",
    ];
    assert_eq!(commit(store, &batch).await, expected);
    let later = async |seconds: i64| {
        let outcomes = store
            .commit(
                &[send(&bob, "a", "again")],
                Timestamp(NOW.0 + seconds * 1_000_000),
            )
            .await;
        outcomes
            .into_iter()
            .next()
            .unwrap()
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert!(later(4).await.is_err());
    assert_eq!(later(5).await, Ok(()));
}

pub(crate) async fn a_reply_is_to_a_message_of_the_same_room(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let Command::SendMessage(asked) = send(&ann, "a", "why?") else {
        unreachable!()
    };
    commit(
        store,
        &[
            create(&ann, "a", Visibility::Private),
            Command::SendMessage(asked.clone()),
        ],
    )
    .await;
    let answer = |viewer: &User, to: &str, id: MessageId| match send(viewer, to, "because") {
        Command::SendMessage(send) => Command::SendMessage(SendMessage {
            reply_to: Some(id),
            ..send
        }),
        other => other,
    };
    let batch = [
        answer(&ann, "a", asked.id),
        answer(&ann, "room-1", asked.id),
        answer(&ann, "a", MessageId::from_uuid(Uuid::now_v7())),
        // The right to the room is checked first.
        answer(&bob, "a", MessageId::from_uuid(Uuid::now_v7())),
    ];
    assert_eq!(
        commit(store, &batch).await,
        ["a 2", "NoMessage", "NoMessage", "NotFound"]
    );
    let replies = store.events(&room("a"), Seq(1), Seq(2), 9).await.unwrap();
    let message: &Arc<Message> = replies[0].as_message_sent().unwrap();
    assert_eq!(message.reply_to, Some(asked.id));
}
