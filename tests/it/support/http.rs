//! A client of HTTP/1.1 that sends exactly what it is told: one request, one connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{soon, wire::Wire};

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    /// From all the bytes of an answer.
    pub(crate) fn read(reply: &str) -> Self {
        let (head, body) = reply
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no reply: {reply:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Every value of this name.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

pub(crate) async fn get(wire: impl Into<Wire>, target: &str, headers: &[(&str, &str)]) -> Reply {
    request(wire, "GET", target, headers, "").await
}

/// Posts JSON to the endpoint.
pub(crate) async fn post(wire: impl Into<Wire>, body: &str, headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", "application/json")], headers].concat();
    request(wire, "POST", "/graphql", &headers, body).await
}

/// A request as bytes.
pub(crate) fn written(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str(&format!("\r\n{body}"));
    text
}

/// A request without a body and with no header but these; the client ends its side.
pub(crate) async fn bare(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> Reply {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    exchange(
        address,
        &format!("{line}\r\nhost: {address}\r\n{headers}\r\n"),
    )
    .await
}

pub(crate) async fn request(
    wire: impl Into<Wire>,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let (wire, headers) = (wire.into(), [&[("connection", "close")], headers].concat());
    let request = written(wire.address, method, target, &headers, body);
    exchange(wire, &request).await
}

/// Sends these bytes, and reads to the end.
pub(crate) async fn exchange(wire: impl Into<Wire>, text: &str) -> Reply {
    let wire = wire.into();
    let exchange = async {
        let mut stream = wire.connect().await.unwrap();
        // A server that refuses a long body may close while it is still being sent; its answer is there all the same.
        if stream.write_all(text.as_bytes()).await.is_ok() {
            let _ = stream.flush().await;
        }
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        String::from_utf8(reply).unwrap()
    };
    Reply::read(&soon("a reply", exchange).await)
}
