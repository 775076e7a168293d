//! The session cookie, for requests that cannot set a header: event streams of pages, and queries
//! by GET.
//!
//! The server reads it only for GET, which changes nothing, and never if the browser says that
//! another site caused the request. No other page can therefore act with it. It is
//! `SameSite=Strict`: no page links to the endpoint, so the stricter mode costs nothing.

use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};

use crate::{
    auth::TokenError,
    domain::Timestamp,
    schema::RequestContext,
    transport::{
        browser::{
            hosts::Site,
            origin::{self, Sender},
        },
        response::reply::Reply,
    },
};

const NAME: &str = "switchboard_token";

/// Whether the cookie may be used for this request, if the request has no other token.
pub(crate) fn may_use(parts: &Parts, site: &Site) -> bool {
    parts.method == Method::GET
        && !origin::is_cross_site(&parts.headers)
        && site.sender(&parts.headers, &parts.uri) != Sender::Foreign
}

/// The token in the cookie header.
///
/// # Errors
/// There are several different ones.
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<&str>, TokenError> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = values
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let named = pairs.filter(|(name, _)| name.trim() == NAME);
    let mut tokens = named
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty());
    let first = tokens.next();
    if tokens.all(|token| Some(token) == first) {
        Ok(first)
    } else {
        Err(TokenError::Ambiguous)
    }
}

/// Makes the reply set the cookie after a sign-in on a page of this server, and delete it after a
/// sign-out. Other clients store their tokens themselves.
pub(crate) fn update(
    reply: Reply,
    site: &Site,
    now: Timestamp,
    parts: &Parts,
    context: &RequestContext,
) -> Reply {
    match new_cookie(site, now, parts, context) {
        Some(cookie) => reply.with(header::SET_COOKIE, cookie),
        None => reply,
    }
}

fn new_cookie(
    site: &Site,
    now: Timestamp,
    parts: &Parts,
    context: &RequestContext,
) -> Option<HeaderValue> {
    let side_effects = context.take_effects();
    if side_effects.signed_out {
        return Some(clear(site));
    }
    let (token, expires_at) = side_effects.session?;
    if origin::is_cross_site(&parts.headers) {
        return None;
    }
    let Sender::Own(page) = site.sender(&parts.headers, &parts.uri) else {
        return None;
    };
    set(
        site,
        &token,
        seconds_between(now, expires_at),
        page.is_https(),
    )
}

/// Deletes the cookie. An invalid one would keep the browser from sending anonymous requests.
pub(crate) fn clear(site: &Site) -> HeaderValue {
    set(site, "", 0, false).expect("plain text")
}

fn set(site: &Site, token: &str, seconds: i64, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let base = &site.base_path;
    let text = format!(
        "{NAME}={token}; Path={base}/graphql; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::from_str(&text).ok()
}

fn seconds_between(now: Timestamp, then: Timestamp) -> i64 {
    (then.0.saturating_sub(now.0) / 1_000_000).max(0)
}
