//! What web pages may do: hosts, origins, CORS, cookies, security headers, and the built-in pages.

pub(crate) mod cookie;
pub(crate) mod cors;
pub(crate) mod guard;
pub(crate) mod hosts;
pub(crate) mod origin;
pub(crate) mod pages;
pub(crate) mod security_headers;
