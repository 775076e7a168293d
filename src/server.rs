//! The wiring: starts and stops all parts of the server, in the right order.
//!
//! - **R1** Every task is tracked. The server listens in the last step of its start, so the first
//!   client finds everything ready.
//! - **R2** A shutdown drains the sockets first: readiness turns false, then the sockets close with
//!   1012, spread over a window. The rest stops after that. A second signal stops the process at
//!   once.
//! - **R3** The soft limit on open files is raised to the hard limit.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{Auth, SignIn},
    config::{LimitFlags, ServeFlags, Switch},
    domain::{Clock, RoomId, Seq, ShutsOut, Timestamp},
    hub::{Hub, ShutOutObserver},
    presence::{Instant, Presence},
    schema::{Introspection, Schema, SearchTurns, Services},
    seed::{self, SeedError},
    store::{Database, StoreError, sqlite::DatabaseLock},
    temporary::TemporaryFolder,
    transport::{
        self, ClientPolicy, OperationList, OperationListError, Origin, Shared, Site, Tls, TlsError,
    },
    view::Views,
};

/// Time for connections, and then for tasks, to end after the drain window.
const STOP_GRACE: Duration = Duration::from_secs(4);

/// Time for clients to answer the closes of their sockets, after the drain window.
const CLOSES_GRACE: Duration = Duration::from_secs(2);

/// How often the database does its regular work.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// How often a drain checks whether all sockets have closed.
const DRAIN_CHECK_INTERVAL: Duration = Duration::from_millis(5);

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

/// The lock and the folder of the database. The server keeps them until it has closed the database.
struct HeldWithDatabase {
    _lock: Option<DatabaseLock>,
    /// The folder of a database that is removed at the end.
    _folder: Option<TemporaryFolder>,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    views: Arc<Views>,
    hub: Arc<Hub>,
    presence: Arc<Presence>,
    database: Database,
    _held: HeldWithDatabase,
    tls: Option<Arc<Tls>>,
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
        let sign_in = flags.sign_in().map_err(StartError::Flags)?;
        let tls = open_certificate(flags, &clock)?;
        raise_file_limit();
        let (limits, tasks) = (flags.limits(), TaskTracker::new());
        let mut policy = client_policy(flags, &limits)?;

        let (database, held) = open_database(flags, &limits).await?;
        let maintenance = database.maintenance.clone();
        policy.write_fault = Arc::new(move || maintenance.write_fault().map(|f| f.to_string()));
        let core = Core::start(flags, &limits, &database, sign_in, &clock, &tasks).await?;
        let shared = Shared::new(
            core.schema,
            core.views.clone(),
            core.auth,
            clock,
            policy,
            site(flags),
            tasks.clone(),
        );

