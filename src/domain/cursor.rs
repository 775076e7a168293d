//! Positions in a room's log.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{RoomId, Timestamp};

/// The number of an event in the log of its room: 1, 2, 3, without holes (S2). 0 is the position
/// before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first event.
    pub const START: Self = Self(0);

    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A random number that identifies a log. It is made with the room.
///
/// Seqs of different epochs cannot be compared: a log that was created again has another epoch, and
/// cursors of the old log are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// A random epoch for a new log. The highest bit is 0, because many databases have only signed
    /// integers.
    pub fn random() -> Self {
        Self(rand::random::<u64>() >> 1)
    }
}

/// Some bits of the identity of an event, which a cursor carries beside its Seq.
///
/// After a backup was restored, the log grows again, and other events get the Seqs of those that
/// are lost. A cursor to a lost event has another tag than the event that is at its Seq now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventTag(u32);

impl EventTag {
    /// The tag of a cursor whose event is not known. It fits every event.
    pub const UNKNOWN: Self = Self(0);

    /// The tag of an event that was committed at this time. Two events with the same Seq were
    /// committed at different times.
    pub fn of(committed_at: Timestamp) -> Self {
        // The multiplier of Fibonacci hashing spreads the time over all bits.
        let mixed = committed_at
            .0
            .cast_unsigned()
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(((mixed >> 32) as u32).max(1))
    }

    /// Whether both may be tags of the same event.
    pub fn fits(self, other: Self) -> bool {
        self == other || self == Self::UNKNOWN || other == Self::UNKNOWN
    }
}

/// A position in the log of a room. A reader at this position has seen every event up to `seq`, and
/// continues after it.
///
/// The text form is opaque to clients. It is the URL-safe base64 form of a version byte, the epoch
/// and the Seq (8 bytes each, big endian), the tag of the event (4 bytes), and the id of the room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The room.
    pub room: RoomId,
    /// The epoch of its log.
    pub epoch: Epoch,
    /// The last event that the reader has seen.
    pub seq: Seq,
    /// The tag of that event.
    pub tag: EventTag,
}

/// The text is not a cursor of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("This is not a cursor.")]
pub struct CursorError;

const VERSION: u8 = 2;
const HEADER_BYTES: usize = 21;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; HEADER_BYTES + RoomId::BYTES_MAX];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.epoch.0.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.seq.0.to_be_bytes());
        bytes[17..HEADER_BYTES].copy_from_slice(&self.tag.0.to_be_bytes());
        let end = HEADER_BYTES + self.room.as_str().len();
        bytes[HEADER_BYTES..end].copy_from_slice(self.room.as_str().as_bytes());
        base64::display::Base64Display::new(&bytes[..end], &URL_SAFE_NO_PAD).fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let mut buffer = [0; HEADER_BYTES + RoomId::BYTES_MAX + 2];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut buffer)
            .map_err(|_| CursorError)?;
        let (header, room) = buffer[..length]
            .split_at_checked(HEADER_BYTES)
            .ok_or(CursorError)?;
        if header[0] != VERSION {
            return Err(CursorError);
        }
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        let room = std::str::from_utf8(room).map_err(|_| CursorError)?;
        Ok(Self {
            room: room.parse().map_err(|_| CursorError)?,
            epoch: Epoch(number(&header[1..9])),
            seq: Seq(number(&header[9..17])),
            tag: EventTag(u32::from_be_bytes(
                header[17..].try_into().expect("four bytes"),
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form() {
        for room in ["a", "room-1", &"r".repeat(64)] {
            let cursor = Cursor {
                room: room.parse().unwrap(),
                epoch: Epoch(u64::MAX),
                seq: Seq(7),
                tag: EventTag::of(Timestamp(7)),
            };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn the_tag_of_an_event_depends_on_the_time_of_its_commit() {
        let now = 1_700_000_000_000_000;
        let tags: std::collections::HashSet<_> = (now..now + 10_000)
            .map(|at| EventTag::of(Timestamp(at)))
            .collect();
        assert_eq!(tags.len(), 10_000);
        let (one, other) = (EventTag::of(Timestamp(1)), EventTag::of(Timestamp(2)));
        assert!(one.fits(one) && one.fits(EventTag::UNKNOWN) && !one.fits(other));
    }

    #[test]
    fn other_texts_are_refused() {
        let good = Cursor {
            room: "room-1".parse().unwrap(),
            epoch: Epoch(1),
            seq: Seq(2),
            tag: EventTag::UNKNOWN,
        }
        .to_string();
        let long = "A".repeat(4096);
        for bad in [
            "",
            "1",
            "not a cursor",
            "AAAA",
            &good[1..],
            &good[..20],
            &long,
            &format!("{good}="),
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
    }
}
