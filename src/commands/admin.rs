//! The commands of `admin`: changes of a database by its operator.

use uuid::Uuid;

use super::CommandError;
use crate::{
    config::{AdminCommand, DatabaseFlags},
    domain::{MemberId, RoomId, UserId},
    server::clock,
    store::{
        AppendError, ChangeRoom, Command, CommandOutcome, Database, Refusal, RoomChange,
        sqlite::SqliteLimits,
    },
};

/// `switchboard admin`.
pub(super) async fn admin(command: AdminCommand) -> Result<(), CommandError> {
    match command {
        AdminCommand::Adopt {
            room,
            user,
            database,
        } => adopt(room, user, &database).await,
    }
}

/// `switchboard admin adopt`: makes a user an owner of a room. A running server would not see the
/// event, so the command takes the lock that one server has on the database.
async fn adopt(room: RoomId, user: UserId, flags: &DatabaseFlags) -> Result<(), CommandError> {
    let url = flags.file().map_err(CommandError::Flags)?;
    let _lock = Database::lock(url)?;
    let database = Database::open(url, SqliteLimits::default()).await?;
    let command = Command::ChangeRoom(ChangeRoom {
        viewer: user,
        room: room.clone(),
        change: RoomChange::Adopt(MemberId::from_uuid(Uuid::now_v7())),
    });
    let outcome = database.append.commit(&[command], clock()()).await.pop();
    database.maintenance.close().await;
    match outcome.expect("one outcome per command") {
        Ok(CommandOutcome::Done) => println!("{user} owns {room} already."),
        Ok(_) => println!("{user} is an owner of {room} now."),
        Err(AppendError::Refused(Refusal::UnknownViewer)) => {
            return Err(CommandError::Refused(format!("there is no user {user}")));
        }
        Err(AppendError::Refused(Refusal::NotFound)) => {
            return Err(CommandError::Refused(format!("there is no room {room}")));
        }
        Err(AppendError::Refused(refusal)) => {
            return Err(CommandError::Refused(refusal.to_string()));
        }
        Err(AppendError::Store(error)) => return Err(error.into()),
    }
    Ok(())
}
