//! The state that all transports share.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::field::display;

use crate::{
    auth::{Auth, TokenError},
    domain::{Caller, Clock},
    schema::{RequestContext, Schema},
    transport::{
        OperationList, Site, TokenHeader, TransportLimits,
        admission::{address::Address, slots::Admission},
        persisted::PersistedQueries,
        reservation::Reservations,
    },
    view::Views,
};

/// The limits of clients, and the documents that they may execute.
pub struct ClientPolicy {
    /// The limits of the transports.
    pub limits: TransportLimits,
    /// The number of trusted proxies in front of this server. Each of them appends the address of
    /// its peer to `X-Forwarded-For`.
    pub proxies_trusted: usize,
    /// The header with the token of a request.
    pub token_header: TokenHeader,
    /// The only documents that are executed. None if every document is.
    pub operations: Option<OperationList>,
    /// Why the database cannot be written, for the readiness of the server.
    pub write_fault: WriteFaultProbe,
}

/// Returns why the database cannot be written, as one sentence. None if it can.
pub type WriteFaultProbe = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Admits connections for the listener. It does not keep the [`Shared`] state alive.
#[derive(Clone)]
pub struct Gatekeeper {
    pub(super) limits: TransportLimits,
    pub(super) admission: Arc<Admission>,
}

impl Gatekeeper {
    /// The number of open HTTP connections.
    pub fn http_connections_open(&self) -> usize {
        self.admission.http_connections()
    }

    /// The number of connections that have not sent a request yet.
    pub fn handshakes_open(&self) -> usize {
        self.admission.handshakes()
    }
}

/// The state that all transports share.
pub struct Shared {
    /// The schema.
    pub schema: Schema,
    /// The views that subscriptions read.
    pub views: Arc<Views>,
    /// Checks tokens.
    pub auth: Arc<Auth>,
    /// The current time.
    pub clock: Clock,
    /// The limits of the transports.
    pub limits: TransportLimits,
    /// The number of trusted proxies in front of this server.
    pub(super) proxies_trusted: usize,
    /// The header with the token of a request.
    pub(super) token_header: TokenHeader,
    /// Why the database cannot be written.
    pub(super) write_fault: WriteFaultProbe,
    /// Every WebSocket runs as a task in here.
    pub tasks: TaskTracker,
    /// The hosts of this server, and the origins whose pages may use it.
    pub(super) site: Arc<Site>,
    /// Documents that clients name by a hash.
    pub(super) persisted: PersistedQueries,
    /// Reserved event streams.
    pub(super) reservations: Reservations,
    /// Counts connections and requests.
    pub(super) admission: Arc<Admission>,
    /// The server takes new work. False while it drains.
    pub(super) ready: AtomicBool,
    /// Cancelled when the drain begins.
    pub(super) drain: CancellationToken,
}

impl Shared {
    /// The state of a server that is ready to serve.
    pub fn new(
        schema: Schema,
        views: Arc<Views>,
        auth: Arc<Auth>,
        clock: Clock,
        policy: ClientPolicy,
        site: Site,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let ClientPolicy {
            limits,
            proxies_trusted,
            token_header,
            operations,
            write_fault,
        } = policy;
        let persisted = operations.map_or_else(
            || PersistedQueries::learning(limits.persisted_bytes_max),
            PersistedQueries::listed,
        );
        Arc::new(Self {
            schema,
            views,
            auth,
            clock,
            limits,
            proxies_trusted,
            token_header,
            write_fault,
            tasks,
            site: Arc::new(site),
            persisted,
            reservations: Reservations::default(),
            admission: Arc::new(Admission::new(&limits, proxies_trusted)),
            ready: AtomicBool::new(true),
            drain: CancellationToken::new(),
        })
    }

    /// Begins the drain: readiness turns false, and every WebSocket closes with 1012 at its own
    /// moment within the window (R2).
    pub fn drain(&self) {
        self.ready.store(false, Ordering::Release);
        self.drain.cancel();
    }

    /// When a connection closes, as the time since the drain began. `share`, from 0 to 1, is its
    /// position in the window. The window is shorter where few connections are open: one
    /// millisecond for each is enough.
    pub(super) fn drain_delay(&self, share: f64) -> Duration {
        let window = Duration::from_millis(self.connections_open() as u64);
        self.limits.drain_window.min(window).mul_f64(share)
    }

    /// The number of open WebSockets, streams and reservations.
    pub fn connections_open(&self) -> usize {
        self.admission.connections()
    }

    /// What the listener needs to admit connections.
    pub fn gatekeeper(&self) -> Gatekeeper {
        Gatekeeper {
            limits: self.limits,
            admission: self.admission.clone(),
        }
    }

    /// The number of slots that are charged to users.
    pub fn slots_charged(&self) -> usize {
        self.admission.slots_charged()
    }

    /// The context of a request from this address.
    pub(super) fn request_context(&self, address: Option<Address>) -> RequestContext {
        RequestContext::new(address.map(IpAddr::from), self.admission.sign_ins(address))
    }

    /// The caller by the token that was given. A refusal is logged, without the token (A3). A
    /// temporary failure was logged where it happened.
    pub(super) async fn caller(
        &self,
        token: Result<Option<&str>, TokenError>,
        address: Option<Address>,
    ) -> Result<Caller, TokenError> {
        let caller = self.auth.caller(token, (self.clock)()).await;
        if let Err(reason) = caller
            && !reason.is_temporary()
        {
            let address = address.map(|address| display(IpAddr::from(address)));
            tracing::info!(%reason, address, "a token was refused");
        }
        caller
    }
}
