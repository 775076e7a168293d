//! The promises. Each is a function over any store.

use std::sync::Arc;

use switchboard::{
    domain::{
        Epoch, Event, Identity, MessageId, MessageText, Nonce, RoomId, RoomName, Seq, Subject, Timestamp, TokenId,
        User, UserId, UserName, Viewer, Visibility, Who,
    },
    store::{Accounts, Append, AppendError, Command, CreateRoom, Log, Outcome, Refusal, SendMessage, Window},
};
use uuid::Uuid;

pub(crate) trait Store: Log + Append + Accounts {}
impl<T: Log + Append + Accounts> Store for T {}

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn room(id: &str) -> RoomId {
    id.parse().unwrap()
}

async fn user(store: &impl Store, name: &str) -> User {
    let user = User { id: UserId::from_uuid(Uuid::now_v7()), name: UserName::new(name).unwrap(), created_at: NOW };
    store.create_user(&user).await.unwrap();
    user
}

fn send(viewer: &User, to: &str, text: &str) -> Command {
    let (room, text) = (room(to), MessageText::new(text).unwrap());
    Command::SendMessage(SendMessage {
        viewer: viewer.id,
        room,
        id: MessageId::from_uuid(Uuid::now_v7()),
        text,
        nonce: None,
    })
}

fn send_once(viewer: &User, to: &str, text: &str, nonce: &str) -> Command {
    match send(viewer, to, text) {
        Command::SendMessage(send) => {
            Command::SendMessage(SendMessage { nonce: Some(Nonce::new(nonce).unwrap()), ..send })
        }
        other => other,
    }
}

fn create(viewer: &User, id: &str, visibility: Visibility) -> Command {
    let name = RoomName::new(id).unwrap();
    Command::CreateRoom(CreateRoom { viewer: viewer.id, id: room(id), name, visibility, epoch: Epoch(7) })
}

fn as_viewer(user: &User) -> Who {
    let token = TokenId([0; 16]);
    Who::Viewer(Viewer { user: user.id, expires_at: Timestamp(i64::MAX), token, operator: false })
}

/// What became of each command, in short.
async fn commit(store: &impl Store, batch: &[Command]) -> Vec<String> {
    let outcomes = store.commit(batch, NOW).await;
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(Outcome::Sent(event, message)) => {
                assert_eq!(**event.get(), Event::MessageSent(message.clone()));
                format!("{} {}", message.cursor.room, message.cursor.seq.0)
            }
            Ok(Outcome::Repeated(message)) => format!("again {} {}", message.cursor.room, message.cursor.seq.0),
            Ok(Outcome::Created(room)) => format!("new {}", room.id),
            Err(AppendError::Refused(refusal)) => format!("{refusal:?}"),
            Err(AppendError::Store(error)) => format!("{error}"),
        })
        .collect()
}

async fn texts(store: &impl Store, id: &str) -> Vec<String> {
    let events = store.events(&room(id), Seq::START, Seq(u64::MAX), 1000).await.unwrap();
    let seqs: Vec<_> = events.iter().map(|event| event.seq().0).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>(), "S2");
    events
        .iter()
        .map(|event| match &**event {
            Event::MessageSent(message) => message.text.to_string(),
        })
        .collect()
}

pub(crate) async fn room_1_is_there_from_the_start(store: &impl Store) {
    let found = store.room(&room("room-1"), Who::Nobody).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.visibility, found.head), ("General", Visibility::Public, Seq::START));
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
    assert_eq!(commit(store, &batch).await, ["new a", "a 1", "room-1 1", "a 2", "new b", "a 3", "b 1"]);
    assert_eq!(commit(store, &[send(&ann, "a", "4")]).await, ["a 4"]);
    assert_eq!(texts(store, "a").await, ["1", "2", "3", "4"]);
    assert_eq!(store.room(&room("a"), Who::Nobody).await.unwrap().unwrap().head, Seq(4));
}

