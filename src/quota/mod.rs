//! The arithmetic of limits, for any kind of key: an address, a user, a connection.
//!
//! | kit | limits | example |
//! |---|---|---|
//! | [`Rates`], [`Allowance`] | how often: N per second or day | requests of an address |
//! | [`Slots`] | how many at the same time | connections of a user |
//! | [`Bytes`] | how much memory at the same time | frames of all views |
//!
//! `Slots` and `Bytes` have two bounds each, one per key and one in all, where 0 is no limit. They
//! hand out guards ([`Slot`], [`ByteShare`]), which give back what they hold when they are dropped.
//!
//! There is no IO and no clock here: each moment is an argument.

mod bound;
mod bytes;
mod rate;
mod slots;

pub use bound::Exhausted;
pub use bytes::{ByteShare, Bytes};
pub use rate::{AddressAllowance, Allowance, Rate, Rates, retry_after_seconds};
pub use slots::{Slot, Slots};
