//! Protection of browsers, and the built-in pages: hosts, origins, CORS, cookies, security headers.

pub(super) mod base_path;
pub(super) mod cookie;
pub(super) mod cors;
pub(super) mod guard;
pub(super) mod hosts;
pub(super) mod origin;
pub(super) mod pages;
pub(super) mod security_headers;
