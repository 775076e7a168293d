//! The table of rights: who may do what in a room. `docs/RIGHTS.md` shows the same table.
//!
//! The table answers for one room at a time, from the room's visibility and the user's role in it.
//! The store asks it in the transaction that commits a command (S7).

/// Who may read a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Everybody, signed in or not.
    Public,
    /// Members of the room.
    Private,
}

/// The role of a member in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything. The creator of a room is its first owner.
    Owner,
    /// Moderates: deletes messages, and adds, removes and mutes members.
    Moderator,
    /// Reads and sends.
    Member,
}

/// How a caller relates to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Not signed in.
    Anonymous,
    /// Signed in, but not a member of the room.
    Outsider,
    /// A member of the room.
    Member(Role),
}

/// Defines [`Action`] and [`Action::ALL`] from one list.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Something that a caller may want to do in a room.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action, in the order of the table in `docs/RIGHTS.md`.
            pub const ALL: [Self; [$(Self::$name),*].len()] = [$(Self::$name),*];
        }
    };
}

actions! {
    /// Read the room, its members and its whole log.
    Read,
    /// Send a message, unless muted.
    Send,
    /// Show that one is typing, or send a signal, unless muted.
    Signal,
    /// Delete a message of one's own.
    DeleteOwn,
    /// Delete a message of any sender.
    DeleteAny,
    /// Become a member without being added.
    Join,
    /// End one's own membership.
    Leave,
    /// Add a member, as far as [`may_manage`] allows.
    AddMember,
    /// Remove or mute a member, as far as [`may_manage`] allows.
    ManageMember,
    /// Give a member another role.
    SetRole,
    /// Change the room's name, visibility or slow mode.
    UpdateRoom,
    /// Delete the room.
    DeleteRoom,
}

/// Whether the table of rights allows an action.
pub fn may(standing: Standing, visibility: Visibility, action: Action) -> bool {
    use {Action::*, Standing::*, Visibility::*};
    match (standing, visibility) {
        (Anonymous | Outsider, Private) => false,
        (Anonymous, Public) => matches!(action, Read),
        (Outsider, Public) => matches!(action, Read | Send | Signal | DeleteOwn | Join),
        (Member(Role::Member), _) => {
            matches!(action, Read | Send | Signal | DeleteOwn | Join | Leave)
        }
        (Member(Role::Moderator), _) => !matches!(action, SetRole | UpdateRoom | DeleteRoom),
        (Member(Role::Owner), _) => true,
    }
}

/// Whether a member with the role `actor` may add, remove or mute a member with the role `target`.
/// An owner manages everybody; a moderator manages members without a higher role.
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

    /// One row per visibility and standing; one mark per action, in the order of [`Action::ALL`].
    const TABLE: [(Visibility, Standing, &str); 10] = [
        (Public, Anonymous, "x..........."),
        (Public, Outsider, "xxxx.x......"),
        (Public, Standing::Member(Role::Member), "xxxx.xx....."),
        (Public, Standing::Member(Moderator), "xxxxxxxxx..."),
        (Public, Standing::Member(Owner), "xxxxxxxxxxxx"),
        (Private, Anonymous, "............"),
        (Private, Outsider, "............"),
        (Private, Standing::Member(Role::Member), "xxxx.xx....."),
        (Private, Standing::Member(Moderator), "xxxxxxxxx..."),
        (Private, Standing::Member(Owner), "xxxxxxxxxxxx"),
    ];

    #[test]
    fn every_cell_of_the_table_is_as_written() {
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
    fn owners_manage_everybody_and_moderators_manage_members() {
        let managed =
            |actor| [Owner, Moderator, Role::Member].map(|target| may_manage(actor, target));
        assert_eq!(managed(Owner), [true, true, true]);
        assert_eq!(managed(Moderator), [false, false, true]);
        assert_eq!(managed(Role::Member), [false, false, false]);
    }
}
