//! The wiring: starts and stops all parts of the server, in the right order.
//!
//! - **R1** Every task is tracked. The server listens in the last step of its start, so the first
//!   client finds everything ready.
//! - **R2** A shutdown drains the sockets first: readiness turns false, then the sockets close with
//!   1012, spread over a window. The rest stops after that. A second signal stops the process at
//!   once.
//! - **R3** The soft limit on open files is raised to the hard limit.

mod engine;
mod replace;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::ServeFlags,
    domain::{Clock, Timestamp},
    seed::SeedError,
    store::StoreError,
    test_clock::TestClock,
    transport::{self, Gatekeeper, OperationListError, TestRoutes, Tls, TlsError},
};
use engine::{Engine, site};
use replace::ReplaceableEngine;

/// Why the server does not start. Each text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The flags contradict each other, or a file that they name cannot be used.
    #[error("{0}")]
    Flags(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate cannot be used.
    #[error("--tls-cert, --tls-key: {0}")]
    Tls(#[from] TlsError),
    /// The list of persisted operations cannot be used.
    #[error("--persisted-operations: {0}")]
    Operations(#[from] OperationListError),
    /// The file of `--seed` cannot be used.
    #[error("--seed: {0}")]
    Seed(#[from] SeedError),
    /// The server was stopped while its state was replaced.
    #[error("the server is stopping")]
    Stopped,
    /// The folder of a temporary database cannot be created.
    #[error("cannot create a temporary folder: {0}")]
    Folder(io::Error),
    /// The address is in use or not allowed.
    #[error("cannot listen on {address}: {error}{}", way_out(error))]
    Listen {
        /// The address of `--listen`.
        address: SocketAddr,
        /// The cause.
        error: io::Error,
    },
}

/// What to do about an address that cannot be used.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; stop the program that uses it, or choose another port, for example --listen 4001"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need special rights",
        _ => "",
    }
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    engine: Arc<ReplaceableEngine>,
    gatekeeper: Gatekeeper,
    tls: Option<Arc<Tls>>,
    /// Time for requests to end, after the drain.
    stop_grace: Duration,
    stop_listening: CancellationToken,
    listening: JoinHandle<()>,
    tasks: TaskTracker,
}

/// The clock of the system.
pub fn clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::since_1970(since)
    })
}

impl Server {
    /// Starts a server with the clock of the system. When this returns, it serves clients.
    pub async fn start(flags: &ServeFlags) -> Result<Self, StartError> {
        Self::start_at(flags, clock()).await
    }

    /// Starts a server with the given clock. When this returns, it serves clients.
    pub async fn start_at(flags: &ServeFlags, clock: Clock) -> Result<Self, StartError> {
        flags.check().map_err(StartError::Flags)?;
        let tls = open_certificate(flags, &clock)?;
        raise_file_limit();
        let test_clock = flags
            .test_clock
            .then(|| Arc::new(TestClock::new(clock.clone())));
        let clock = test_clock.clone().map_or(clock, |test_clock| -> Clock {
            Arc::new(move || test_clock.now())
        });
        let first = Engine::start(flags, clock.clone()).await?;
        let (gatekeeper, stop_grace) = (first.shared().gatekeeper(), first.stop_grace());
        let engine = ReplaceableEngine::new(first, flags, clock, test_clock.clone());
        let app = engine.app.clone();
        let reset = flags.can_be_reset().then(|| engine.clone().reset_handle());
        let app = if test_clock.is_some() || reset.is_some() {
            let routes = TestRoutes {
                clock: test_clock,
                reset,
            };
            app.with_test_routes(routes, site(flags))
        } else {
            app.fixed()
        };

        let (listener, address) = bind(flags.listen).await?;
        let (stop_listening, tasks) = (CancellationToken::new(), TaskTracker::new());
        if let Some(tls) = &tls {
            let interval = flags.limits().transport.tls_check_interval;
            tasks.spawn(tls.clone().watch(interval, stop_listening.clone()));
        }
        let listening = tokio::spawn(transport::serve(
            listener,
            tls.clone(),
            app,
            gatekeeper.clone(),
            stop_listening.clone(),
        ));
        Ok(Self {
            address,
            engine,
            gatekeeper,
            tls,
            stop_grace,
            stop_listening,
            listening,
            tasks,
        })
    }

    /// The address at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the server uses TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificate again, if there is one. If that fails, it is logged, and the old
    /// certificate stays in use.
    pub async fn reload_certificate(&self) {
        if let Some(tls) = &self.tls {
            tls.reload().await;
        }
    }

    /// The clock that tests can set, with `--test-clock`.
    pub fn test_clock(&self) -> Option<&Arc<TestClock>> {
        self.engine.test_clock.as_ref()
    }

    /// Replaces all data by those of a new database, and closes the connections of clients. Only
    /// for a server whose database is temporary.
    ///
    /// # Errors
    /// The new database cannot be made or seeded. The server then serves the old one.
    pub async fn reset(&self) -> Result<(), StartError> {
        self.engine.reset().await
    }

    /// The resources in use now. Tests compare them with zero to find leaks.
    pub fn in_use(&self) -> InUse {
        InUse {
            http_connections: self.gatekeeper.http_connections_open(),
            handshakes: self.gatekeeper.handshakes_open(),
            ..self.engine.in_use()
        }
    }

    /// Drains and stops the server (R2). Each accepted operation is finished, or its client is
    /// asked to reconnect.
    pub async fn stop(self) {
        // The server still accepts connections while sockets close, so that /readyz can report the
        // drain.
        let stop_listening = async {
            self.stop_listening.cancel();
            if tokio::time::timeout(self.stop_grace, self.listening)
                .await
                .is_err()
            {
                tracing::warn!("some requests did not end in time");
            }
        };
        self.engine.stop(stop_listening).await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The resources that a server holds for its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Open WebSockets and event streams, and reservations of an event stream.
    pub connections: usize,
    /// Open HTTP connections.
    pub http_connections: usize,
    /// Connections that have not sent a request yet.
    pub handshakes: usize,
    /// Slots that are held by an address or a user.
    pub slots: usize,
    /// Plans, which have readers by definition.
    pub plans: usize,
    /// Live rooms.
    pub rooms: usize,
    /// Lobbies: rooms with ephemeral state, or with subscriptions to it.
    pub lobbies: usize,
}

fn open_certificate(flags: &ServeFlags, clock: &Clock) -> Result<Option<Arc<Tls>>, StartError> {
    let files = flags.edge.tls().map_err(StartError::Flags)?;
    let tls = files.map(|files| Tls::open(files, clock.clone()));
    Ok(tls.transpose()?.map(Arc::new))
}

/// Binds the address. Returns the listener and its address, which has a real port if the given one
/// is 0.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Raises the limit on open files (R3).
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "the limit on open files"),
        Err(error) => tracing::warn!(%error, "the limit on open files cannot be raised"),
    }
}
