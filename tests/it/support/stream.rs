//! A client of streaming responses. It reads a chunked body while it arrives.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::MaybeTlsStream;

use super::{endpoint::Endpoint, http, wait_for};

/// A response whose body is still arriving.
pub(crate) struct StreamedResponse {
    stream: MaybeTlsStream<TcpStream>,
    /// Bytes that arrived and are not decoded yet.
    raw: Vec<u8>,
    /// Bytes that are decoded and were not returned yet.
    body: Vec<u8>,
    /// Whether the last chunk arrived.
    ended: bool,
    pub(crate) status: u16,
    head: String,
}

impl StreamedResponse {
    pub(crate) async fn get(
        endpoint: impl Into<Endpoint>,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let endpoint = endpoint.into();
        let request = http::request_text(endpoint.address, "GET", target, headers, "");
        Self::open(endpoint, &request).await
    }

    pub(crate) async fn post(
        endpoint: impl Into<Endpoint>,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let endpoint = endpoint.into();
        let headers = [&[("content-type", "application/json")], headers].concat();
        let request = http::request_text(endpoint.address, "POST", "/graphql", &headers, body);
        Self::open(endpoint, &request).await
    }

    /// Sends a request and reads the head of the response.
    pub(crate) async fn open(endpoint: impl Into<Endpoint>, request: &str) -> Self {
        let mut stream = endpoint.into().connect().await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut streamed = Self {
            stream,
            raw: Vec::new(),
            body: Vec::new(),
            ended: false,
            status: 0,
            head: String::new(),
        };
        let end = loop {
            match find(&streamed.raw, b"\r\n\r\n") {
                Some(end) => break end,
                None => assert!(
                    streamed.read().await,
                    "the connection ended before the response: {:?}",
                    String::from_utf8_lossy(&streamed.raw)
                ),
            }
        };
        streamed.head = String::from_utf8(streamed.raw.drain(..end + 4).collect()).unwrap();
        streamed.status = streamed.head.split(' ').nth(1).unwrap().parse().unwrap();
        streamed
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

    /// The body up to this text, including it.
    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.body, text.as_bytes()) {
                return String::from_utf8(self.body.drain(..at + text.len()).collect()).unwrap();
            }
            assert!(
                self.read_more().await,
                "the body ended before {text:?}: {:?}",
                String::from_utf8_lossy(&self.body)
            );
        }
    }

    /// The next event of an event stream, without the empty line after it. Comments are skipped.
    pub(crate) async fn next_event(&mut self) -> String {
        loop {
            let event = self.read_until("\n\n").await;
            if event != ":\n\n" {
                return event.trim_end().to_owned();
            }
        }
    }

    /// The data and the id of the next event, which must be a `next`.
    pub(crate) async fn next_result(&mut self) -> (serde_json::Value, Option<String>) {
        let event = self.next_event().await;
        let field = |name: &str| {
            event
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")))
        };
        assert_eq!(field("event"), Some("next"), "{event}");
        let data = serde_json::from_str(field("data").unwrap()).unwrap();
        (data, field("id").map(str::to_owned))
    }

    /// The rest of the body. Panics if the body does not end with its last chunk.
    pub(crate) async fn read_to_end(&mut self) -> String {
        while self.read_more().await {}
        assert!(self.ended, "the connection ended before the last chunk");
        String::from_utf8(std::mem::take(&mut self.body)).unwrap()
    }

    /// Waits for more of the body. Returns false when the body has ended.
    async fn read_more(&mut self) -> bool {
        loop {
            if self.decode() {
                return true;
            }
            if self.ended || !self.read().await {
                return false;
            }
        }
    }

    /// Decodes one chunk, if it has arrived completely. Returns whether it added to the body.
    fn decode(&mut self) -> bool {
        let Some(line) = find(&self.raw, b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&self.raw[..line]).unwrap();
        let size = usize::from_str_radix(size, 16)
            .unwrap_or_else(|_| panic!("not the size of a chunk: {size:?}"));
        let (start, end) = (line + 2, line + 2 + size);
        if self.raw.len() < end + 2 {
            return false;
        }
        self.body.extend_from_slice(&self.raw[start..end]);
        self.raw.drain(..end + 2);
        self.ended = size == 0;
        !self.ended
    }

    async fn read(&mut self) -> bool {
        let read = wait_for("more of a response", self.stream.read_buf(&mut self.raw)).await;
        read.is_ok_and(|count| count > 0)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
