//! A client of HTTP/1.1 that sends exactly the given bytes: one request on one connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{endpoint::Endpoint, wait_for};

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Parses all the bytes of a response.
    pub(crate) fn parse(reply: &str) -> Self {
        let (head, body) = reply
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("not an HTTP response: {reply:?}"));
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

    /// All values of a header.
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
    pub(crate) fn error_code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

pub(crate) async fn get(
    endpoint: impl Into<Endpoint>,
    target: &str,
    headers: &[(&str, &str)],
) -> Reply {
    request(endpoint, "GET", target, headers, "").await
}

/// Posts JSON to the endpoint.
pub(crate) async fn post(
    endpoint: impl Into<Endpoint>,
    body: &str,
    headers: &[(&str, &str)],
) -> Reply {
    let headers = [&[("content-type", "application/json")], headers].concat();
    request(endpoint, "POST", "/graphql", &headers, body).await
}

/// The headers that ask for a WebSocket with graphql-transport-ws.
pub(crate) const UPGRADE: [(&str, &str); 5] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "graphql-transport-ws"),
];

/// The text of a request, ready to be sent.
pub(crate) fn request_text(
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

/// Sends a request without a body, whose only headers are `host` and the given ones.
pub(crate) async fn exact_request(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
) -> Reply {
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
    endpoint: impl Into<Endpoint>,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let (endpoint, headers) = (
        endpoint.into(),
        [&[("connection", "close")], headers].concat(),
    );
    let request = request_text(endpoint.address, method, target, &headers, body);
    exchange(endpoint, &request).await
}

/// Sends a request and reads the response until the connection ends.
pub(crate) async fn exchange(endpoint: impl Into<Endpoint>, text: &str) -> Reply {
    let endpoint = endpoint.into();
    let exchange = async {
        let mut stream = endpoint.connect().await.unwrap();
        // A server that refuses a long body may close while the body is still being sent. Its
        // response can be read nevertheless.
        if stream.write_all(text.as_bytes()).await.is_ok() {
            let _ = stream.flush().await;
        }
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        String::from_utf8(reply).unwrap()
    };
    Reply::parse(&wait_for("a response", exchange).await)
}
