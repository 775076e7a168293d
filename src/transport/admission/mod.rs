//! Admission control: how many connections and requests each address and each user may have.

pub(super) mod address;
pub(super) mod request_limits;
pub(super) mod slots;
