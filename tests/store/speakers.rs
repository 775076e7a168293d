//! The right to signal: for users who may send, to users who may read.

use switchboard::{
    domain::{Role, Seq, Timestamp, UserId, Visibility},
    store::{AppendError, RoomChange, Speak},
};
use uuid::Uuid;

use crate::support::{NOW, Store, add, change, commit, create, mute, remove, room, user};

/// The store's answer in short: the head of the log at the check, or the refusal.
async fn asked(
    store: &impl Store,
    id: &str,
    viewer: UserId,
    to: Option<UserId>,
    now: Timestamp,
) -> String {
    match store
        .speaker(
            Speak {
                room: &room(id),
                viewer,
                to,
            },
            now,
        )
        .await
    {
        Ok(speaker) => {
            assert_eq!(speaker.user.id, viewer);
            format!("at {}", speaker.checked.0)
        }
        Err(AppendError::Refused(refusal)) => format!("{refusal:?}"),
        Err(AppendError::Store(error)) => panic!("{error}"),
    }
}

pub(crate) async fn users_signal_where_they_may_send(store: &impl Store) {
    let (ann, bob, eve) = (
        user(store, "ann").await,
        user(store, "bob").await,
        user(store, "eve").await,
    );
    let nobody = UserId::from_uuid(Uuid::now_v7());
    let batch = [
        create(&ann, "open", Visibility::Public),
        create(&ann, "shut", Visibility::Private),
        add(&ann, "shut", &bob, Role::Member),
        create(&ann, "gone", Visibility::Public),
        change(&ann, "gone", RoomChange::Delete),
        add(&ann, "open", &bob, Role::Member),
        mute(&ann, "open", &bob, Some(5)),
    ];
    commit(store, &batch).await;
    for (id, viewer, to, expected) in [
        ("open", ann.id, None, "at 1"),
        ("open", eve.id, None, "at 1"),
        ("open", nobody, None, "UnknownViewer"),
        ("shut", bob.id, None, "at 1"),
        ("shut", eve.id, None, "NotFound"),
        ("gone", ann.id, None, "NotFound"),
        ("none", ann.id, None, "NotFound"),
        ("open", ann.id, Some(eve.id), "at 1"),
        ("open", ann.id, Some(nobody), "NoUser"),
        ("shut", ann.id, Some(bob.id), "at 1"),
        ("shut", ann.id, Some(ann.id), "at 1"),
        // A recipient who may not read the room is refused like an unknown one.
        ("shut", ann.id, Some(eve.id), "NoUser"),
        ("shut", ann.id, Some(nobody), "NoUser"),
        ("shut", eve.id, Some(nobody), "NotFound"),
    ] {
        assert_eq!(
            asked(store, id, viewer, to, NOW).await,
            expected,
            "{id} {viewer} {to:?}"
        );
    }
    let muted = format!("Muted(Timestamp({}))", NOW.0 + 5);
    assert_eq!(asked(store, "open", bob.id, None, NOW).await, muted);
    assert_eq!(
        asked(store, "open", bob.id, Some(nobody), NOW).await,
        muted,
        "a muted user learns nothing about others"
    );
    assert_eq!(
        asked(store, "open", bob.id, None, Timestamp(NOW.0 + 5)).await,
        "at 1"
    );
    let mut found = store.users(&[bob.id, nobody, ann.id]).await.unwrap();
    found.sort_by_key(|user| user.id);
    assert_eq!(found, [ann.clone(), bob.clone()]);
    assert!(store.users(&[]).await.unwrap().is_empty());
    commit(store, &[remove(&ann, "shut", &bob)]).await;
    assert_eq!(asked(store, "shut", bob.id, None, NOW).await, "NotFound");
    assert_eq!(
        asked(store, "shut", ann.id, Some(bob.id), NOW).await,
        "NoUser"
    );
    assert_eq!(
        store
            .room(&room("shut"), switchboard::domain::Caller::Shared)
            .await
            .unwrap()
            .unwrap()
            .head,
        Seq(2)
    );
}
