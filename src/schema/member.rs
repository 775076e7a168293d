//! Who belongs to a room.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};

use super::{
    budget::spending,
    connection::{MemberConnection, MemberEdge, PageInfo, Slice},
    context::services,
    error::{ApiError, Code},
    object::{RoomObject, UserObject, room_of},
    scalar::DateTime,
};
use crate::{
    domain::{self, Member, MemberId, Room},
    store::MemberWindow,
};

/// What a member is in a room.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Role")]
pub(super) enum Role {
    /// Made the room, or was given it. A room has at least one.
    Owner,
    /// Keeps order.
    Moderator,
    /// Reads and writes.
    Member,
}

#[derive(Clone)]
pub(super) struct MemberObject(Arc<Member>);

impl From<Member> for MemberObject {
    fn from(member: Member) -> Self {
        Self(Arc::new(member))
    }
}

impl From<Arc<Member>> for MemberObject {
    fn from(member: Arc<Member>) -> Self {
        Self(member)
    }
}

/// Somebody in a room. Joining again makes another one.
#[Object(name = "Member")]
impl MemberObject {
    pub(super) async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn user(&self) -> UserObject {
        UserObject(self.0.user.clone())
    }

    async fn room(&self, ctx: &Context<'_>) -> async_graphql::Result<RoomObject> {
        Ok(room_of(ctx, &self.0.room).await?.into())
    }

    async fn role(&self) -> Role {
        self.0.role.into()
    }

    async fn joined_at(&self) -> DateTime {
        DateTime(self.0.joined_at)
    }

    /// Until when they may not send; null if they may.
    async fn muted_until(&self) -> Option<DateTime> {
        self.0.muted_until.map(DateTime)
    }
}

/// A page of a room's members.
pub(super) async fn members(
    ctx: &Context<'_>,
    room: &Room,
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> Result<MemberConnection, ApiError> {
    let services = services(ctx);
    let slice = Slice::new(
        first,
        last,
        before.is_some() && after.is_none(),
        &services.limits,
    )?;
    let cursor = |text: Option<String>| -> Result<Option<MemberId>, ApiError> {
        let bad = |_| {
            ApiError::new(
                Code::BadUserInput,
                "This is no cursor of a list of members.",
            )
        };
        text.map(|text| text.parse().map_err(bad)).transpose()
    };
    let window = MemberWindow {
        after: cursor(after)?,
        before: cursor(before)?,
        from_end: slice.from_end,
        // One more than asked for tells whether there are more.
        limit: slice.length + 1,
    };
    let mut found = spending(ctx)
        .read(services.log.members(&room.id, window, (services.clock)()))
        .await?;
    let more = slice.cut(&mut found);
    let cursor = |member: Option<&Member>| member.map(|member| member.id.to_string());
    let page_info = PageInfo {
        has_previous_page: if slice.from_end {
            more
        } else {
            window.after.is_some()
        },
        has_next_page: if slice.from_end {
            window.before.is_some()
        } else {
            more
        },
        start_cursor: cursor(found.first()),
        end_cursor: cursor(found.last()),
    };
    let nodes: Vec<_> = found.into_iter().map(MemberObject::from).collect();
    let edges = nodes.iter().map(|node| MemberEdge {
        cursor: node.0.id.to_string(),
        node: node.clone(),
    });
    Ok(MemberConnection {
        edges: edges.collect(),
        nodes,
        page_info,
    })
}