        let (listener, address) = bind(flags.listen).await?;
        let stop_listening = CancellationToken::new();
        tasks.spawn(catch_up(database.clone(), stop_listening.clone()));
        tasks.spawn(tick(
            database.clone(),
            shared.clock.clone(),
            stop_listening.clone(),
        ));
        if let Some(tls) = &tls {
            let interval = shared.limits.tls_check_interval;
            tasks.spawn(tls.clone().watch(interval, stop_listening.clone()));
        }
        let listening = tokio::spawn(transport::serve(
            listener,
            tls.clone(),
            transport::router(shared.clone()),
            shared.clone(),
            stop_listening.clone(),
        ));
        Ok(Self {
            address,
            shared,
            views: core.views,
            hub: core.hub,
            presence: core.presence,
            database,
            _held: held,
            tls,
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

    /// The resources in use now. Tests compare them with zero to find leaks.
    pub fn in_use(&self) -> InUse {
        InUse {
            connections: self.shared.connections_open(),
            http_connections: self.shared.http_connections_open(),
            handshakes: self.shared.handshakes_open(),
            slots: self.shared.slots_charged(),
            plans: self.views.plans_live(),
            rooms: self.hub.rooms_live(),
            lobbies: self.presence.rooms_live(Instant::now()),
        }
    }

    /// Drains and stops the server (R2). Each accepted operation is finished, or its client is
    /// asked to reconnect.
    pub async fn stop(self) {
        let grace = self.shared.limits.drain_window + STOP_GRACE;
        self.shared.drain();
        self.hub.end_waits();
        // The server still accepts connections while sockets close, so that /readyz can report the
        // drain.
        let drained = async {
            while self.shared.connections_open() > 0 {
                tokio::time::sleep(DRAIN_CHECK_INTERVAL).await;
            }
        };
        let _ = tokio::time::timeout(self.shared.limits.drain_window + CLOSES_GRACE, drained).await;
        self.stop_listening.cancel();
        if tokio::time::timeout(grace, self.listening).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        // The writer ends when its last sender is dropped. These three hold the last senders.
        drop((self.shared, self.views, self.hub));
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(tasks = self.tasks.len(), "some tasks did not end in time");
        }
        self.database.maintenance.close().await;
    }
}

/// The parts of a server between its store and its transport.
struct Core {
    auth: Arc<Auth>,
    presence: Arc<Presence>,
    hub: Arc<Hub>,
    schema: Schema,
    views: Arc<Views>,
}

/// Lobbies learn from the hub which users lose the right to read (E4).
impl ShutOutObserver for Presence {
    fn shut_out(&self, room: &RoomId, at: Seq, shuts_out: &ShutsOut) {
        Presence::shut_out(self, room, at, shuts_out);
    }
}

impl Core {
    async fn start(
        flags: &ServeFlags,
        limits: &LimitFlags,
        database: &Database,
        sign_in: SignIn,
        clock: &Clock,
        tasks: &TaskTracker,
    ) -> Result<Self, StartError> {
        let (log, accounts) = (database.log.clone(), database.accounts.clone());
        let mut auth =
            Auth::start(sign_in, accounts.clone(), limits.auth, tasks, clock.clone()).await?;
        if let Some(file) = &flags.seed {
            auth.accept(seed::apply(file, database, clock()).await?);
        }
        let auth = Arc::new(auth);
        let presence = Presence::new(limits.presence, limits.hub.shut_outs_kept_max);
        let hub = Hub::start(
            log.clone(),
            database.append.clone(),
            presence.clone(),
            clock.clone(),
            limits.hub,
            tasks,
        );
        let services = Services {
            log,
            hub: hub.clone(),
            presence: presence.clone(),
            accounts,
            auth: auth.clone(),
            clock: clock.clone(),
            searches: Arc::new(SearchTurns::new(&limits.schema)),
            limits: limits.schema,
        };
        let introspection = match flags.introspection {
            Switch::On => Introspection::Allowed,
            Switch::Off => Introspection::Refused,
        };
        let schema = Schema::new(services, limits.prepare, introspection);
        let views = Arc::new(Views::new(
            schema.clone(),
            hub.clone(),
            limits.view,
            tasks.clone(),
        ));
        Ok(Self {
            auth,
            presence,
            hub,
            schema,
            views,
        })
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

async fn open_database(
    flags: &ServeFlags,
    limits: &LimitFlags,
) -> Result<(Database, HeldWithDatabase), StartError> {
    let folder = flags.is_ephemeral().then(TemporaryFolder::new).transpose();
    let folder = folder.map_err(StartError::Folder)?;
    let url = folder.as_ref().map(TemporaryFolder::database);
    let url = url.as_ref().unwrap_or(&flags.database.database);
    let lock = Database::lock(url)?;
    let database = Database::open(url, limits.sqlite).await?;
    let held = HeldWithDatabase {
        _lock: lock,
        _folder: folder,
    };
    Ok((database, held))
}

fn open_certificate(flags: &ServeFlags, clock: &Clock) -> Result<Option<Arc<Tls>>, StartError> {
    let files = flags.edge.tls().map_err(StartError::Flags)?;
    let tls = files.map(|files| Tls::open(files, clock.clone()));
    Ok(tls.transpose()?.map(Arc::new))
}

/// The hosts of the server, and the pages that may use it.
fn site(flags: &ServeFlags) -> Site {
    let mut site = flags.edge.site(flags.listen);
    site.headers.push(flags.sign_in.auth_header.name().clone());
    if site.origins.iter().any(Origin::is_null) {
        tracing::warn!(
            "--allow-origin null lets a sandboxed frame of any page on the web use this server"
        );
    }
    site
}

fn client_policy(flags: &ServeFlags, limits: &LimitFlags) -> Result<ClientPolicy, StartError> {
    let operations = flags
        .persisted_operations
        .as_deref()
        .map(OperationList::read)
        .transpose()?;
    Ok(ClientPolicy {
        limits: limits.transport,
        proxies_trusted: flags.trust_proxy,
        token_header: flags.sign_in.auth_header.clone(),
        operations,
        write_fault: Arc::new(|| None),
    })
}

/// Binds the address. Returns the listener and its address, which has a real port if the given one
/// is 0.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Does the work that an older version of the program left in the database, such as indexing its
/// messages, while the server serves.
async fn catch_up(database: Database, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match database.maintenance.catch_up().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "older messages cannot be searched before the next start");
                return;
            }
        }
    }
}

/// Lets the database do the work that is due every second, or when the clock was set back.
async fn tick(database: Database, clock: Clock, stop: CancellationToken) {
    let mut before = clock();
    while stop
        .run_until_cancelled(tokio::time::sleep(TICK_INTERVAL))
        .await
        .is_some()
    {
        database.maintenance.tick().await;
        let now = clock();
        if now < before {
            let by = now.until(before);
            tracing::warn!(?by, "the clock was set back");
            if let Err(error) = database.maintenance.clock_was_set_back(before, by).await {
                tracing::error!(%error, "mutes now last longer than they should");
            }
        }
        before = now;
    }
}

/// Raises the limit on open files (R3).
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "the limit on open files"),
        Err(error) => tracing::warn!(%error, "the limit on open files cannot be raised"),
    }
}
