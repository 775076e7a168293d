//! A client of answers that go on: it reads a chunked body as it comes, byte by byte if need be.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::MaybeTlsStream;

use super::{http, soon, wire::Wire};

/// An answer whose body is still coming.
pub(crate) struct Streamed {
    stream: MaybeTlsStream<TcpStream>,
    /// What came and was not decoded.
    raw: Vec<u8>,
    /// What was decoded and not taken.
    body: Vec<u8>,
    /// Whether the last chunk came.
    ended: bool,
    pub(crate) status: u16,
    head: String,
}

impl Streamed {
    pub(crate) async fn get(wire: impl Into<Wire>, target: &str, headers: &[(&str, &str)]) -> Self {
        let wire = wire.into();
        let request = http::written(wire.address, "GET", target, headers, "");
        Self::open(wire, &request).await
    }

    pub(crate) async fn post(wire: impl Into<Wire>, body: &str, headers: &[(&str, &str)]) -> Self {
        let wire = wire.into();
        let headers = [&[("content-type", "application/json")], headers].concat();
        let request = http::written(wire.address, "POST", "/graphql", &headers, body);
        Self::open(wire, &request).await
    }

    /// Sends these bytes and reads the head of the answer.
    pub(crate) async fn open(wire: impl Into<Wire>, request: &str) -> Self {
        let mut stream = wire.into().connect().await.unwrap();
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
                    "no answer: {:?}",
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

    /// The body up to and with this text.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.body, text.as_bytes()) {
                return String::from_utf8(self.body.drain(..at + text.len()).collect()).unwrap();
            }
            assert!(
                self.more().await,
                "{text:?} did not come before the end: {:?}",
                String::from_utf8_lossy(&self.body)
            );
        }
    }

    /// The next event of an event stream, without the empty line behind it; comments are left out.
    pub(crate) async fn event(&mut self) -> String {
        loop {
            let event = self.until("\n\n").await;
            if event != ":\n\n" {
                return event.trim_end().to_owned();
            }
        }
    }

    /// The data of the next event, which must be a `next`, and its id.
    pub(crate) async fn next(&mut self) -> (serde_json::Value, Option<String>) {
        let event = self.event().await;
        let field = |name: &str| {
            event
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")))
        };
        assert_eq!(field("event"), Some("next"), "{event}");
        let data = serde_json::from_str(field("data").unwrap()).unwrap();
        (data, field("id").map(str::to_owned))
    }

    /// What is left of the body, which ends as it should.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        assert!(self.ended, "the body was broken off");
        String::from_utf8(std::mem::take(&mut self.body)).unwrap()
    }

    /// Waits for more of the body; false when there is none.
    async fn more(&mut self) -> bool {
        loop {
            if self.decode() {
                return true;
            }
            if self.ended || !self.read().await {
                return false;
            }
        }
    }

    /// Decodes one chunk, if it is there.
    fn decode(&mut self) -> bool {
        let Some(line) = find(&self.raw, b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&self.raw[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk: {size:?}"));
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
        let read = soon("more of an answer", self.stream.read_buf(&mut self.raw)).await;
        read.is_ok_and(|count| count > 0)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