pub(crate) async fn s2_a_refusal_takes_no_seq(store: &impl Store) {
    let (ann, nobody) = (
        user(store, "ann").await,
        User { id: UserId::from_uuid(Uuid::now_v7()), name: UserName::new("ghost").unwrap(), created_at: NOW },
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
    let expected = ["room-1 1", "UnknownViewer", "NotFound", "room-1 2", "UnknownViewer", "RoomTaken", "room-1 3"];
    assert_eq!(commit(store, &batch).await, expected);
    assert_eq!(texts(store, "room-1").await, ["1", "2", "3"]);
}

pub(crate) async fn s4_a_nonce_names_one_message_of_its_sender(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    commit(store, &[create(&ann, "a", Visibility::Public)]).await;
    assert_eq!(commit(store, &[send_once(&ann, "room-1", "x", "n")]).await, ["room-1 1"]);
    let batch = [
        send_once(&ann, "room-1", "x", "n"),
        send_once(&ann, "room-1", "y", "n"),
        send_once(&ann, "a", "x", "n"),
        send_once(&bob, "room-1", "x", "n"),
        send_once(&ann, "room-1", "x", "N"),
        send_once(&ann, "none", "x", "n"),
    ];
    let expected = ["again room-1 1", "NonceTaken", "NonceTaken", "room-1 2", "room-1 3", "NotFound"];
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
    assert_eq!(commit(store, &batch).await, ["room-1 1", "again room-1 1", "NonceTaken", "new a", "again room-1 1"]);
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
    assert_eq!(commit(store, &batch).await, ["NotFound", "new a", "a 1", "NotFound", "RoomTaken"]);
}

pub(crate) async fn a_batch_that_fails_runs_one_by_one(store: &impl Store) {
    let ann = user(store, "ann").await;
    // Two messages of one id cannot both be stored: the multi-row statement fails as a whole.
    let (first, Command::SendMessage(twin)) = (send(&ann, "room-1", "1"), send(&ann, "room-1", "2")) else {
        unreachable!()
    };
    let Command::SendMessage(SendMessage { id, .. }) = &first else { unreachable!() };
    let twin = Command::SendMessage(SendMessage { id: *id, ..twin });
    let outcomes = commit(store, &[first, twin, send(&ann, "room-1", "3")]).await;
    assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), ("room-1 1", "room-1 2"), "{outcomes:?}");
    assert!(outcomes[1].contains("the database failed"), "{outcomes:?}");
    assert_eq!(texts(store, "room-1").await, ["1", "3"]);
}

