//! The data that a server begins with, from a JSON file (`--seed`). It is for tests and
//! demonstrations.
//!
//! Seeding is repeatable: it leaves users, rooms and messages that exist already as they are. If a
//! user has no id in the file, the server computes the id from the name.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    domain::{
        Epoch, IdError, MemberId, MessageId, MessageText, Nonce, Role, RoomId, RoomName, TextError,
        Timestamp, User, UserId, UserName, Visibility,
    },
    store::{
        AppendError, ChangeRoom, Command, CreateRoom, Database, Refusal, RoomChange, SendMessage,
        StoreError,
    },
};

/// Why a file cannot be used. Each text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The file is not JSON of the right shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A value in the file is invalid. The first part says where it is.
    #[error("{0}: {1}")]
    Value(String, String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedFile {
    #[serde(default)]
    users: Vec<SeedUser>,
    #[serde(default)]
    rooms: Vec<SeedRoom>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedUser {
    name: String,
    id: Option<String>,
    /// A text that the server accepts as this user's token.
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedRoom {
    id: String,
    name: Option<String>,
    #[serde(default)]
    visibility: SeedVisibility,
    /// The name or the id of a user. Needed for a room that does not exist yet.
    owner: Option<String>,
    #[serde(default)]
    members: Vec<SeedMember>,
    #[serde(default)]
    messages: Vec<SeedMessage>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum SeedVisibility {
    #[default]
    Public,
    Private,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedMember {
    user: String,
    #[serde(default)]
    role: SeedRole,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum SeedRole {
    Owner,
    Moderator,
    #[default]
    Member,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedMessage {
    sender: String,
    text: String,
}

/// The users of a file, by their names and their ids.
type Users = BTreeMap<String, UserId>;

/// The users that the server accepts texts of the file as tokens of.
pub type FixedTokens = HashMap<String, UserId>;

/// Stores the data of a file that is not in the database yet. Returns the tokens of its users.
pub async fn apply(
    path: &Path,
    database: &Database,
    now: Timestamp,
) -> Result<FixedTokens, SeedError> {
    let file: SeedFile = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let (users, tokens) = apply_users(&file.users, database, now).await?;
    for (index, room) in file.rooms.iter().enumerate() {
        let at = format!("rooms[{index}]");
        let seeding = RoomSeeding {
            database,
            users: &users,
            now,
            id: room
                .id
                .parse()
                .map_err(|error: IdError| invalid(&at, error))?,
        };
        seeding.apply(room, &at).await?;
    }
    Ok(tokens)
}

fn invalid(at: &str, reason: impl std::fmt::Display) -> SeedError {
    SeedError::Value(at.to_owned(), reason.to_string())
}

async fn apply_users(
    given: &[SeedUser],
    database: &Database,
    now: Timestamp,
) -> Result<(Users, FixedTokens), SeedError> {
    let (mut users, mut tokens) = (Users::new(), FixedTokens::new());
    for (index, user) in given.iter().enumerate() {
        let at = format!("users[{index}]");
        let name = UserName::new(&user.name).map_err(|error| invalid(&at, error))?;
        let id = match &user.id {
            Some(id) => id.parse().map_err(|error: IdError| invalid(&at, error))?,
            None => UserId::from_uuid(derived(&["user", name.as_str()])),
        };
        if users.insert(name.as_str().to_owned(), id).is_some() {
            return Err(invalid(&at, "another user of the file has this name"));
        }
        users.insert(id.to_string(), id);
        if let Some(token) = &user.token {
            tokens.insert(token.clone(), id);
        }
        if database.accounts.user(&id).await?.is_none() {
            let user = User {
                id,
                name,
                created_at: now,
            };
            database.accounts.create_user(&user).await?;
        }
    }
    Ok((users, tokens))
}

/// What is needed to seed one room.
struct RoomSeeding<'a> {
    database: &'a Database,
    users: &'a Users,
    now: Timestamp,
    id: RoomId,
}

impl RoomSeeding<'_> {
    async fn apply(&self, room: &SeedRoom, at: &str) -> Result<(), SeedError> {
        let owner = room
            .owner
            .as_deref()
            .map(|owner| self.user(owner, at))
            .transpose()?;
        if let Some(owner) = owner {
            let name = room.name.as_deref().unwrap_or(&room.id);
            let create = CreateRoom {
                viewer: owner,
                id: self.id.clone(),
                owner: MemberId::from_uuid(self.derived("owner", 0)),
                name: RoomName::new(name).map_err(|error| invalid(at, error))?,
                visibility: match room.visibility {
                    SeedVisibility::Public => Visibility::Public,
                    SeedVisibility::Private => Visibility::Private,
                },
                epoch: Epoch(rand::random::<u64>() >> 1),
            };
            self.commit(Command::CreateRoom(create), at).await?;
        }
        for (index, member) in room.members.iter().enumerate() {
            let at = format!("{at}.members[{index}]");
            let user = self.user(&member.user, &at)?;
            let id = MemberId::from_uuid(self.derived("member", index));
            let (viewer, change) = match (owner, member.role) {
                (Some(owner), role) => (owner, add(id, user, role)),
                (None, SeedRole::Member) => (user, RoomChange::Join(id)),
                (None, _) => return Err(invalid(&at, "a role needs an owner of the room")),
            };
            self.change(viewer, change, &at).await?;
        }
        for (index, message) in room.messages.iter().enumerate() {
            let at = format!("{at}.messages[{index}]");
            self.send(message, index, &at).await?;
        }
        Ok(())
    }

    async fn change(&self, viewer: UserId, change: RoomChange, at: &str) -> Result<(), SeedError> {
        let command = ChangeRoom {
            viewer,
            room: self.id.clone(),
            change,
        };
        self.commit(Command::ChangeRoom(command), at).await
    }

    async fn send(&self, message: &SeedMessage, index: usize, at: &str) -> Result<(), SeedError> {
        let invalid_text = |error: TextError| invalid(at, error);
        let send = SendMessage {
            viewer: self.user(&message.sender, at)?,
            room: self.id.clone(),
            id: MessageId::from_uuid(self.derived("message", index)),
            text: MessageText::new(&message.text).map_err(invalid_text)?,
            // The store keeps one message of a nonce, so seeding again adds nothing.
            nonce: Some(Nonce::new(&format!("seed {} {index}", self.id)).map_err(invalid_text)?),
            reply_to: None,
        };
        self.commit(Command::SendMessage(send), at).await
    }

    /// Commits a command. A room or a membership that exists already is not an error.
    async fn commit(&self, command: Command, at: &str) -> Result<(), SeedError> {
        let outcome = self
            .database
            .append
            .commit(&[command], self.now)
            .await
            .pop();
        match outcome.expect("one outcome per command") {
            Ok(_) => Ok(()),
            Err(AppendError::Refused(Refusal::RoomTaken | Refusal::MemberAlready)) => Ok(()),
            Err(AppendError::Refused(Refusal::NonceTaken)) => Err(invalid(
                at,
                "the database holds another text from an earlier file; use a new database",
            )),
            Err(AppendError::Refused(refusal)) => Err(invalid(at, refusal)),
            Err(AppendError::Store(error)) => Err(error.into()),
        }
    }

    fn user(&self, name: &str, at: &str) -> Result<UserId, SeedError> {
        let unknown = || invalid(at, format_args!("{name} is no user of the file"));
        self.users.get(name).copied().ok_or_else(unknown)
    }

    fn derived(&self, kind: &str, index: usize) -> Uuid {
        derived(&[kind, self.id.as_str(), &index.to_string()])
    }
}

fn add(id: MemberId, user: UserId, role: SeedRole) -> RoomChange {
    let role = match role {
        SeedRole::Owner => Role::Owner,
        SeedRole::Moderator => Role::Moderator,
        SeedRole::Member => Role::Member,
    };
    RoomChange::AddMember { id, user, role }
}

/// An id that is the same at each start.
fn derived(parts: &[&str]) -> Uuid {
    let hash = Sha256::digest(parts.join("\n"));
    let (bytes, _) = hash.split_first_chunk().expect("32 bytes hold 16");
    uuid::Builder::from_custom_bytes(*bytes).into_uuid()
}
