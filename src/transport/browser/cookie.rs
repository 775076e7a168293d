//! The session cookie, for requests that cannot set a header: event streams of pages, and queries
//! by GET.
//!
//! The server reads it only for GET, which changes nothing, and never if the browser says that
//! another site caused the request. No other page can therefore act with it. It is
//! `SameSite=Strict`: no page links to the endpoint, so the stricter mode costs nothing.

use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};

use crate::{
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

/// The token in the cookie. None if the cookie may not be used for this request.
pub(crate) fn token<'a>(parts: &'a Parts, site: &Site) -> Option<&'a str> {
    let may_use = parts.method == Method::GET
        && !parts.headers.contains_key(header::AUTHORIZATION)
        && !origin::is_cross_site(&parts.headers)
        && site.sender(&parts.headers, &parts.uri) != Sender::Foreign;
    if may_use { find(&parts.headers) } else { None }
}

/// The token in the cookie header. If there are several different ones, it is empty, which no check
/// accepts: it is unknown which of them counts.
fn find(headers: &HeaderMap) -> Option<&str> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = values
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut tokens = pairs
        .filter(|(name, token)| *name == NAME && !token.is_empty())
        .map(|(_, token)| token);
    let first = tokens.next()?;
    Some(if tokens.all(|token| token == first) {
        first
    } else {
        ""
    })
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
        return Some(clear());
    }
    let (token, expires_at) = side_effects.session?;
    if origin::is_cross_site(&parts.headers) {
        return None;
    }
    let Sender::Own(page) = site.sender(&parts.headers, &parts.uri) else {
        return None;
    };
    set(&token, seconds_between(now, expires_at), page.is_https())
}

/// Deletes the cookie. An invalid one would keep the browser from sending anonymous requests.
pub(crate) fn clear() -> HeaderValue {
    set("", 0, false).expect("plain text")
}

fn set(token: &str, seconds: i64, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!(
        "{NAME}={token}; Path=/graphql; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::from_str(&text).ok()
}

fn seconds_between(now: Timestamp, then: Timestamp) -> i64 {
    (then.0.saturating_sub(now.0) / 1_000_000).max(0)
}
