//! An HTTP/1.1 client that keeps one connection open.

use std::{io, net::SocketAddr};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SEND: &str = "mutation($room:ID!,$text:String!){sendMessage(roomId:$room,text:$text){id}}";

/// A connection that posts to the endpoint.
pub(crate) struct Http {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr, token: Option<&str>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n"
        );
        if let Some(token) = token {
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        Ok(Self {
            stream,
            head,
            buffer: Vec::new(),
        })
    }

    /// Sends a request and waits for the response.
    pub(crate) async fn ask(&mut self, query: &str, variables: Value) -> io::Result<Value> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = self.exchange(&body).await?;
        Ok(serde_json::from_slice(answer).expect("JSON"))
    }

    /// Sends a body and waits for the body of the response.
    pub(crate) async fn exchange(&mut self, body: &str) -> io::Result<&[u8]> {
        let request = format!("{}content-length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(end) = self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            else {
                continue;
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
            let length = length.expect("a content-length");
            while self.buffer.len() < end + 4 + length {
                self.stream.read_buf(&mut self.buffer).await?;
            }
            return Ok(&self.buffer[end + 4..]);
        }
    }

    /// Sends a message and waits for the response. The message is then durable.
    pub(crate) async fn send(&mut self, room: &str, text: &str) -> io::Result<()> {
        let answer = self
            .ask(SEND, json!({ "room": room, "text": text }))
            .await?;
        assert!(answer["data"]["sendMessage"]["id"].is_string(), "{answer}");
        Ok(())
    }
}
