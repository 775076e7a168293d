//! The wiring: what is started in which order, and stopped in the reverse one.
//!
//! - **R1** Every task is tracked; listening is the last step of the start.
//! - **R2** Draining: readiness turns false first, then sockets close with 1012 spread over a window, then the rest; a
//!   second signal stops at once.
//! - **R3** The soft limit on open files is raised to the hard one.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::Auth,
    config::{LimitFlags, ServeFlags, Switch},
    domain::{Clock, RoomId, Seq, ShutsOut, Timestamp},
    hub::{Hub, ShutOutObserver},
    presence::{Instant, Presence},
    schema::{PrepareLimits, Schema, Services},
    store::{Accounts, Append, Log, StoreError, sqlite::Sqlite},
    transport::{self, BadOperations, Operations, Rules, Shared, Tls, TlsError, TransportLimits},
    view::Views,
};

/// What is left after the drain window for those that are slow to leave.
const STOP_GRACE: Duration = Duration::from_secs(4);

/// What is left after the drain window for closes to be answered.
const CLOSES_GRACE: Duration = Duration::from_secs(2);

/// How often a drain looks whether the sockets have left.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

/// Why the server does not start. Each is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The flags contradict each other.
    #[error("{0}")]
    Flags(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate cannot be served.
    #[error("--tls-cert, --tls-key: {0}")]
    Tls(#[from] TlsError),
    /// The list of documents cannot be used.
    #[error("--persisted-operations: {0}")]
    Operations(#[from] BadOperations),
    /// The address is taken or not allowed.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
}

/// A server that runs.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    views: Arc<Views>,
    hub: Arc<Hub>,
    presence: Arc<Presence>,
    store: Sqlite,
    tls: Option<Arc<Tls>>,
    stop_listening: CancellationToken,
    listening: JoinHandle<()>,
    tasks: TaskTracker,
}

/// The time of day.
pub fn clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

impl Server {
    /// Starts everything; when this returns, clients are served.
    pub async fn start(flags: &ServeFlags) -> Result<Self, StartError> {
        Self::start_at(flags, clock()).await
    }

    /// The same, with a time of day of the caller's.
    pub async fn start_at(flags: &ServeFlags, clock: Clock) -> Result<Self, StartError> {
        flags.check().map_err(StartError::Flags)?;
        let sign_in = flags.sign_in().map_err(StartError::Flags)?;
        let tls = flags.edge.tls().map_err(StartError::Flags)?;
        let tls = tls
            .map(|files| Tls::open(files, clock.clone()))
            .transpose()?
            .map(Arc::new);
        raise_file_limit();
        let (limits, tasks) = (flags.limits(), TaskTracker::new());
        let rules = rules(flags, &limits)?;

        let store = Sqlite::open(&flags.database.database, limits.sqlite()).await?;
        let log: Arc<dyn Log> = Arc::new(store.clone());
        let append: Arc<dyn Append> = Arc::new(store.clone());
        let accounts: Arc<dyn Accounts> = Arc::new(store.clone());

        let auth = Arc::new(
            Auth::start(
                sign_in,
                accounts.clone(),
                limits.auth(),
                &tasks,
                clock.clone(),
            )
            .await?,
        );
        let presence = Presence::new(limits.presence());
        let hub = Hub::start(
            log.clone(),
            append,
            presence.clone(),
            clock.clone(),
            limits.hub(),
            &tasks,
        );
        let services = Services {
            log,
            hub: hub.clone(),
            presence: presence.clone(),
            accounts,
            auth: auth.clone(),
            clock: clock.clone(),
            limits: limits.schema(),
        };
        let prepare = PrepareLimits {
            introspection: flags.introspection == Switch::On,
            ..limits.prepare()
        };
        let schema = Schema::new(services, prepare);
        let views = Arc::new(Views::new(
            schema.clone(),
            hub.clone(),
            limits.views(),
            tasks.clone(),
        ));
        let site = flags.edge.site(flags.listen);
        let shared = Shared::new(
            schema,
            views.clone(),
            auth,
            clock,
            rules,
            site,
            tasks.clone(),
        );

        let refused = |error| StartError::Listen {
            address: flags.listen,
            error,
        };
        let stop_listening = CancellationToken::new();
        tasks.spawn(index_older_messages(store.clone(), stop_listening.clone()));
        let listener = TcpListener::bind(flags.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let router = transport::router(shared.clone());
        if let Some(tls) = &tls {
            tasks.spawn(
                tls.clone()
                    .watch(shared.limits.tls_check_interval, stop_listening.clone()),
            );
        }
        let serve = transport::serve(
            listener,
            tls.clone(),
            router,
            shared.clone(),
            stop_listening.clone(),
        );
        let listening = tokio::spawn(serve);
        Ok(Self {
            address,
            shared,
            views,
            hub,
            presence,
            store,
            tls,
            stop_listening,
            listening,
            tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificate anew, if there is one. A bad one is logged, and changes nothing.
    pub async fn reload_certificate(&self) {
        if let Some(tls) = &self.tls {
            tls.reload().await;
        }
    }

    /// What is in use right now. All zero when nobody is connected: tests accuse leaks with it.
    pub fn in_use(&self) -> InUse {
        InUse {
            connections: self.shared.connections_open(),
            http_connections: self.shared.http_connections_open(),
            handshakes: self.shared.handshakes_open(),
            places: self.shared.places_counted(),
            plans: self.views.plans_live(),
            rooms: self.hub.rooms_live(),
            lobbies: self.presence.rooms_live(Instant::now()),
        }
    }

    /// Stops in the reverse order of the start. Everything that was accepted is finished or its client told to come
    /// back.
    pub async fn stop(self) {
        let grace = self.shared.limits.drain_window + STOP_GRACE;
        self.shared.drain();
        self.hub.end_waits();
        // Until the sockets have left it still listens, so that whoever asks /readyz learns that it drains.
        let left = async {
            while self.shared.connections_open() > 0 {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(self.shared.limits.drain_window + CLOSES_GRACE, left).await;
        self.stop_listening.cancel();
        if tokio::time::timeout(grace, self.listening).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        // The writer ends when the last sender is gone: the schema's, the views' and this one.
        drop((self.shared, self.views, self.hub));
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(tasks = self.tasks.len(), "some tasks did not end in time");
        }
        self.store.close().await;
    }
}

/// Lobbies learn from the hub who loses the right to read (E4).
impl ShutOutObserver for Presence {
    fn shut_out(&self, room: &RoomId, at: Seq, shuts_out: &ShutsOut) {
        Presence::shut_out(self, room, at, shuts_out);
    }
}

/// What a server holds for its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Open WebSockets and streams, and reservations of one.
    pub connections: usize,
    /// Connections of HTTP.
    pub http_connections: usize,
    /// Those of them that have not asked for anything yet.
    pub handshakes: usize,
    /// Those of the open WebSockets and streams that count towards a user.
    pub places: usize,
    /// Documents that are executed for readers.
    pub plans: usize,
    /// Rooms that somebody reads.
    pub rooms: usize,
    /// Rooms in which something happens that is not kept, or in which somebody listens to that.
    pub lobbies: usize,
}

/// Messages from before there was a search index are put into it while the server serves.
async fn index_older_messages(store: Sqlite, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match store.index_step().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "older messages cannot be searched before the next start");
                return;
            }
        }
    }
}

fn rules(flags: &ServeFlags, limits: &LimitFlags) -> Result<Rules, StartError> {
    let operations = flags
        .persisted_operations
        .as_deref()
        .map(Operations::read)
        .transpose()?;
    Ok(Rules {
        limits: TransportLimits {
            proxies_trusted: flags.trust_proxy,
            ..limits.transport()
        },
        operations,
    })
}

fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "the limit on open files"),
        Err(error) => tracing::warn!(%error, "the limit on open files stays as it is"),
    }
}
