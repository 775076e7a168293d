//! The server in this process, on a port and a database of its own.

use clap::Parser;
use switchboard::{
    config::CommandLine,
    server::{InUse, Server},
};

use super::{Folder, client::Client, http, soon};

/// A running server. End a test with [`TestApp::finish`]: it accuses what was left behind.
pub(crate) struct TestApp {
    server: Server,
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
        let database = folder.database();
        let listen: &[&str] = if flags.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let line = ["switchboard", "--database", &database];
        let flags = CommandLine::try_parse_from(line.iter().chain(listen).chain(flags)).unwrap().serve;
        Self { server: Server::start(&flags).await.unwrap(), folder }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
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
        Client::connect(self.address(), token).await
    }

    /// A new guest's token.
    pub(crate) async fn sign_in(&self, name: &str) -> String {
        let body = serde_json::json!({
            "query": "mutation ($name: String!) { signIn(name: $name) { token } }",
            "variables": { "name": name },
        });
        let reply = http::post(self.address(), &body.to_string(), &[]).await;
        reply.json()["data"]["signIn"]["token"].as_str().unwrap().to_owned()
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
