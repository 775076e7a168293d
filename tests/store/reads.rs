//! Reading events and messages, and deleting messages.

use std::sync::Arc;

use switchboard::{
    domain::{Body, Caller, ChangeKind, Event, Seq, ShutsOut, User, Visibility},
    store::{Command, RoomChange, Window},
};

use crate::support::{
    NOW, Store, change, changes, commit, create, room, send, send_once, texts, user,
};

pub(crate) async fn events_and_messages_are_read_in_windows(store: &impl Store) {
    let ann = user(store, "ann").await;
    let batch: Vec<_> = (1..=10)
        .map(|number| send(&ann, "room-1", &number.to_string()))
        .collect();
    commit(store, &batch).await;
    let id = room("room-1");
    let seqs =
        |events: Vec<Arc<Event>>| events.iter().map(|event| event.seq().0).collect::<Vec<_>>();
    assert_eq!(
        seqs(store.events(&id, Seq(3), Seq(6), 9).await.unwrap()),
        [4, 5, 6]
    );
    assert_eq!(
        seqs(store.events(&id, Seq(3), Seq(u64::MAX), 2).await.unwrap()),
        [4, 5],
        "S5"
    );
    assert_eq!(
        seqs(store.events(&id, Seq(10), Seq(u64::MAX), 9).await.unwrap()),
        [0_u64; 0]
    );
    for (after, before, from_end, limit, expected) in [
        (0, None, false, 3, vec![1, 2, 3]),
        (0, None, true, 3, vec![8, 9, 10]),
        (2, Some(6), false, 9, vec![3, 4, 5]),
        (2, Some(6), true, 2, vec![4, 5]),
        (10, None, false, 9, vec![]),
    ] {
        let window = Window {
            after: Seq(after),
            before: before.map(Seq),
            from_end,
            limit,
        };
        let found = store.messages(&id, window).await.unwrap();
        assert_eq!(
            found
                .iter()
                .map(|message| message.cursor.seq.0)
                .collect::<Vec<_>>(),
            expected,
            "{window:?}"
        );
        assert!(
            found
                .iter()
                .all(|message| *message.sender == ann && message.created_at == NOW)
        );
    }
}

pub(crate) async fn v6_a_deleted_message_has_no_text_anywhere(store: &impl Store) {
    let [ann, bob, eve] = [
        user(store, "ann").await,
        user(store, "bob").await,
        user(store, "eve").await,
    ];
    let Command::SendMessage(said) = send_once(&bob, "a", "regret", "n") else {
        unreachable!()
    };
    let (id, again) = (said.id, Command::SendMessage(said.clone()));
    commit(
        store,
        &[create(&ann, "a", Visibility::Public), again.clone()],
    )
    .await;
    let delete = |viewer: &User, room: &str| change(viewer, room, RoomChange::DeleteMessage(id));
    let batch = [
        delete(&eve, "a"),
        delete(&bob, "room-1"),
        delete(&bob, "a"),
        delete(&ann, "a"),
        // The nonce still names the deleted message.
        again,
    ];
    assert_eq!(
        commit(store, &batch).await,
        [
            "Forbidden",
            "NoMessage",
            "rewritten 2: \"\"",
            "done",
            "again a 1"
        ]
    );
    assert_eq!(texts(store, "a").await, [""]);
    let kind = ChangeKind::MessageDeleted {
        message: id,
        sent: Seq(1),
    };
    assert_eq!(changes(store, "a").await, [(2, kind, ShutsOut::Nobody)]);
    let gone = store
        .message(&id, Caller::Anonymous)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((gone.text(), &gone.body), ("", &Body::Deleted(NOW)));
    let window = Window {
        after: Seq::START,
        before: None,
        from_end: false,
        limit: 9,
    };
    assert_eq!(store.messages(&room("a"), window).await.unwrap(), [gone]);
    // Owners and moderators delete messages of others.
    let Command::SendMessage(other) = send(&bob, "a", "spam") else {
        unreachable!()
    };
    let batch = [
        Command::SendMessage(other.clone()),
        change(&ann, "a", RoomChange::DeleteMessage(other.id)),
    ];
    assert_eq!(commit(store, &batch).await, ["a 3", "rewritten 4: \"\""]);
}
