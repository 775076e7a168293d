//! The stage of a scenario: a room of its own, and a user who sends messages to it over HTTP.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::socket::{Address, in_time};

const SIGN_IN: &str = r#"mutation { signIn(name: "stage hand") { token } }"#;
const CREATE_ROOM: &str = r#"mutation { createRoom(name: "a stage") { id head } }"#;
const SEND: &str =
    "mutation ($room: ID!, $text: String!) { sendMessage(roomId: $room, text: $text) { id } }";

/// A room, and the valid token of a user.
pub(crate) struct Stage {
    address: Address,
    token: String,
    room: String,
    head: String,
}

impl Stage {
    pub(crate) async fn build(address: &Address) -> Result<Self, String> {
        let signed_in = post(address, None, SIGN_IN, json!({})).await?;
        let token = text(&signed_in["signIn"]["token"])?;
        let created = post(address, Some(&token), CREATE_ROOM, json!({})).await?;
        let (room, head) = (
            text(&created["createRoom"]["id"])?,
            text(&created["createRoom"]["head"])?,
        );
        Ok(Self {
            address: address.clone(),
            token,
            room,
            head,
        })
    }

    /// A text of a scenario with the room, its head and the token in place of the placeholders.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        text.replace("ROOM", &self.room)
            .replace("HEAD", &self.head)
            .replace("TOKEN", &self.token)
    }

    pub(crate) async fn publish(&self, text: &str) -> Result<(), String> {
        let variables = json!({ "room": self.room, "text": text });
        post(&self.address, Some(&self.token), SEND, variables)
            .await
            .map(|_| ())
    }
}

fn text(value: &Value) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{value} instead of a text"))
}

/// Sends a request that must succeed, and returns its data.
async fn post(
    address: &Address,
    token: Option<&str>,
    query: &str,
    variables: Value,
) -> Result<Value, String> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let Address { host, path } = address;
    let authorization = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         {authorization}\r\n{body}"
    );
    let answer = in_time(exchange(host, &request))
        .await?
        .map_err(|error| error.to_string())?;
    let (_, json) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("no answer: {answer}"))?;
    let mut response: Value =
        serde_json::from_str(json).map_err(|error| format!("{error} in {answer}"))?;
    if response.get("errors").is_some() {
        Err(response.to_string())
    } else {
        Ok(response["data"].take())
    }
}

/// Sends a request of HTTP/1.0 and returns the whole answer, head and body. In this version the
/// answer is not chunked, and the connection ends after it.
pub(crate) async fn exchange(host: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
