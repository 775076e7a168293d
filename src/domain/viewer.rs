//! Who asks.

use super::{Timestamp, UserId};

/// Somebody whose token was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Who.
    pub user: UserId,
    /// Until when the token is good.
    pub expires_at: Timestamp,
}

/// For whom something is read, and so what there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody signed in: what is public.
    Nobody,
    /// One viewer: what is public or shared with them.
    Viewer(Viewer),
    /// All readers of a view at once (V2): whoever is among them was let in to what is asked for before.
    Shared,
}

impl Who {
    /// The user, if it is one.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::Viewer(viewer) => Some(viewer.user),
            Self::Nobody | Self::Shared => None,
        }
    }
}
