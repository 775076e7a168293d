//! The session cookie, for what cannot set a header: pages' event streams and queries by GET.
//!
//! It is read for GET alone, which changes nothing, and never when a browser says that another site is behind the
//! request. So no other page can do anything with it. `SameSite=Strict`: nobody follows a link into the endpoint, so
//! nothing is lost by the stricter of the two.

use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};

use crate::{
    domain::Timestamp,
    schema::RequestContext,
    transport::{
        Shared,
        browser::{
            hosts::Site,
            origin::{self, Sender},
        },
        http::reply::Reply,
    },
};

const NAME: &str = "switchboard_token";

/// The token in the cookie, where it may be used.
pub(crate) fn token<'a>(parts: &'a Parts, site: &Site) -> Option<&'a str> {
    let harmless = parts.method == Method::GET
        && !parts.headers.contains_key(header::AUTHORIZATION)
        && !origin::is_cross_site(&parts.headers)
        && site.sender(&parts.headers, &parts.uri) != Sender::Foreign;
    if harmless { find(&parts.headers) } else { None }
}

/// Empty, which is no token, where there are several that differ: nobody could say which one counts.
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

/// Lets an answer keep a new session in the browser of a page of this server's own, where anybody else keeps it himself; and
/// take it away when it was signed out.
pub(crate) fn update(
    reply: Reply,
    shared: &Shared,
    parts: &Parts,
    notes: &RequestContext,
) -> Reply {
    match changed(shared, parts, notes) {
        Some(cookie) => reply.with(header::SET_COOKIE, cookie),
        None => reply,
    }
}

fn changed(shared: &Shared, parts: &Parts, notes: &RequestContext) -> Option<HeaderValue> {
    let noted = notes.take();
    if noted.signed_out {
        return Some(clear());
    }
    let (token, expires_at) = noted.session?;
    if origin::is_cross_site(&parts.headers) {
        return None;
    }
    let Sender::Own(page) = shared.site.sender(&parts.headers, &parts.uri) else {
        return None;
    };
    set(
        &token,
        seconds_between((shared.clock)(), expires_at),
        page.is_https(),
    )
}

/// Takes away a cookie that is no longer good, so that it does not stand in the way of asking as nobody.
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
