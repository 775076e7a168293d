//! Changes. Nullable at the root: in `{ a: sendMessage b: sendMessage }` a failing b must not hide a's answer.

use std::{sync::Arc, time::Instant};

use async_graphql::{Context, ID, Object, SimpleObject};
use uuid::Uuid;

use super::{
    context::{RequestContext, append, services, signed_in, still_signed_in, viewer},
    error::{ApiError, Code},
    object::{MessageObject, RoomObject, UserObject, Visibility},
    scalar::DateTime,
};
use crate::{
    auth,
    domain::{Epoch, MemberId, MessageId, MessageText, Nonce, RoomId, RoomName, UserId, UserName},
    store::{Command, CommandOutcome, CreateRoom, SendMessage},
};

type Resolved<T> = async_graphql::Result<T>;

/// A token and whom it is for.
#[derive(SimpleObject)]
pub(super) struct Session {
    /// Give it as `Authorization: Bearer …`, or as `{"authorization": "Bearer …"}` in connection_init.
    token: String,
    expires_at: DateTime,
    viewer: UserObject,
}

impl From<auth::Session> for Session {
    fn from(session: auth::Session) -> Self {
        Self {
            token: session.token,
            expires_at: DateTime(session.expires_at),
            viewer: UserObject(Arc::new(session.user)),
        }
    }
}

pub(super) struct Mutation;

/// Sessions, rooms that begin, and messages.
#[Object(name = "FirstMutation")]
impl Mutation {
    /// Signs a guest in, where guests are allowed; always a new user: a name is no identity.
    async fn sign_in(&self, ctx: &Context<'_>, name: String) -> Resolved<Option<Session>> {
        let services = services(ctx);
        let name = UserName::new(&name).map_err(ApiError::from)?;
        notes(ctx).take_sign_in(Instant::now())?;
        let id = UserId::from_uuid(Uuid::now_v7());
        let session = services
            .auth
            .sign_in(id, name, Uuid::new_v4(), (services.clock)())
            .await;
        let session = session.map_err(ApiError::from)?;
        notes(ctx).note(|noted| noted.session = Some((session.token.clone(), session.expires_at)));
        Ok(Some(session.into()))
    }

    /// Goes on as the same user with another token: a new one for a guest; where an identity provider signs in, the one that
    /// is given. On an open socket no subscription is dropped. The token from before stays good until it expires or is
    /// signed out.
    async fn refresh_session(&self, ctx: &Context<'_>, token: String) -> Resolved<Option<Session>> {
        let (viewer, services) = (signed_in(ctx)?, services(ctx));
        let refreshed = services
            .auth
            .refresh(&viewer, &token, Uuid::new_v4(), (services.clock)())
            .await;
        let (session, viewer) = refreshed.map_err(ApiError::from)?;
        notes(ctx).note(|noted| {
            noted.session = Some((session.token.clone(), session.expires_at));
            noted.renewed = Some(viewer);
        });
        Ok(Some(session.into()))
    }

    /// Makes the token that came with this request invalid, at once and for good; sockets that were opened with it are
    /// closed. False when nobody was signed in.
    async fn sign_out(&self, ctx: &Context<'_>) -> Resolved<Option<bool>> {
        let (viewer, services) = (viewer(ctx)?, services(ctx));
        let Some(viewer) = viewer else {
            return Ok(Some(false));
        };
        still_signed_in(ctx)?;
        // What stands behind it, in the same document or batch, comes too late from now on.
        notes(ctx).note(|noted| noted.signed_out = true);
        if let Err(error) = services.auth.sign_out(&viewer, (services.clock)()).await {
            notes(ctx).note(|noted| noted.signed_out = false);
            return Err(ApiError::from(error).into());
        }
        Ok(Some(true))
    }

    /// Makes a room that its creator owns. A taken id: CONFLICT, whoever asks. Chosen ids are public knowledge.
    async fn create_room(
        &self,
        ctx: &Context<'_>,
        id: Option<ID>,
        name: String,
        #[graphql(default_with = "Visibility::Public")] visibility: Visibility,
    ) -> Resolved<Option<RoomObject>> {
        let viewer = signed_in(ctx)?;
        let id = match id {
            Some(id) => id
                .parse()
                .map_err(|error: crate::domain::IdError| bad(error.to_string()))?,
            None => RoomId::from_uuid(Uuid::now_v7()),
        };
        let command = CreateRoom {
            viewer: viewer.user,
            id,
            owner: MemberId::from_uuid(Uuid::now_v7()),
            name: RoomName::new(&name).map_err(ApiError::from)?,
            visibility: visibility.into(),
            epoch: Epoch::random(),
        };
        match append(ctx, Command::CreateRoom(command)).await? {
            CommandOutcome::Created(room) => Ok(Some(room.into())),
            other => Err(ApiError::internal(&format_args!("createRoom gave {other:?}")).into()),
        }
    }

    /// Durable when answered. `nonce` is unique per sender: the same one again is the same message, so a retry is safe;
    /// with other content it is CONFLICT.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        text: String,
        nonce: Option<String>,
        #[graphql(desc = "A message of the same room that this one answers.")] reply_to: Option<ID>,
    ) -> Resolved<Option<MessageObject>> {
        let (viewer, services) = (signed_in(ctx)?, services(ctx));
        let command = SendMessage {
            viewer: viewer.user,
            room: room_id
                .parse()
                .map_err(|_| ApiError::new(Code::NotFound, "There is no such room."))?,
            id: MessageId::from_uuid(Uuid::now_v7()),
            text: MessageText::within(&text, services.limits.text_bytes_max)
                .map_err(ApiError::from)?,
            nonce: nonce
                .map(|nonce| Nonce::new(&nonce))
                .transpose()
                .map_err(ApiError::from)?,
            // One that cannot be an id is asked for all the same: the right to the room comes first.
            reply_to: reply_to.map(|id| id.parse().unwrap_or(MessageId::from_uuid(Uuid::nil()))),
        };
        match append(ctx, Command::SendMessage(command)).await? {
            CommandOutcome::Sent(_, message) | CommandOutcome::Repeated(message) => {
                Ok(Some(message.into()))
            }
            other => Err(ApiError::internal(&format_args!("sendMessage gave {other:?}")).into()),
        }
    }
}

fn bad(message: String) -> ApiError {
    ApiError::new(Code::BadUserInput, message)
}

fn notes<'a>(ctx: &Context<'a>) -> &'a RequestContext {
    ctx.data_unchecked()
}
