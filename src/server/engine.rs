//! Everything behind the listener: the database, and the parts that serve it.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{InUse, StartError};
use crate::{
    auth::{Auth, SignIn},
    config::{LimitFlags, ServeFlags, Switch},
    domain::{Clock, RoomId, Seq, ShutsOut},
    hub::{Hub, ShutOutObserver},
    presence::{Instant, Presence},
    schema::{Introspection, Schema, SearchTurns, Services},
    seed,
    store::{Database, sqlite::DatabaseLock},
    temporary::TemporaryFolder,
    transport::{ClientPolicy, OperationList, Origin, Shared, Site},
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

/// The lock and the folder of the database. The server keeps them until it has closed the database.
struct HeldWithDatabase {
    _lock: Option<DatabaseLock>,
    /// The folder of a database that is removed at the end.
    _folder: Option<TemporaryFolder>,
}

/// Everything behind the listener: the database, and the parts that serve it.
pub(super) struct Engine {
    shared: Arc<Shared>,
    views: Arc<Views>,
    hub: Arc<Hub>,
    presence: Arc<Presence>,
    database: Database,
    _held: HeldWithDatabase,
    /// Ends the tasks that work for the database.
    stop_work: CancellationToken,
    tasks: TaskTracker,
}

impl Engine {
    pub(super) async fn start(flags: &ServeFlags, clock: Clock) -> Result<Self, StartError> {
        let sign_in = flags.sign_in().map_err(StartError::Flags)?;
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
            clock.clone(),
            policy,
            site(flags),
            tasks.clone(),
        );
        let stop_work = CancellationToken::new();
        tasks.spawn(catch_up(database.clone(), stop_work.clone()));
        tasks.spawn(tick(database.clone(), clock, stop_work.clone()));
        Ok(Self {
            shared,
            views: core.views,
            hub: core.hub,
            presence: core.presence,
            database,
            _held: held,
            stop_work,
            tasks,
        })
    }

    /// The state of the transports.
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// The resources in use, without those of the listener.
    pub(super) fn in_use(&self) -> InUse {
        InUse {
            connections: self.shared.connections_open(),
            slots: self.shared.slots_charged(),
            plans: self.views.plans_live(),
            rooms: self.hub.rooms_live(),
            lobbies: self.presence.rooms_live(Instant::now()),
            ..InUse::default()
        }
    }

    /// Time for connections, and then for tasks, to end after the drain.
    pub(super) fn stop_grace(&self) -> Duration {
        self.shared.limits.drain_window + STOP_GRACE
    }

    /// Begins the drain (R2). The returned future ends when all sockets are closed, or when their
    /// time is over.
    pub(super) fn drain(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.drain();
        self.hub.end_waits();
        let (shared, limit) = (
            self.shared(),
            self.shared.limits.drain_window + CLOSES_GRACE,
        );
        async move {
            let closed = async {
                while shared.connections_open() > 0 {
                    tokio::time::sleep(DRAIN_CHECK_INTERVAL).await;
                }
            };
            let _ = tokio::time::timeout(limit, closed).await;
        }
    }

    /// Ends all tasks and closes the database. The engine must have been drained.
    pub(super) async fn stop(self) {
        self.stop_work.cancel();
        let grace = self.stop_grace();
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

/// The hosts of the server, and the pages that may use it.
pub(super) fn site(flags: &ServeFlags) -> Site {
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
