//! The targets that are reached over sockets: a server in this process, and any address.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use clap::Parser;
use switchboard::{
    config::{CommandLine, ServeFlags},
    protocol::Subprotocol,
    server::{InUse, Server},
};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    expect::{Received, is_extra},
    play::{Outcome, Target, is_close, play},
    scenario::{Opening, Reason, SUBPROTOCOL, Scenario},
    socket::{Address, Socket, in_time},
    stage::Stage,
};

/// The flags of a server on a free port with this database.
pub(crate) fn flags(database: &str, more: &[&str]) -> ServeFlags {
    let own = [
        "switchboard",
        "--listen",
        "127.0.0.1:0",
        "--database",
        database,
    ];
    CommandLine::try_parse_from(own.iter().chain(more))
        .expect("the flags of a scenario are valid")
        .serve
}

/// A server in this process. Its database is deleted with it.
pub(crate) struct TestServer {
    server: Option<Server>,
    stopping: Option<JoinHandle<()>>,
    directory: PathBuf,
    address: Address,
}

impl TestServer {
    pub(crate) async fn start(more: &[&str]) -> Self {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!(
            "switchboard-conformance-{}-{number}",
            std::process::id()
        ));
        std::fs::create_dir_all(&directory).expect("there is a directory for temporary files");
        let database = format!("sqlite://{}", directory.join("rooms.db").display());
        let server = Server::start(&flags(&database, more))
            .await
            .expect("the server starts");
        let address = Address {
            host: server.address().to_string(),
            path: "/graphql".to_owned(),
        };
        Self {
            server: Some(server),
            stopping: None,
            directory,
            address,
        }
    }

    /// The address of its GraphQL endpoint.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Begins to stop the server. It has stopped when its sockets have closed.
    fn begin_stop(&mut self) {
        let server = self.server.take().expect("the server is stopped once");
        self.stopping = Some(tokio::spawn(server.stop()));
    }

    /// Stops the server. Anything that its clients left behind is an error.
    pub(crate) async fn stop(mut self) -> Outcome {
        if let Some(server) = &self.server {
            let empty = async {
                // The server notices the end of a connection a moment after its client.
                while server.in_use() != InUse::default() {
                    tokio::task::yield_now().await;
                }
            };
            in_time(empty)
                .await
                .map_err(|_| format!("left behind: {:?}", server.in_use()))?;
            self.begin_stop();
        }
        let stopping = self.stopping.take().expect("the server is stopping");
        in_time(stopping).await?.map_err(|error| error.to_string())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The socket of a scenario with its stage.
struct SocketTarget<'a> {
    socket: Socket,
    stage: Stage,
    address: Address,
    server: Option<&'a mut TestServer>,
}

impl<'a> SocketTarget<'a> {
    async fn open(
        address: &Address,
        server: Option<&'a mut TestServer>,
        opening: &Opening,
    ) -> Result<Self, String> {
        let stage = Stage::build(address).await?;
        let socket = Socket::open(address, opening).await?;
        Ok(Self {
            socket,
            stage,
            address: address.clone(),
            server,
        })
    }
}

impl Target for SocketTarget<'_> {
    async fn send(&mut self, texts: &[String]) -> Outcome {
        let messages: Vec<Message> = texts
            .iter()
            .map(|text| Message::text(self.stage.fill_in(text)))
            .collect();
        self.socket.send(messages).await
    }

    async fn send_bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.socket.send([Message::binary(bytes.to_vec())]).await
    }

    async fn send_raw(&mut self, bytes: &[u8]) -> Outcome {
        self.socket.send_raw(bytes).await
    }

    async fn receive(&mut self) -> Result<Received, String> {
        self.socket.receive().await
    }

    async fn ended(&mut self) -> Outcome {
        self.socket.ended().await
    }

    async fn publish(&mut self, text: &str) -> Outcome {
        self.stage.publish(text).await
    }

    /// Opens another socket and sends nothing on it. When the server closes this socket, the time
    /// limit of the scenario's socket has passed too, because that socket is older.
    async fn init_time_passes(&mut self) -> Outcome {
        let reason = Reason::Exactly("Connection initialisation timeout".to_owned());
        self.another_is_closed(4408, &reason).await
    }

    /// Does nothing: the server has a clock of its own.
    async fn beat(&mut self) -> Outcome {
        Ok(())
    }

    async fn server_stops(&mut self) -> Outcome {
        self.server
            .as_mut()
            .expect("a scenario that stops the server has its own server")
            .begin_stop();
        Ok(())
    }

    async fn another_is_closed(&mut self, code: u16, reason: &Reason) -> Outcome {
        let opening = Opening {
            offers: &[SUBPROTOCOL],
            authorization: None,
            spoken: Some(Subprotocol::TransportWs),
        };
        let mut another = Socket::open(&self.address, &opening).await?;
        is_close(&another.receive().await?, code, reason)?;
        another.ended().await
    }

    async fn client_leaves(&mut self) -> Outcome {
        self.socket.close().await?;
        let mut received = self.socket.receive().await?;
        // The server may have sent a ping or heartbeat before it read the close.
        while matches!(&received, Received::Message(message) if is_extra(message)) {
            received = self.socket.receive().await?;
        }
        is_close(&received, 1000, &Reason::Exactly(String::new()))?;
        self.socket.ended().await
    }
}

/// Plays a scenario on a running server.
pub(crate) async fn play_at(address: &Address, scenario: &Scenario) -> Outcome {
    let mut target = SocketTarget::open(address, None, &scenario.opening).await?;
    play(scenario, &mut target).await
}

/// Plays a scenario on this server, or on a server of its own if it needs flags.
pub(crate) async fn play_in(server: &TestServer, scenario: &Scenario) -> Outcome {
    if scenario.flags.is_empty() {
        return play_at(&server.address, scenario).await;
    }
    let mut own = TestServer::start(scenario.flags).await;
    let address = own.address.clone();
    let mut target = SocketTarget::open(&address, Some(&mut own), &scenario.opening).await?;
    let outcome = play(scenario, &mut target).await;
    drop(target);
    outcome.and(own.stop().await)
}