pub(crate) async fn g5_unknown_and_unreadable_are_alike(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let Command::SendMessage(secret) = send(&ann, "a", "psst") else { unreachable!() };
    commit(store, &[create(&ann, "a", Visibility::Private), Command::SendMessage(secret.clone())]).await;
    for (who, sees) in [(as_viewer(&ann), true), (Who::Shared, true), (as_viewer(&bob), false), (Who::Nobody, false)] {
        assert_eq!(store.room(&room("a"), who).await.unwrap().is_some(), sees, "{who:?}");
        assert_eq!(store.message(&secret.id, who).await.unwrap().is_some(), sees, "{who:?}");
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
    let batch: Vec<_> = (1..=10).map(|number| send(&ann, "room-1", &number.to_string())).collect();
    commit(store, &batch).await;
    let id = room("room-1");
    let seqs = |events: Vec<Arc<Event>>| events.iter().map(|event| event.seq().0).collect::<Vec<_>>();
    assert_eq!(seqs(store.events(&id, Seq(3), Seq(6), 9).await.unwrap()), [4, 5, 6]);
    assert_eq!(seqs(store.events(&id, Seq(3), Seq(u64::MAX), 2).await.unwrap()), [4, 5], "S5");
    assert_eq!(seqs(store.events(&id, Seq(10), Seq(u64::MAX), 9).await.unwrap()), [0_u64; 0]);
    for (after, before, from_end, limit, expected) in [
        (0, None, false, 3, vec![1, 2, 3]),
        (0, None, true, 3, vec![8, 9, 10]),
        (2, Some(6), false, 9, vec![3, 4, 5]),
        (2, Some(6), true, 2, vec![4, 5]),
        (10, None, false, 9, vec![]),
    ] {
        let window = Window { after: Seq(after), before: before.map(Seq), from_end, limit };
        let found = store.messages(&id, window).await.unwrap();
        assert_eq!(found.iter().map(|message| message.cursor.seq.0).collect::<Vec<_>>(), expected, "{window:?}");
        assert!(found.iter().all(|message| *message.sender == ann && message.created_at == NOW));
    }
}

pub(crate) async fn rooms_are_listed_by_id(store: &impl Store) {
    let ann = user(store, "ann").await;
    commit(store, &["c", "a", "b"].map(|id| create(&ann, id, Visibility::Public))).await;
    let ids = async |after: Option<&str>, search: Option<&str>, limit| {
        let rooms = store.rooms(Who::Nobody, after, search, limit).await.unwrap();
        rooms.iter().map(|room| room.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None, 9).await, ["a", "b", "c", "room-1"]);
    assert_eq!(ids(Some("a"), None, 2).await, ["b", "c"]);
    assert_eq!(ids(None, Some("GENER"), 9).await, ["room-1"]);
    assert_eq!(ids(None, Some("%"), 9).await, [""; 0]);
}

pub(crate) async fn users_and_the_key_are_kept(store: &impl Store) {
    let ann = user(store, "ann").await;
    assert_eq!(store.user(&ann.id).await.unwrap(), Some(ann));
    assert_eq!(store.user(&UserId::from_uuid(Uuid::now_v7())).await.unwrap(), None);
    assert_eq!(store.signing_key([1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.signing_key([2; 32]).await.unwrap(), [1; 32]);
}

pub(crate) async fn a_subject_is_one_user_whose_name_follows(store: &impl Store) {
    let identity = |issuer: &str| Identity { issuer: issuer.to_owned(), subject: "auth0|ann".to_owned() };
    let given = |name: &str, named_at: i64| Subject {
        user: UserId::from_uuid(Uuid::now_v7()),
        name: UserName::new(name).unwrap(),
        named_at: Timestamp(named_at),
    };
    let first = given("Ann", 10);
    assert_eq!(store.subject(&identity("a"), &first, NOW).await.unwrap(), first);
    let name = async || store.user(&first.user).await.unwrap().unwrap().name.to_string();
    // The one who is kept, whatever id the candidate has.
    for (candidate, kept, named_at) in [
        (given("Ann", 99), "Ann", 10),
        (given("Older", 9), "Ann", 10),
        (given("As old", 10), "Ann", 10),
        (given("Newer", 11), "Newer", 11),
        (given("Ann", 10), "Newer", 11),
    ] {
        let found = store.subject(&identity("a"), &candidate, NOW).await.unwrap();
        assert_eq!((found.user, found.name.as_str(), found.named_at), (first.user, kept, Timestamp(named_at)));
        assert_eq!(name().await, kept);
    }
    assert_eq!(store.user(&first.user).await.unwrap().unwrap().created_at, NOW);
    assert_ne!(store.subject(&identity("b"), &given("Ann", 10), NOW).await.unwrap().user, first.user);
}

pub(crate) async fn revocations_are_kept_until_they_expire(store: &impl Store) {
    let token = |byte: u8| TokenId([byte; 16]);
    let later = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000_000);
    assert_eq!(store.revocations(9).await.unwrap(), []);
    for (byte, seconds) in [(1, 10), (2, 30), (3, 20), (2, 40)] {
        store.revoke(token(byte), later(seconds), NOW).await.unwrap();
    }
    // Twice is once; those that would be good for longest come first.
    let all = [(token(2), later(30)), (token(3), later(20)), (token(1), later(10))];
    assert_eq!(store.revocations(9).await.unwrap(), all);
    assert_eq!(store.revocations(2).await.unwrap(), all[..2]);
    assert!(store.is_revoked(token(1)).await.unwrap() && !store.is_revoked(token(4)).await.unwrap());
    store.revoke(token(4), later(50), later(20)).await.unwrap();
    assert_eq!(store.revocations(9).await.unwrap(), [(token(4), later(50)), (token(2), later(30))]);
    assert!(!store.is_revoked(token(3)).await.unwrap());
}
