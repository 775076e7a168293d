//! The server in this process, on a port and a database of its own.

use std::sync::Arc;

use clap::Parser;
use switchboard::{
    config::CommandLine,
    domain::Clock,
    server::{InUse, Server},
};

use super::{
    Folder,
    client::{Client, Closed},
    http, soon,
    tls::Certificate,
    wire::{Over, Wire},
};

/// A running server. End a test with [`TestApp::finish`]: it accuses what was left behind.
pub(crate) struct TestApp {
    server: Server,
    certificate: Option<Arc<Certificate>>,
    pub(crate) folder: Folder,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(flags: &[&str]) -> Self {
        Self::on(Folder::new(), flags).await
    }

    pub(crate) async fn on(folder: Folder, flags: &[&str]) -> Self {
        super::logs::install();
        let database = folder.database();
        let own = [("--listen", "127.0.0.1:0"), ("--database", &*database)];
        let own = own
            .into_iter()
            .filter(|(flag, _)| !flags.contains(flag))
            .flat_map(|(flag, value)| [flag, value]);
        let line = std::iter::once("switchboard")
            .chain(own)
            .chain(flags.iter().copied());
        let flags = CommandLine::try_parse_from(line).unwrap().serve;
        Self {
            server: Server::start(&flags).await.unwrap(),
            certificate: None,
            folder,
        }
    }

    /// One that speaks this.
    pub(crate) async fn over(over: Over, flags: &[&str]) -> Self {
        let folder = Folder::new();
        if over == Over::Tcp {
            return Self::on(folder, flags).await;
        }
        let certificate = Certificate::new();
        let own = certificate.put(&folder);
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        let app = Self::on(folder, &[&own, flags].concat()).await;
        Self {
            certificate: Some(Arc::new(certificate)),
            ..app
        }
    }

    /// With a time of day of the test's own.
    pub(crate) async fn at(clock: Clock, flags: &[&str]) -> Self {
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

    /// The way to it.
    pub(crate) fn wire(&self) -> Wire {
        Wire {
            address: self.address(),
            certificate: self.certificate.clone(),
        }
    }

    /// How many WebSockets the server holds open.
    pub(crate) fn connections(&self) -> usize {
        self.server.in_use().connections
    }

    /// What the server holds for its clients.
    pub(crate) fn in_use(&self) -> InUse {
        self.server.in_use()
    }

    /// A client on a WebSocket of its own, as somebody or nobody.
    pub(crate) async fn client(&self, token: Option<&str>) -> Client {
        Client::connect(self.wire(), token).await
    }

    /// A new guest's token.
    pub(crate) async fn sign_in(&self, name: &str) -> String {
        let body = serde_json::json!({
            "query": "mutation ($name: String!) { signIn(name: $name) { token } }",
            "variables": { "name": name },
        });
        let reply = http::post(self.wire(), &body.to_string(), &[]).await;
        reply.json()["data"]["signIn"]["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What a request with this token is answered: the status, and the viewer's name or the error's code.
    pub(crate) async fn whoami(&self, token: &str) -> (u16, String) {
        let query = serde_json::json!({ "query": "{ viewer { name } }" }).to_string();
        let reply = http::post(
            self.wire(),
            &query,
            &[("authorization", &format!("Bearer {token}"))],
        )
        .await;
        let name = reply.json()["data"]["viewer"]["name"]
            .as_str()
            .map(str::to_owned);
        (reply.status, name.unwrap_or_else(|| reply.code()))
    }

    /// How a WebSocket with this token ends, if it is not acknowledged.
    pub(crate) async fn rejection(&self, token: &str) -> Option<Closed> {
        let mut client = Client::open(self.wire()).await;
        let payload = serde_json::json!({ "authorization": format!("Bearer {token}") });
        client
            .say(&serde_json::json!({ "type": "connection_init", "payload": payload }))
            .await;
        client.next().await.err()
    }

    /// Waits until nobody is connected, and accuses what is held all the same.
    pub(crate) async fn finish(self) -> Folder {
        let idle = async {
            while self.server.in_use() != InUse::default() {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(super::PATIENCE, idle).await.is_err() {
            panic!("left behind: {:?}", self.server.in_use());
        }
        soon("the end of the server", self.server.stop()).await;
        self.folder
    }

    /// Stops the server under its clients.
    pub(crate) async fn stop(self) -> Folder {
        soon("the end of the server", self.server.stop()).await;
        self.folder
    }
}
