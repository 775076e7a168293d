//! Who asks.

use std::net::IpAddr;

use super::{Timestamp, UserId, UserName};

/// Which token, as 16 bytes of a hash: what signing out makes invalid. It says nothing about the token's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenId(pub [u8; 16]);

/// A token that was signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place among all that were signed out: each has a greater one than those before.
    pub number: u64,
    /// Which token.
    pub token: TokenId,
    /// From when on nobody needs to remember this.
    pub expires_at: Timestamp,
}

/// Somebody whose token was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Who.
    pub user: UserId,
    /// Until when the token is good.
    pub expires_at: Timestamp,
    /// The token.
    pub token: TokenId,
    /// Whether they may see how the server does. Where guests sign in, everybody may.
    pub operator: bool,
}

/// For whom something is read, and so what there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anonymous signed in: what is public.
    Anonymous,
    /// One viewer: what is public or shared with them.
    Viewer(Viewer),
    /// All readers of a view at once (V2): whoever is among them was let in to what is asked for before.
    Shared,
}

impl Caller {
    /// The user, if it is one.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::Viewer(viewer) => Some(viewer.user),
            Self::Anonymous | Self::Shared => None,
        }
    }

    /// Whose share it takes what this one asks for, from this address; none where nothing is known of either.
    pub fn quota_key(self, address: Option<IpAddr>) -> Option<QuotaKey> {
        self.user()
            .map(QuotaKey::User)
            .or(address.map(QuotaKey::Address))
    }
}

/// Whose share of what is there for all somebody takes who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaKey {
    /// A user, from wherever he asks.
    User(UserId),
    /// All at an address together who did not sign in.
    Address(IpAddr),
}

/// Who somebody is to an identity provider. A subject is unique only within its issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Who says so; empty where the provider does not name itself.
    pub issuer: String,
    /// The provider's name for the person.
    pub subject: String,
}

/// What is known here of somebody whom a provider named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user who stands for them here.
    pub user: UserId,
    /// What they are called.
    pub name: UserName,
    /// When the provider said so: an older token does not take a newer name back.
    pub named_at: Timestamp,
}
