//! Who may do what: one table.

/// Who may read a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Anybody.
    Public,
    /// Its members.
    Private,
}

/// What a member is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Made the room, or was given it.
    Owner,
    /// Keeps order.
    Moderator,
    /// Reads and writes.
    Member,
}

/// How somebody stands to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nobody signed in.
    Nobody,
    /// Signed in, no member.
    Outsider,
    /// A member.
    Member(Role),
}

/// What somebody may want to do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// See the room, its members and its whole log.
    Read,
    /// Send a message, unless muted.
    Send,
    /// Show that one is typing, and signal, unless muted.
    Signal,
    /// Delete a message of one's own.
    DeleteOwn,
    /// Delete anybody's message.
    DeleteAny,
    /// Become a member by oneself.
    Join,
    /// Leave.
    Leave,
    /// Make somebody a member; see also [`may_manage`].
    AddMember,
    /// Remove or mute a member; see also [`may_manage`].
    ManageMember,
    /// Give a member another role.
    SetRole,
    /// Change the room's name, visibility or pace.
    UpdateRoom,
    /// Delete the room.
    DeleteRoom,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Read,
        Self::Send,
        Self::Signal,
        Self::DeleteOwn,
        Self::DeleteAny,
        Self::Join,
        Self::Leave,
        Self::AddMember,
        Self::ManageMember,
        Self::SetRole,
        Self::UpdateRoom,
        Self::DeleteRoom,
    ];
}

/// The table. Who may not even read a room is told that there is none.
pub fn may(standing: Standing, visibility: Visibility, action: Action) -> bool {
    use {Action::*, Standing::*, Visibility::*};
    match (standing, visibility) {
        (Nobody | Outsider, Private) => false,
        (Nobody, Public) => matches!(action, Read),
        (Outsider, Public) => matches!(action, Read | Send | Signal | DeleteOwn | Join),
        (Member(Role::Member), _) => {
            matches!(action, Read | Send | Signal | DeleteOwn | Join | Leave)
        }
        (Member(Role::Moderator), _) => !matches!(action, SetRole | UpdateRoom | DeleteRoom),
        (Member(Role::Owner), _) => true,
    }
}

/// Whether somebody of one role may add, remove or mute somebody of another: a moderator only members, an owner anybody.
pub fn may_manage(actor: Role, target: Role) -> bool {
    match actor {
        Role::Owner => true,
        Role::Moderator => target == Role::Member,
        Role::Member => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Role::*, Standing::*, Visibility::*, *};

    /// One row per standing, one mark per action in the order of [`Action::ALL`].
    const TABLE: [(Visibility, Standing, &str); 10] = [
        (Public, Nobody, "x..........."),
        (Public, Outsider, "xxxx.x......"),
        (Public, Standing::Member(Role::Member), "xxxx.xx....."),
        (Public, Standing::Member(Moderator), "xxxxxxxxx..."),
        (Public, Standing::Member(Owner), "xxxxxxxxxxxx"),
        (Private, Nobody, "............"),
        (Private, Outsider, "............"),
        (Private, Standing::Member(Role::Member), "xxxx.xx....."),
        (Private, Standing::Member(Moderator), "xxxxxxxxx..."),
        (Private, Standing::Member(Owner), "xxxxxxxxxxxx"),
    ];

    #[test]
    fn every_cell_of_the_table() {
        for (visibility, standing, expected) in TABLE {
            let mark = |action| {
                if may(standing, visibility, action) {
                    'x'
                } else {
                    '.'
                }
            };
            let found: String = Action::ALL.into_iter().map(mark).collect();
            assert_eq!(found, expected, "{visibility:?} {standing:?}");
        }
    }

    #[test]
    fn who_manages_whom() {
        let managed =
            |actor| [Owner, Moderator, Role::Member].map(|target| may_manage(actor, target));
        assert_eq!(managed(Owner), [true, true, true]);
        assert_eq!(managed(Moderator), [false, false, true]);
        assert_eq!(managed(Role::Member), [false, false, false]);
    }
}
