//! Admission control: how many connections and requests each address and each user may have.

pub(crate) mod address;
pub(crate) mod request_limits;
pub(crate) mod slots;
