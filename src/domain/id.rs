//! Identifiers. The creator of a room may choose its id. All other ids are a prefix and a UUID of
//! version 7, so that they sort by age.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Show the message to the person who typed it.
    #[error(
        "A room id is 1 to 64 characters of a-z, 0-9 and -, and begins with a letter or a digit."
    )]
    Room,
    /// Treat the entity as unknown: no entity has such an id.
    #[error("this is not an id of that kind")]
    Entity,
}

/// The id of a room: `[a-z0-9][a-z0-9-]{0,63}`, chosen by its creator or generated. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(Arc<str>);

impl RoomId {
    /// The length of the longest room id, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// A generated id, from a UUID of the caller.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid.as_simple().to_string().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let (first, rest) = text.as_bytes().split_first().ok_or(IdError::Room)?;
        let well_formed = text.len() <= Self::BYTES_MAX
            && plain(*first)
            && rest.iter().all(|byte| plain(*byte) || *byte == b'-');
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Room)
        }
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! entity_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// An id from a UUID of the caller. Use version 7, so that ids sort by age.
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id with this binary form.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The binary form, for ids inside opaque values.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let hex = text.strip_prefix($prefix).filter(|hex| hex.len() == 32);
                let uuid = Uuid::try_parse(hex.ok_or(IdError::Entity)?);
                let uuid = uuid.map_err(|_| IdError::Entity)?;
                // An id has one spelling. In upper case it would be another key in every cache.
                let id = Self(uuid);
                if id.to_string() == text { Ok(id) } else { Err(IdError::Entity) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.as_simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

entity_id! {
    /// The id of a user: `usr_` and 32 hexadecimal digits.
    UserId, "usr_"
}
entity_id! {
    /// The id of a message: `msg_` and 32 hexadecimal digits.
    MessageId, "msg_"
}
entity_id! {
    /// The id of a membership: `mbr_` and 32 hexadecimal digits. A user who joins again gets
    /// another.
    MemberId, "mbr_"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ids_are_checked_at_their_limits() {
        for good in ["a", "0", "room-1", "a--b", &"r".repeat(64)] {
            assert_eq!(
                good.parse::<RoomId>().map(|id| id.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in ["", "-a", "Room", "a_b", "a b", "ä", "a\0", &"r".repeat(65)] {
            assert_eq!(bad.parse::<RoomId>(), Err(IdError::Room), "{bad:?}");
        }
    }

    #[test]
    fn entity_ids_have_one_spelling() {
        let id = UserId::from_uuid(Uuid::from_u128(0xabc));
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "usr_",
            "msg_00000000000000000000000000000abc",
            "usr_00000000000000000000000000000ABC",
        ] {
            assert_eq!(bad.parse::<UserId>(), Err(IdError::Entity), "{bad}");
        }
    }
}
