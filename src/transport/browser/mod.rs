//! What web pages may do: hosts, origins, CORS, cookies, security headers, and the built-in pages.

pub(super) mod cookie;
pub(super) mod cors;
pub(super) mod guard;
pub(super) mod hosts;
pub(super) mod origin;
pub(super) mod pages;
pub(super) mod security_headers;
