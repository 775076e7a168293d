//! Admission control: how many connections and requests each address and each user may have.

pub(super) mod activity;
pub(super) mod address;
pub(super) mod slots;
