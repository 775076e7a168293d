//! Callers of the server, and their tokens.

use std::net::IpAddr;

use super::{Timestamp, UserId, UserName};

/// Identifies a token for revocation. It is 16 bytes of a hash, so it does not reveal the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenId(pub [u8; 16]);

/// A token that was revoked by `signOut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The number of the revocation. Each revocation has a greater number than all before it.
    pub number: u64,
    /// The token.
    pub token: TokenId,
    /// When the token expires. After that the revocation can be deleted.
    pub expires_at: Timestamp,
}

/// A signed-in user whose token was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The user.
    pub user: UserId,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// The token.
    pub token: TokenId,
}

/// The identity that a read of the store runs as. It decides which rooms the read can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A caller who is not signed in: sees public rooms.
    Anonymous,
    /// A signed-in user: sees public rooms, and the rooms that they are a member of.
    Viewer(Viewer),
    /// All readers of a view at once (V2): sees every room. The right of each reader was checked
    /// when they subscribed.
    Shared,
}

impl Caller {
    /// The user, if the caller is signed in.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::Viewer(viewer) => Some(viewer.user),
            Self::Anonymous | Self::Shared => None,
        }
    }

    /// The key that the caller's requests are charged to. `address` is used for anonymous callers;
    /// without it they have no key.
    pub fn quota_key(self, address: Option<IpAddr>) -> Option<QuotaKey> {
        self.user()
            .map(QuotaKey::User)
            .or(address.map(QuotaKey::Address))
    }
}

/// The key that a per-caller quota is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaKey {
    /// A user, at any address.
    User(UserId),
    /// All anonymous callers at an address together.
    Address(IpAddr),
}

/// A person, as an identity provider names them. A subject is unique within its issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The provider (`iss`); empty if its tokens have no issuer.
    pub issuer: String,
    /// The provider's identifier of the person (`sub`).
    pub subject: String,
}

/// The user of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub user: UserId,
    /// The name that the provider gave.
    pub name: UserName,
    /// When the provider gave the name. A name from an older token does not replace a newer one.
    pub named_at: Timestamp,
}
