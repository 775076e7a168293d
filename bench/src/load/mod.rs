//! Clients that use little CPU themselves: raw HTTP and WebSockets on plain sockets.

mod flood;
mod http;
mod subscriber;
mod wire;

pub(crate) use flood::{Flood, flood};
pub(crate) use http::Http;
pub(crate) use subscriber::{Crowd, Seen, Subscription, subscribe, subscribe_all};
pub(crate) use wire::Socket;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a message's text. With it, a delivery of the stock server has 292 bytes.
const TEXT_BYTES: usize = 56;

/// The document of every subscriber, unless a scenario gives another one.
pub(crate) const DOCUMENT: &str =
    "subscription($room:ID!){newMessage(roomId:$room){id text createdAt sender{id name}}}";

/// A text that contains the time at which it is sent.
pub(crate) fn stamped() -> String {
    format!("{:0TEXT_BYTES$}", now_us())
}

/// How long ago a stamped text inside a frame was sent.
pub(crate) fn age(frame: &[u8]) -> Option<Duration> {
    let marker = br#""text":""#;
    let at = frame
        .windows(marker.len())
        .position(|window| window == marker)?
        + marker.len();
    let text = std::str::from_utf8(frame.get(at..at + TEXT_BYTES)?).ok()?;
    Some(Duration::from_micros(
        now_us().saturating_sub(text.parse().ok()?),
    ))
}

fn now_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(0)
}
