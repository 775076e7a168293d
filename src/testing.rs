//! A server for the tests of an application in Rust.
//!
//! ```
//! use serde_json::json;
//! use std::time::Duration;
//! use switchboard::testing::TestServer;
//!
//! # #[tokio::main]
//! # async fn main() {
//! let seed = json!({
//!     "users": [{ "name": "Ada", "token": "ada-token" }],
//!     "rooms": [{ "id": "team", "owner": "Ada" }],
//! });
//! let server = TestServer::start(&seed, &[]).await.unwrap();
//!
//! // Your application gets `server.url()`. Here the test sends a message itself.
//! let send = r#"mutation { sendMessage(roomId: "team", text: "Hello") { text createdAt } }"#;
//! server.clock().advance(Duration::from_secs(3600)).unwrap();
//! let sent = server.request("ada-token", send, json!({})).await;
//! assert_eq!(sent["data"]["sendMessage"]["text"], "Hello");
//!
//! // The next test begins with the seed.
//! server.reset().await.unwrap();
//! let texts = r#"{ messages(roomId: "team") { nodes { text } } }"#;
//! let read = server.request("ada-token", texts, json!({})).await;
//! assert_eq!(read["data"]["messages"]["nodes"], json!([]));
//! server.stop().await;
//! # }
//! ```

use std::{fs, net::SocketAddr};

use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    config::CommandLine,
    server::{Server, StartError},
    temporary::TemporaryFolder,
    test_clock::TestClock,
};

/// A server on a free port of this machine, with a database that ends with it. It has no rate
/// limits, and its clock can be set. It runs in the process and on the runtime of the test.
pub struct TestServer {
    server: Server,
    /// Holds the file of the seed, which each reset reads again.
    _folder: TemporaryFolder,
}

impl TestServer {
    /// Starts a server with the data of `seed`, in the shape of the file of `--seed`, and with
    /// further flags of `switchboard serve`. An empty object is an empty seed.
    ///
    /// # Errors
    /// A flag or the seed is invalid.
    pub async fn start(seed: &Value, flags: &[&str]) -> Result<Self, StartError> {
        let folder = TemporaryFolder::new().map_err(StartError::Folder)?;
        let file = folder.path().join("seed.json");
        fs::write(&file, seed.to_string()).map_err(StartError::Folder)?;
        let file = file.to_string_lossy();
        let ours = ["switchboard", "--ephemeral", "--listen", "127.0.0.1:0"];
        let ours = ours.into_iter().chain(["--no-rate-limits", "--test-clock"]);
        let line = ours.chain(["--seed", &*file]).chain(flags.iter().copied());
        let line = CommandLine::try_parse_from(line);
        let line = line.map_err(|error| StartError::Flags(error.to_string()))?;
        let server = Server::start(&line.serve).await?;
        Ok(Self {
            server,
            _folder: folder,
        })
    }

    /// The address at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The URL of the endpoint, for queries, mutations and event streams.
    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.address())
    }

    /// The URL of the endpoint for WebSockets.
    pub fn web_socket_url(&self) -> String {
        format!("ws://{}/graphql", self.address())
    }

    /// The clock of the server. It decides about the times of messages, tokens, mutes and slow
    /// mode.
    pub fn clock(&self) -> &TestClock {
        self.server
            .test_clock()
            .expect("the server has --test-clock")
    }

    /// Begins again with the seed and the time of the system. All connections are closed.
    ///
    /// # Errors
    /// The new database cannot be created. The server then keeps its data.
    pub async fn reset(&self) -> Result<(), StartError> {
        self.server.reset().await
    }

    /// Runs a query or a mutation over HTTP as the user of a token of the seed, or as an anonymous
    /// caller if the token is empty. Returns the whole answer, with `data` and `errors`.
    ///
    /// # Panics
    /// The server does not answer with JSON.
    pub async fn request(&self, token: &str, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = self.post(token, body).await;
        let answer = answer.expect("the test server answers");
        serde_json::from_slice(&answer).expect("the answer is JSON")
    }

    async fn post(&self, token: &str, body: String) -> Result<Bytes, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(self.address()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::post("/graphql")
            .header(header::HOST, self.address().to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = async {
            let response = sender.send_request(request).await?;
            response.into_body().collect().await
        };
        // The connection ends after the answer: the request asks for it.
        let (answer, _) = tokio::join!(answer, connection);
        Ok(answer?.to_bytes())
    }

    /// Stops the server, and removes its database.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
