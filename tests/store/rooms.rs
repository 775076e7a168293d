//! Rooms: the right to read them, and its loss.

use switchboard::{
    domain::{Caller, Epoch, Role, Seq, ShutsOut, Visibility},
    store::{AppendError, Command, Refusal, RoomChange, RoomWindow},
};

use crate::support::{
    NOW, Store, add, as_viewer, change, changes, commit, create, join, remove, room, send, show,
    user,
};

pub(crate) async fn a_new_database_has_room_1(store: &impl Store) {
    let found = store
        .room(&room("room-1"), Caller::Anonymous)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.name.as_str(), found.visibility, found.head),
        ("General", Visibility::Public, Seq::START)
    );
    assert_ne!(found.epoch, Epoch(0));
}

pub(crate) async fn rooms_are_listed_by_id(store: &impl Store) {
    let ann = user(store, "ann").await;
    commit(
        store,
        &["c", "a", "b"].map(|id| create(&ann, id, Visibility::Public)),
    )
    .await;
    let ids = async |after: Option<&str>, search: Option<&str>, limit| {
        let window = RoomWindow {
            after,
            before: None,
            from_end: false,
            search,
            limit,
        };
        let rooms = store.rooms(Caller::Anonymous, window).await.unwrap();
        rooms
            .iter()
            .map(|room| room.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None, 9).await, ["a", "b", "c", "room-1"]);
    assert_eq!(ids(Some("a"), None, 2).await, ["b", "c"]);
    assert_eq!(ids(None, Some("GENER"), 9).await, ["room-1"]);
    assert_eq!(ids(None, Some("%"), 9).await, [""; 0]);
}

const ALL_ROOMS: RoomWindow<'_> = RoomWindow {
    after: None,
    before: None,
    from_end: false,
    search: None,
    limit: 9,
};

/// The ids of all rooms, read page by page from one end, in ascending order.
async fn paged(store: &impl Store, caller: Caller, window: RoomWindow<'_>) -> Vec<String> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let window = match window.from_end {
            false => RoomWindow {
                after: cursor.as_deref(),
                ..window
            },
            true => RoomWindow {
                before: cursor.as_deref(),
                ..window
            },
        };
        let page = store.rooms(caller, window).await.unwrap();
        let ids: Vec<_> = page.iter().map(|room| room.id.to_string()).collect();
        assert!(ids.len() <= window.limit as usize);
        let end = if window.from_end {
            ids.first()
        } else {
            ids.last()
        };
        let Some(end) = end.cloned() else {
            break;
        };
        cursor = Some(end);
        pages.push(ids);
    }
    if window.from_end {
        pages.reverse();
    }
    pages.concat()
}

pub(crate) async fn a_page_of_rooms_mixes_public_rooms_and_the_viewers_own(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let made = [
        (&ann, "a", Visibility::Private),
        (&bob, "b", Visibility::Private),
        (&bob, "c", Visibility::Public),
        (&ann, "d", Visibility::Private),
        (&ann, "e", Visibility::Public),
        (&bob, "f", Visibility::Public),
        (&bob, "g", Visibility::Private),
        (&ann, "h", Visibility::Public),
    ];
    commit(
        store,
        &made.map(|(user, id, shown)| create(user, id, shown)),
    )
    .await;
    commit(
        store,
        &[
            change(&ann, "e", RoomChange::Delete),
            add(&bob, "g", &ann, Role::Member),
            show(&ann, "h", Visibility::Private),
        ],
    )
    .await;
    for (caller, expected) in [
        (Caller::Anonymous, &["c", "f", "room-1"][..]),
        (as_viewer(&ann), &["a", "c", "d", "f", "g", "h", "room-1"]),
        (as_viewer(&bob), &["b", "c", "f", "g", "room-1"]),
    ] {
        for limit in 1..=8 {
            for search in [None, Some("")] {
                for from_end in [false, true] {
                    let window = RoomWindow {
                        from_end,
                        search,
                        limit,
                        ..ALL_ROOMS
                    };
                    assert_eq!(paged(store, caller, window).await, expected, "{window:?}");
                }
            }
        }
    }
}

pub(crate) async fn g5_unknown_and_unreadable_rooms_look_alike(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let Command::SendMessage(secret) = send(&ann, "a", "psst") else {
        unreachable!()
    };
    commit(
        store,
        &[
            create(&ann, "a", Visibility::Private),
            Command::SendMessage(secret.clone()),
        ],
    )
    .await;
    for (caller, sees) in [
        (as_viewer(&ann), true),
        (Caller::Shared, true),
        (as_viewer(&bob), false),
        (Caller::Anonymous, false),
    ] {
        assert_eq!(
            store.room(&room("a"), caller).await.unwrap().is_some(),
            sees,
            "{caller:?}"
        );
        assert_eq!(
            store.message(&secret.id, caller).await.unwrap().is_some(),
            sees,
            "{caller:?}"
        );
        let listed = store.rooms(caller, ALL_ROOMS).await.unwrap();
        // A shared caller reads every room that it is asked for, and has none of its own.
        let own = usize::from(sees && caller != Caller::Shared);
        assert_eq!(listed.len(), 1 + own, "{caller:?}");
        assert!(store.room(&room("none"), caller).await.unwrap().is_none());
    }
    assert!(matches!(
        store.commit(&[send(&bob, "a", "x")], NOW).await[..],
        [Err(AppendError::Refused(Refusal::NotFound))]
    ));
}

pub(crate) async fn v5_a_room_made_private_shuts_out_all_but_its_members(store: &impl Store) {
    let [ann, bob, eve, kim] = [
        user(store, "ann").await,
        user(store, "bob").await,
        user(store, "eve").await,
        user(store, "kim").await,
    ];
    let batch = [
        create(&ann, "a", Visibility::Public),
        join(&bob, "a"),
        join(&eve, "a"),
        // Leaving a public room shuts no user out.
        change(&eve, "a", RoomChange::Leave),
        show(&ann, "a", Visibility::Private),
        remove(&ann, "a", &bob),
        add(&ann, "a", &kim, Role::Member),
        show(&ann, "a", Visibility::Public),
    ];
    let outcomes = store.commit(&batch, NOW).await;
    let mut members = vec![ann.id, bob.id];
    members.sort();
    let closed = ShutsOut::AllBut(members.into());
    // The event that is announced equals the event that is read later.
    let announced = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().unwrap().event())
        .map(|event| event.shuts_out());
    let nobody = ShutsOut::Nobody;
    let expected = [
        &nobody,
        &nobody,
        &nobody,
        &closed,
        &ShutsOut::User(bob.id),
        &nobody,
        &nobody,
    ];
    assert_eq!(announced.collect::<Vec<_>>(), expected);
    let read: Vec<_> = changes(store, "a")
        .await
        .into_iter()
        .map(|(_, _, shuts_out)| shuts_out)
        .collect();
    assert_eq!(read.iter().collect::<Vec<_>>(), expected);
}
