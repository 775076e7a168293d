//! Members: the rights of each role, and reading the lists of members.

use switchboard::{
    domain::{Caller, ChangeKind, Role, ShutsOut, User, UserId, Visibility},
    store::{MemberWindow, RoomChange},
};
use uuid::Uuid;

use crate::support::{
    NOW, Store, add, as_viewer, change, changes, commit, create, join, mute, remove, room, send,
    set_role, show, user,
};

pub(crate) async fn members_do_what_their_role_allows(store: &impl Store) {
    let [ann, mod_, bob, eve] = [
        user(store, "ann").await,
        user(store, "mod").await,
        user(store, "bob").await,
        user(store, "eve").await,
    ];
    let ghost = User {
        id: UserId::from_uuid(Uuid::now_v7()),
        ..eve.clone()
    };
    let batch = [
        create(&ann, "a", Visibility::Public),
        add(&ann, "a", &mod_, Role::Moderator),
        join(&bob, "a"),
    ];
    assert_eq!(
        commit(store, &batch).await,
        ["new a", "changed 1", "changed 2"]
    );
    for (command, expected) in [
        (join(&bob, "a"), "done"),
        (join(&ghost, "a"), "UnknownViewer"),
        (join(&eve, "none"), "NotFound"),
        (add(&eve, "a", &eve, Role::Member), "Forbidden"),
        (add(&bob, "a", &eve, Role::Member), "Forbidden"),
        (add(&mod_, "a", &eve, Role::Moderator), "Forbidden"),
        (add(&mod_, "a", &ghost, Role::Member), "NoUser"),
        (add(&mod_, "a", &bob, Role::Member), "done"),
        (add(&ann, "a", &bob, Role::Moderator), "MemberAlready"),
        (remove(&mod_, "a", &ann), "Forbidden"),
        (remove(&mod_, "a", &mod_), "Forbidden"),
        (remove(&mod_, "a", &eve), "NoMember"),
        (remove(&bob, "a", &eve), "Forbidden"),
        (set_role(&mod_, "a", &bob, Role::Moderator), "Forbidden"),
        (set_role(&ann, "a", &eve, Role::Moderator), "NoMember"),
        (set_role(&ann, "a", &ann, Role::Member), "LastOwner"),
        (change(&ann, "a", RoomChange::Leave), "LastOwner"),
        (change(&eve, "a", RoomChange::Leave), "done"),
        (mute(&mod_, "a", &ann, Some(1)), "Forbidden"),
        (mute(&ann, "a", &ann, Some(1)), "Forbidden"),
        (mute(&ann, "a", &eve, Some(1)), "NoMember"),
        (show(&mod_, "a", Visibility::Private), "Forbidden"),
        (show(&ann, "a", Visibility::Public), "done"),
        (change(&mod_, "a", RoomChange::Delete), "Forbidden"),
        (remove(&mod_, "a", &bob), "changed 3"),
        (set_role(&ann, "a", &mod_, Role::Owner), "changed 4"),
        (change(&ann, "a", RoomChange::Leave), "changed 5"),
        (change(&ann, "a", RoomChange::Delete), "Forbidden"),
        (change(&mod_, "a", RoomChange::Delete), "changed 6"),
        (send(&mod_, "a", "x"), "NotFound"),
        (create(&ann, "a", Visibility::Public), "RoomTaken"),
    ] {
        assert_eq!(
            commit(store, std::slice::from_ref(&command)).await,
            [expected],
            "{command:?}"
        );
    }
    assert!(
        store
            .room(&room("a"), as_viewer(&mod_))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .room(&room("a"), Caller::Shared)
            .await
            .unwrap()
            .is_some(),
        "views still read a deleted room"
    );
    let (seq, kind, shuts_out) = changes(store, "a").await.pop().unwrap();
    assert_eq!(
        (seq, kind, shuts_out),
        (6, ChangeKind::RoomDeleted, ShutsOut::Everybody)
    );
}

pub(crate) async fn s7_nothing_of_a_user_commits_after_the_loss_of_the_right(store: &impl Store) {
    let [ann, bob, eve] = [
        user(store, "ann").await,
        user(store, "bob").await,
        user(store, "eve").await,
    ];
    let batch = [
        create(&ann, "a", Visibility::Private),
        send(&bob, "a", "not yet"),
        add(&ann, "a", &bob, Role::Moderator),
        send(&bob, "a", "now"),
        add(&bob, "a", &eve, Role::Member),
        set_role(&ann, "a", &bob, Role::Member),
        // Bob is no longer a moderator.
        remove(&bob, "a", &eve),
        remove(&ann, "a", &bob),
        send(&bob, "a", "too late"),
        send(&eve, "a", "still here"),
    ];
    let expected = [
        "new a",
        "NotFound",
        "changed 1",
        "a 2",
        "changed 3",
        "changed 4",
        "Forbidden",
        "changed 5",
        "NotFound",
        "a 6",
    ];
    assert_eq!(commit(store, &batch).await, expected);
    let joined = |user: &User, role| ChangeKind::MemberJoined {
        user: user.id,
        role,
    };
    assert_eq!(
        changes(store, "a").await,
        [
            (1, joined(&bob, Role::Moderator), ShutsOut::Nobody),
            (3, joined(&eve, Role::Member), ShutsOut::Nobody),
            (
                4,
                ChangeKind::MemberRoleChanged {
                    user: bob.id,
                    role: Role::Member
                },
                ShutsOut::Nobody
            ),
            (
                5,
                ChangeKind::MemberLeft { user: bob.id },
                ShutsOut::User(bob.id)
            ),
        ]
    );
}

pub(crate) async fn members_are_read_in_windows(store: &impl Store) {
    let ann = user(store, "ann").await;
    commit(store, &[create(&ann, "a", Visibility::Private)]).await;
    let mut names = vec!["ann".to_owned()];
    for number in 0..5 {
        let name = format!("guest {number}");
        let guest = user(store, &name).await;
        commit(store, &[add(&ann, "a", &guest, Role::Member)]).await;
        names.push(name);
    }
    let all = MemberWindow {
        after: None,
        before: None,
        from_end: false,
        limit: 99,
    };
    let members = store.members(&room("a"), all, NOW).await.unwrap();
    let called = |members: &[switchboard::domain::Member]| {
        members
            .iter()
            .map(|member| member.user.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(called(&members), names);
    let (second, fifth) = (Some(members[1].id), Some(members[4].id));
    for (window, expected) in [
        (
            MemberWindow {
                after: second,
                ..all
            },
            &names[2..],
        ),
        (
            MemberWindow {
                before: fifth,
                ..all
            },
            &names[..4],
        ),
        (
            MemberWindow {
                after: second,
                before: fifth,
                limit: 1,
                ..all
            },
            &names[2..3],
        ),
        (
            MemberWindow {
                after: second,
                before: fifth,
                limit: 1,
                from_end: true,
            },
            &names[3..4],
        ),
    ] {
        assert_eq!(
            called(&store.members(&room("a"), window, NOW).await.unwrap()),
            expected
        );
    }
    let own = store
        .membership(&room("a"), ann.id, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (own.role, own.joined_at, own.muted_until),
        (Role::Owner, NOW, None)
    );
    assert_eq!(
        store.member(&own.id, as_viewer(&ann), NOW).await.unwrap(),
        Some(own.clone())
    );
    assert_eq!(
        store.member(&own.id, Caller::Anonymous, NOW).await.unwrap(),
        None,
        "G5"
    );
}
