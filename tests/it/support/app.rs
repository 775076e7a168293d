//! A server in the process of the test, with its own port and database.

use std::sync::Arc;

use clap::Parser;
use switchboard::{
    config::CommandLine,
    domain::Clock,
    server::{InUse, Server, StartError},
};

use super::{
    Folder,
    client::{Client, Closed},
    endpoint::{Endpoint, Transport},
    http,
    tls::Certificate,
    wait_for,
};

/// A running server. A test ends with [`TestApp::finish`], which fails if the server still holds
/// resources for a client.
pub(crate) struct TestApp {
    server: Server,
    certificate: Option<Arc<Certificate>>,
    pub(crate) folder: Folder,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with_flags(&[]).await
    }

    pub(crate) async fn with_flags(flags: &[&str]) -> Self {
        Self::in_folder(Folder::new(), flags).await
    }

    /// Starts a server on the database in this folder.
    pub(crate) async fn in_folder(folder: Folder, flags: &[&str]) -> Self {
        super::logs::install();
        let database = folder.database();
        let defaults = [("--listen", "127.0.0.1:0"), ("--database", &*database)];
        let defaults = defaults
            .into_iter()
            .filter(|(flag, _)| !flags.contains(flag))
            .flat_map(|(flag, value)| [flag, value]);
        let line = std::iter::once("switchboard")
            .chain(defaults)
            .chain(flags.iter().copied());
        let flags = CommandLine::try_parse_from(line).unwrap().serve;
        Self {
            server: Server::start(&flags).await.unwrap(),
            certificate: None,
            folder,
        }
    }

    /// Starts a server that may refuse to start. The flags must name its database.
    pub(crate) async fn try_start(flags: &[&str]) -> Result<Server, StartError> {
        super::logs::install();
        let line = ["switchboard", "--listen", "127.0.0.1:0"];
        let line = line.iter().chain(flags);
        Server::start(&CommandLine::try_parse_from(line).unwrap().serve).await
    }

    /// Starts a server over plain TCP or over TLS.
    pub(crate) async fn start_over(transport: Transport, flags: &[&str]) -> Self {
        let folder = Folder::new();
        if transport == Transport::Tcp {
            return Self::in_folder(folder, flags).await;
        }
        let certificate = Certificate::new();
        let tls_flags = certificate.write_to(&folder);
        let tls_flags: Vec<_> = tls_flags.iter().map(String::as_str).collect();
        let app = Self::in_folder(folder, &[&tls_flags, flags].concat()).await;
        Self {
            certificate: Some(Arc::new(certificate)),
            ..app
        }
    }

    /// Starts a server that reads the time from a clock of the test.
    pub(crate) async fn with_clock(clock: Clock, flags: &[&str]) -> Self {
        let folder = Folder::new();
        super::logs::install();
        let database = folder.database();
        let line = [
            "switchboard",
            "--listen",
            "127.0.0.1:0",
            "--database",
            &database,
        ];
        let flags = CommandLine::try_parse_from(line.iter().chain(flags))
            .unwrap()
            .serve;
        Self {
            server: Server::start_at(&flags, clock).await.unwrap(),
            certificate: None,
            folder,
        }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// How a client reaches this server.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.address(),
            certificate: self.certificate.clone(),
        }
    }

    /// The number of open WebSockets and streams.
    pub(crate) fn connections(&self) -> usize {
        self.server.in_use().connections
    }

    /// The resources that the server holds for its clients.
    pub(crate) fn in_use(&self) -> InUse {
        self.server.in_use()
    }

    /// Connects a client over its own WebSocket. Without a token the client is anonymous.
    pub(crate) async fn client(&self, token: Option<&str>) -> Client {
        Client::connect(self.endpoint(), token).await
    }

    /// Signs in as a guest and returns the token.
    pub(crate) async fn sign_in(&self, name: &str) -> String {
        let body = serde_json::json!({
            "query": "mutation ($name: String!) { signIn(name: $name) { token } }",
            "variables": { "name": name },
        });
        let reply = http::post(self.endpoint(), &body.to_string(), &[]).await;
        reply.json()["data"]["signIn"]["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Asks the server over HTTP who the viewer of a token is. Returns the status, and the name of
    /// the viewer or the error code.
    pub(crate) async fn whoami(&self, token: &str) -> (u16, String) {
        let query = serde_json::json!({ "query": "{ viewer { name } }" }).to_string();
        let reply = http::post(
            self.endpoint(),
            &query,
            &[("authorization", &format!("Bearer {token}"))],
        )
        .await;
        let name = reply.json()["data"]["viewer"]["name"]
            .as_str()
            .map(str::to_owned);
        (reply.status, name.unwrap_or_else(|| reply.error_code()))
    }

    /// How the server closes a WebSocket with this token, or `None` if it acknowledges it.
    pub(crate) async fn websocket_rejection(&self, token: &str) -> Option<Closed> {
        let mut client = Client::open(self.endpoint()).await;
        let payload = serde_json::json!({ "authorization": format!("Bearer {token}") });
        client
            .send(&serde_json::json!({ "type": "connection_init", "payload": payload }))
            .await;
        client.try_receive().await.err()
    }

    /// Waits until the server holds nothing for any client, and stops it. Panics with the resources
    /// that are still held after [`super::WAIT_MAX`].
    pub(crate) async fn finish(self) -> Folder {
        let idle = async {
            while self.server.in_use() != InUse::default() {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(super::WAIT_MAX, idle).await.is_err() {
            panic!("the server still holds {:?}", self.server.in_use());
        }
        wait_for("the end of the server", self.server.stop()).await;
        self.folder
    }

    /// Stops the server while clients may still be connected.
    pub(crate) async fn stop(self) -> Folder {
        wait_for("the end of the server", self.server.stop()).await;
        self.folder
    }
}
