//! Mutations: sessions, new rooms, and messages.
//!
//! Every mutation is nullable, so that in `{ a: sendMessage(…) b: sendMessage(…) }` a failure of
//! `b` does not remove the result of `a`.

use std::{sync::Arc, time::Instant};

use async_graphql::{Context, ID, Object, SimpleObject};
use tracing::field::display;
use uuid::Uuid;

use super::{
    context::{append, check_token, request_context, room_id, services, signed_in, viewer},
    error::{ApiError, Resolved},
    objects::{MessageObject, RoomObject, VisibilityValue},
    scalar::DateTime,
    users::UserObject,
};
use crate::{
    auth,
    domain::{
        Epoch, IdError, MemberId, MessageId, MessageText, Nonce, RoomId, RoomName, UserId, UserName,
    },
    presence,
    store::{Command, CommandOutcome, CreateRoom, SendMessage},
};

/// A signed-in user and their token.
#[derive(SimpleObject)]
#[graphql(name = "Session")]
pub(super) struct SessionObject {
    /// Send it as `Authorization: Bearer …`, or as `{"authorization": "Bearer …"}` in
    /// `connection_init`.
    token: String,
    expires_at: DateTime,
    viewer: UserObject,
}

impl From<auth::Session> for SessionObject {
    fn from(session: auth::Session) -> Self {
        Self {
            token: session.token,
            expires_at: DateTime(session.expires_at),
            viewer: UserObject(Arc::new(session.user)),
        }
    }
}

pub(super) struct Mutation;

/// Sessions, new rooms, and messages.
#[Object(name = "FirstMutation")]
impl Mutation {
    /// Signs a guest in. Fails with FORBIDDEN if the server does not allow guests. Each sign-in
    /// makes a new user; names are not unique. If a page of this server calls this by POST, the
    /// answer also sets the cookie `switchboard_token`. The server reads this cookie only in GET
    /// requests, such as those of `EventSource`.
    async fn sign_in(&self, ctx: &Context<'_>, name: String) -> Resolved<Option<SessionObject>> {
        let services = services(ctx);
        let name = UserName::new(&name).map_err(ApiError::from)?;
        request_context(ctx).take_sign_in(Instant::now())?;
        let id = UserId::from_uuid(Uuid::now_v7());
        let session = services
            .auth
            .sign_in(id, name, Uuid::new_v4(), (services.clock)())
            .await;
        let session = session.map_err(ApiError::from)?;
        let address = request_context(ctx).address.map(display);
        tracing::info!(user = %id, address, "a guest signed in");
        request_context(ctx).record(|effects| {
            effects.session = Some((session.token.clone(), session.expires_at));
        });
        Ok(Some(session.into()))
    }

    /// Continues as the same user with another token. A guest passes any valid token of theirs and
    /// receives a new one. With an identity provider, pass the provider's new token, which is also
    /// returned. Over a WebSocket, the returned token becomes the token of the connection, and its
    /// subscriptions continue. Over HTTP, streams keep the token that they were opened with. The
    /// previous token stays valid until it expires or `signOut` revokes it. A token of another user
    /// fails with FORBIDDEN, an invalid one with UNAUTHENTICATED.
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        token: String,
    ) -> Resolved<Option<SessionObject>> {
        let (viewer, services) = (signed_in(ctx)?, services(ctx));
        let refreshed = services
            .auth
            .refresh(&viewer, &token, Uuid::new_v4(), (services.clock)())
            .await;
        let (session, viewer) = refreshed.map_err(ApiError::from)?;
        request_context(ctx).record(|effects| {
            effects.session = Some((session.token.clone(), session.expires_at));
            effects.renewed = Some(viewer);
        });
        Ok(Some(session.into()))
    }

    /// Permanently revokes the token of this request, with immediate effect. The server closes the
    /// WebSockets and cuts off the HTTP streams that use the token. A WebSocket that has moved to
    /// another token by `refreshSession` stays open. Returns false for anonymous callers.
    async fn sign_out(&self, ctx: &Context<'_>) -> Resolved<Option<bool>> {
        let (viewer, services) = (viewer(ctx)?, services(ctx));
        let Some(viewer) = viewer else {
            return Ok(Some(false));
        };
        check_token(ctx)?;
        // From now on, later fields of this document and later requests of its batch are refused.
        request_context(ctx).record(|effects| effects.signed_out = true);
        if let Err(error) = services.auth.sign_out(&viewer, (services.clock)()).await {
            request_context(ctx).record(|effects| effects.signed_out = false);
            return Err(ApiError::from(error).into());
        }
        Ok(Some(true))
    }

    /// Creates a room owned by the viewer. Fails with CONFLICT if the id is taken, even by a room
    /// that the viewer may not read: room ids are not secret.
    async fn create_room(
        &self,
        ctx: &Context<'_>,
        id: Option<ID>,
        name: String,
        #[graphql(default_with = "VisibilityValue::Public")] visibility: VisibilityValue,
    ) -> Resolved<Option<RoomObject>> {
        let viewer = signed_in(ctx)?;
        let id = match id {
            Some(id) => id
                .parse()
                .map_err(|error: IdError| ApiError::bad_user_input(error.to_string()))?,
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

    /// Sends a message. In a public room every signed-in user may do this, in a private room only
    /// members. The message is on disk when this mutation is answered. Fails with FORBIDDEN while
    /// the sender is muted, and with RATE_LIMITED if slow mode requires a longer pause. `nonce`
    /// makes retries safe: a later call by the same sender with the same nonce, at any time,
    /// returns the first message. If the room, the text or `replyTo` differs, that call fails with
    /// CONFLICT.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "roomId")] room: ID,
        text: String,
        nonce: Option<String>,
        #[graphql(desc = "The id of the message, in the same room, to reply to.")] reply_to: Option<
            ID,
        >,
    ) -> Resolved<Option<MessageObject>> {
        let (viewer, services) = (signed_in(ctx)?, services(ctx));
        let command = SendMessage {
            viewer: viewer.user,
            room: room_id(&room)?,
            id: MessageId::from_uuid(Uuid::now_v7()),
            text: MessageText::within(&text, services.limits.text_bytes_max)
                .map_err(ApiError::from)?,
            nonce: nonce
                .map(|nonce| Nonce::new(&nonce))
                .transpose()
                .map_err(ApiError::from)?,
            // A text that cannot be an id becomes the nil id, which no message has. So the store
            // checks the right to the room first, as it does for other unknown ids.
            reply_to: reply_to.map(|id| id.parse().unwrap_or(MessageId::from_uuid(Uuid::nil()))),
        };
        match append(ctx, Command::SendMessage(command)).await? {
            CommandOutcome::Sent(_, message) => {
                // The user has finished typing this message.
                if let Some(lobby) = services.presence.find(&message.cursor.room) {
                    lobby.end_typing(viewer.user, presence::Instant::now());
                }
                Ok(Some(message.into()))
            }
            CommandOutcome::Repeated(message) => Ok(Some(message.into())),
            other => Err(ApiError::internal(&format_args!("sendMessage gave {other:?}")).into()),
        }
    }
}
