//! Helpers for the tests of the contract.

use switchboard::{
    domain::{
        Caller, ChangeKind, Epoch, Event, MemberId, MessageId, MessageText, Nonce, Role, RoomId,
        RoomName, Seq, ShutsOut, Timestamp, TokenId, User, UserId, UserName, Viewer, Visibility,
    },
    store::{
        Accounts, Append, AppendError, ChangeRoom, Command, CommandOutcome, CreateRoom, Log,
        RoomChange, SendMessage,
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

pub(crate) fn send_once(viewer: &User, to: &str, text: &str, nonce: &str) -> Command {
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

pub(crate) fn member_id() -> MemberId {
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

pub(crate) fn set_role(viewer: &User, id: &str, user: &User, role: Role) -> Command {
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

pub(crate) fn join(viewer: &User, id: &str) -> Command {
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

pub(crate) fn as_viewer(user: &User) -> Caller {
    let token = TokenId([0; 16]);
    Caller::Viewer(Viewer {
        user: user.id,
        expires_at: Timestamp(i64::MAX),
        token,
    })
}

/// Commits a batch; describes the outcome of each command.
pub(crate) async fn commit(store: &impl Store, batch: &[Command]) -> Vec<String> {
    let outcomes = store.commit(batch, NOW).await;
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(CommandOutcome::Sent(event, message)) => {
                assert_eq!(**event.get(), Event::MessageSent(message.clone()));
                format!("{} {}", message.cursor.room, message.cursor.seq.0)
            }
            Ok(CommandOutcome::Repeated(message)) => {
                format!("again {} {}", message.cursor.room, message.cursor.seq.0)
            }
            Ok(CommandOutcome::Created(room)) => format!("new {}", room.id),
            Ok(CommandOutcome::Rewritten(event, message)) => {
                format!("rewritten {}: {:?}", event.get().seq().0, message.text())
            }
            Ok(CommandOutcome::Changed(event)) => format!("changed {}", event.get().seq().0),
            Ok(CommandOutcome::Done) => "done".to_owned(),
            Err(AppendError::Refused(refusal)) => format!("{refusal:?}"),
            Err(AppendError::Store(error)) => format!("{error}"),
        })
        .collect()
}

pub(crate) async fn texts(store: &impl Store, id: &str) -> Vec<String> {
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

pub(crate) async fn changes(store: &impl Store, id: &str) -> Vec<(u64, ChangeKind, ShutsOut)> {
    let events = store
        .events(&room(id), Seq::START, Seq(u64::MAX), 1000)
        .await
        .unwrap();
    let changed = events.iter().filter_map(|event| match &**event {
        Event::Changed(change) => Some((event.seq().0, change.kind, change.shuts_out.clone())),
        Event::MessageSent(_) => None,
    });
    changed.collect()
}
