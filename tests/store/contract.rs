//! The promises. Each is a function over any store.

use std::sync::Arc;

use switchboard::{
    domain::{
        Body, Epoch, Event, Identity, MemberId, Message, MessageId, MessageText, Nonce, Revocation,
        Role, RoomId, RoomName, Seq, ShutsOut, Subject, Timestamp, TokenId, User, UserId, UserName,
        Viewer, Visibility, What, Who,
    },
    store::{
        Accounts, Append, AppendError, ChangeRoom, Command, CreateRoom, Log, MemberWindow, Outcome,
        Refusal, RoomChange, SendMessage, Window,
    },
};
use uuid::Uuid;

pub(crate) trait Store: Log + Append + Accounts {}
impl<T: Log + Append + Accounts> Store for T {}

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

pub(crate) fn room(id: &str) -> RoomId {
    id.parse().unwrap()
}

pub(crate) async fn user(store: &impl Store, name: &str) -> User {
    let user = User {
        id: UserId::from_uuid(Uuid::now_v7()),
        name: UserName::new(name).unwrap(),
        created_at: NOW,
    };
    store.create_user(&user).await.unwrap();
    user
}

pub(crate) fn send(viewer: &User, to: &str, text: &str) -> Command {
    let (room, text) = (room(to), MessageText::new(text).unwrap());
    Command::SendMessage(SendMessage {
        viewer: viewer.id,
        room,
        id: MessageId::from_uuid(Uuid::now_v7()),
        text,
        nonce: None,
        reply_to: None,
    })
}

fn send_once(viewer: &User, to: &str, text: &str, nonce: &str) -> Command {
    match send(viewer, to, text) {
        Command::SendMessage(send) => Command::SendMessage(SendMessage {
            nonce: Some(Nonce::new(nonce).unwrap()),
            ..send
        }),
        other => other,
    }
}

pub(crate) fn create(viewer: &User, id: &str, visibility: Visibility) -> Command {
    let name = RoomName::new(id).unwrap();
    Command::CreateRoom(CreateRoom {
        viewer: viewer.id,
        id: room(id),
        owner: member_id(),
        name,
        visibility,
        epoch: Epoch(7),
    })
}

fn member_id() -> MemberId {
    MemberId::from_uuid(Uuid::now_v7())
}

pub(crate) fn change(viewer: &User, id: &str, change: RoomChange) -> Command {
    Command::ChangeRoom(ChangeRoom {
        viewer: viewer.id,
        room: room(id),
        change,
    })
}

pub(crate) fn add(viewer: &User, id: &str, user: &User, role: Role) -> Command {
    change(
        viewer,
        id,
        RoomChange::AddMember {
            id: member_id(),
            user: user.id,
            role,
        },
    )
}

pub(crate) fn remove(viewer: &User, id: &str, user: &User) -> Command {
    change(viewer, id, RoomChange::RemoveMember(user.id))
}

fn set_role(viewer: &User, id: &str, user: &User, role: Role) -> Command {
    change(
        viewer,
        id,
        RoomChange::SetRole {
            user: user.id,
            role,
        },
    )
}

pub(crate) fn mute(viewer: &User, id: &str, user: &User, until: Option<i64>) -> Command {
    change(
        viewer,
        id,
        RoomChange::MuteMember {
            user: user.id,
            until: until.map(|us| Timestamp(NOW.0 + us)),
        },
    )
}

fn join(viewer: &User, id: &str) -> Command {
    change(viewer, id, RoomChange::Join(member_id()))
}

pub(crate) fn show(viewer: &User, id: &str, visibility: Visibility) -> Command {
    let update = RoomChange::Update {
        name: None,
        visibility: Some(visibility),
        slow_mode_seconds: None,
    };
    change(viewer, id, update)
}

pub(crate) fn as_viewer(user: &User) -> Who {
    let token = TokenId([0; 16]);
    Who::Viewer(Viewer {
        user: user.id,
        expires_at: Timestamp(i64::MAX),
        token,
        operator: false,
    })
}

/// What became of each command, in short.
pub(crate) async fn commit(store: &impl Store, batch: &[Command]) -> Vec<String> {
    let outcomes = store.commit(batch, NOW).await;
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(Outcome::Sent(event, message)) => {
                assert_eq!(**event.get(), Event::MessageSent(message.clone()));
                format!("{} {}", message.cursor.room, message.cursor.seq.0)
            }
            Ok(Outcome::Repeated(message)) => {
                format!("again {} {}", message.cursor.room, message.cursor.seq.0)
            }
            Ok(Outcome::Created(room)) => format!("new {}", room.id),
            Ok(Outcome::Redacted(event, message)) => {
                assert!(matches!(message.body, Body::Deleted(_)) && message.text().is_empty());
                format!("redacted {}", event.get().seq().0)
            }
            Ok(Outcome::Changed(event)) => format!("changed {}", event.get().seq().0),
            Ok(Outcome::Done) => "done".to_owned(),
            Err(AppendError::Refused(refusal)) => format!("{refusal:?}"),
            Err(AppendError::Store(error)) => format!("{error}"),
        })
        .collect()
}

