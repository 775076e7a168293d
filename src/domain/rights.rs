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
    /// See the room and its whole log.
    Read,
    /// Send a message.
    Send,
}

/// The table. Who may not even read a room is told that there is none.
pub fn may(standing: Standing, visibility: Visibility, action: Action) -> bool {
    use {Action::*, Standing::*, Visibility::*};
    match (visibility, standing, action) {
        (_, Member(_), Read | Send) => true,
        (Public, Nobody, Read) => true,
        (Public, Nobody, Send) => false,
        (Public, Outsider, Read | Send) => true,
        (Private, Nobody | Outsider, Read | Send) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Action::*, Role::*, Standing::*, Visibility::*, *};

    #[test]
    fn every_cell_of_the_table() {
        let cells = [
            (Public, Nobody, [true, false]),
            (Public, Outsider, [true, true]),
            (Public, Standing::Member(Owner), [true, true]),
            (Public, Standing::Member(Moderator), [true, true]),
            (Public, Standing::Member(Role::Member), [true, true]),
            (Private, Nobody, [false, false]),
            (Private, Outsider, [false, false]),
            (Private, Standing::Member(Owner), [true, true]),
            (Private, Standing::Member(Moderator), [true, true]),
            (Private, Standing::Member(Role::Member), [true, true]),
        ];
        for (visibility, standing, expected) in cells {
            let found = [Read, Send].map(|action| may(standing, visibility, action));
            assert_eq!(found, expected, "{visibility:?} {standing:?}");
        }
    }
}