async fn texts(store: &impl Store, id: &str) -> Vec<String> {
    let events = store
        .events(&room(id), Seq::START, Seq(u64::MAX), 1000)
        .await
        .unwrap();
    let seqs: Vec<_> = events.iter().map(|event| event.seq().0).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>(), "S2");
    events
        .iter()
        .filter_map(|event| {
            event
                .as_message_sent()
                .map(|message| message.text().to_owned())
        })
        .collect()
}

async fn changes(store: &impl Store, id: &str) -> Vec<(u64, What, ShutsOut)> {
    let events = store
        .events(&room(id), Seq::START, Seq(u64::MAX), 1000)
        .await
        .unwrap();
    let changed = events.iter().filter_map(|event| match &**event {
        Event::Changed(change) => Some((event.seq().0, change.what, change.shuts_out.clone())),
        Event::MessageSent(_) => None,
    });
    changed.collect()
}

pub(crate) async fn room_1_is_there_from_the_start(store: &impl Store) {
    let found = store
        .room(&room("room-1"), Who::Nobody)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.name.as_str(), found.visibility, found.head),
        ("General", Visibility::Public, Seq::START)
    );
    assert_ne!(found.epoch, Epoch(0));
}

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
            .room(&room("a"), Who::Nobody)
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

pub(crate) async fn s7_each_command_sees_what_stands_before_it(store: &impl Store) {
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
    // Two messages of one id cannot both be stored: the multi-row statement fails as a whole.
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

pub(crate) async fn g5_unknown_and_unreadable_are_alike(store: &impl Store) {
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
    for (who, sees) in [
        (as_viewer(&ann), true),
        (Who::Shared, true),
        (as_viewer(&bob), false),
        (Who::Nobody, false),
    ] {
        assert_eq!(
            store.room(&room("a"), who).await.unwrap().is_some(),
            sees,
            "{who:?}"
        );
        assert_eq!(
            store.message(&secret.id, who).await.unwrap().is_some(),
            sees,
            "{who:?}"
        );
        let listed = store.rooms(who, None, None, 9).await.unwrap();
        assert_eq!(listed.len(), 1 + usize::from(sees), "{who:?}");
        assert!(store.room(&room("none"), who).await.unwrap().is_none());
    }
    assert!(matches!(
        store.commit(&[send(&bob, "a", "x")], NOW).await[..],
        [Err(AppendError::Refused(Refusal::NotFound))]
    ));
}

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

pub(crate) async fn rooms_are_listed_by_id(store: &impl Store) {
    let ann = user(store, "ann").await;
    commit(
        store,
        &["c", "a", "b"].map(|id| create(&ann, id, Visibility::Public)),
    )
    .await;
    let ids = async |after: Option<&str>, search: Option<&str>, limit| {
        let rooms = store
            .rooms(Who::Nobody, after, search, limit)
            .await
            .unwrap();
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

pub(crate) async fn users_and_the_key_are_kept(store: &impl Store) {
    let ann = user(store, "ann").await;
    assert_eq!(store.user(&ann.id).await.unwrap(), Some(ann));
    assert_eq!(
        store
            .user(&UserId::from_uuid(Uuid::now_v7()))
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.signing_key([1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.signing_key([2; 32]).await.unwrap(), [1; 32]);
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
        // Its nonce still names it.
        again,
    ];
    assert_eq!(
        commit(store, &batch).await,
        ["Forbidden", "NoMessage", "redacted 2", "done", "again a 1"]
    );
    assert_eq!(texts(store, "a").await, [""]);
    let what = What::MessageDeleted {
        message: id,
        sent: Seq(1),
    };
    assert_eq!(changes(store, "a").await, [(2, what, ShutsOut::Nobody)]);
    let gone = store.message(&id, Who::Nobody).await.unwrap().unwrap();
    assert_eq!((gone.text(), &gone.body), ("", &Body::Deleted(NOW)));
    let window = Window {
        after: Seq::START,
        before: None,
        from_end: false,
        limit: 9,
    };
    assert_eq!(store.messages(&room("a"), window).await.unwrap(), [gone]);
    // Who keeps order may delete what others said.
    let Command::SendMessage(other) = send(&bob, "a", "spam") else {
        unreachable!()
    };
    let batch = [
        Command::SendMessage(other.clone()),
        change(&ann, "a", RoomChange::DeleteMessage(other.id)),
    ];
    assert_eq!(commit(store, &batch).await, ["a 3", "redacted 4"]);
}

pub(crate) async fn s7_what_took_a_right_away_stands_before_what_it_forbids(store: &impl Store) {
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
        // A moderator no longer.
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
    let joined = |user: &User, role| What::MemberJoined {
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
                What::MemberRoleChanged {
                    user: bob.id,
                    role: Role::Member
                },
                ShutsOut::Nobody
            ),
            (5, What::MemberLeft { user: bob.id }, ShutsOut::User(bob.id)),
        ]
    );
}

pub(crate) async fn who_may_change_what(store: &impl Store) {
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
        store.room(&room("a"), Who::Shared).await.unwrap().is_some(),
        "its readers are still being told"
    );
    let (seq, what, shuts_out) = changes(store, "a").await.pop().unwrap();
    assert_eq!(
        (seq, what, shuts_out),
        (6, What::RoomDeleted, ShutsOut::Everybody)
    );
}

pub(crate) async fn s7_the_muted_and_the_hasty_do_not_send(store: &impl Store) {
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
        // Leaving is no way out of it.
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

pub(crate) async fn v5_a_room_made_private_names_the_members_of_that_moment(store: &impl Store) {
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
        // Leaving a public room shuts nobody out.
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
    // What is announced and what is read again later are alike.
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
        store.member(&own.id, Who::Nobody, NOW).await.unwrap(),
        None,
        "G5"
    );
}

pub(crate) async fn a_reply_answers_a_message_of_the_same_room(store: &impl Store) {
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
        // The right comes first.
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

pub(crate) async fn a_subject_is_one_user_whose_name_follows(store: &impl Store) {
    let identity = |issuer: &str| Identity {
        issuer: issuer.to_owned(),
        subject: "auth0|ann".to_owned(),
    };
    let given = |name: &str, named_at: i64| Subject {
        user: UserId::from_uuid(Uuid::now_v7()),
        name: UserName::new(name).unwrap(),
        named_at: Timestamp(named_at),
    };
    let first = given("Ann", 10);
    assert_eq!(
        store.subject(&identity("a"), &first, NOW).await.unwrap(),
        first
    );
    let name = async || {
        store
            .user(&first.user)
            .await
            .unwrap()
            .unwrap()
            .name
            .to_string()
    };
    // The one who is kept, whatever id the candidate has.
    for (candidate, kept, named_at) in [
        (given("Ann", 99), "Ann", 10),
        (given("Older", 9), "Ann", 10),
        (given("As old", 10), "Ann", 10),
        (given("Newer", 11), "Newer", 11),
        (given("Ann", 10), "Newer", 11),
    ] {
        let found = store
            .subject(&identity("a"), &candidate, NOW)
            .await
            .unwrap();
        assert_eq!(
            (found.user, found.name.as_str(), found.named_at),
            (first.user, kept, Timestamp(named_at))
        );
        assert_eq!(name().await, kept);
    }
    assert_eq!(
        store.user(&first.user).await.unwrap().unwrap().created_at,
        NOW
    );
    assert_ne!(
        store
            .subject(&identity("b"), &given("Ann", 10), NOW)
            .await
            .unwrap()
            .user,
        first.user
    );
}

pub(crate) async fn revocations_are_kept_until_they_expire(store: &impl Store) {
    let token = |byte: u8| TokenId([byte; 16]);
    let later = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000_000);
    assert_eq!(
        (
            store.revocations_head().await.unwrap(),
            store.revocations(0, 9).await.unwrap()
        ),
        (0, vec![])
    );
    for (byte, seconds) in [(1, 10), (2, 30), (3, 20), (2, 40)] {
        store
            .revoke(token(byte), later(seconds), NOW)
            .await
            .unwrap();
    }
    // Twice is once.
    let all = store.revocations(0, 9).await.unwrap();
    let kept = |all: &[Revocation]| {
        all.iter()
            .map(|one| (one.token, one.expires_at))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kept(&all),
        [
            (token(1), later(10)),
            (token(2), later(30)),
            (token(3), later(20))
        ]
    );
    assert!(all.is_sorted_by(|one, next| one.number < next.number));
    assert_eq!(store.revocations_head().await.unwrap(), all[2].number);
    assert_eq!(store.revocations(all[0].number, 9).await.unwrap(), all[1..]);
    assert_eq!(store.revocations(0, 2).await.unwrap(), all[..2]);
    assert_eq!(store.revocations(u64::MAX, 9).await.unwrap(), []);
    assert!(
        store.is_revoked(token(1)).await.unwrap() && !store.is_revoked(token(4)).await.unwrap()
    );
    store.revoke(token(4), later(50), later(20)).await.unwrap();
    assert_eq!(
        kept(&store.revocations(0, 9).await.unwrap()),
        [(token(2), later(30)), (token(4), later(50))]
    );
    assert!(!store.is_revoked(token(3)).await.unwrap());
    // A number that was given is never given again, so that whoever reads on after it misses nothing.
    let last = store.revocations_head().await.unwrap();
    store.revoke(token(5), later(100), later(60)).await.unwrap();
    assert_eq!(
        kept(&store.revocations(last, 9).await.unwrap()),
        [(token(5), later(100))]
    );
}
