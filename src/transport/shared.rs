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

use crate::{
    auth::{Auth, TokenError},
    domain::{Clock, Viewer},
    schema::{RequestContext, Schema},
    transport::{
        Operations, Site, TransportLimits,
        admission::{address::Address, slots::Admission},
        http::persisted::Persisted,
        streaming::reservation::Reservations,
    },
    view::Views,
};

/// What clients may do here.
pub struct Rules {
    /// How much of it.
    pub limits: TransportLimits,
    /// The number of trusted proxies in front of this server. Each of them appends the address of
    /// its peer to `X-Forwarded-For`.
    pub proxies_trusted: usize,
    /// The only documents that are run; none if any is.
    pub operations: Option<Operations>,
}

/// What the transports share.
pub struct Shared {
    /// The schema.
    pub schema: Schema,
    /// What subscriptions read.
    pub views: Arc<Views>,
    /// Tokens.
    pub auth: Arc<Auth>,
    /// The time.
    pub clock: Clock,
    /// Bounds.
    pub limits: TransportLimits,
    /// The number of trusted proxies in front of this server.
    pub(crate) proxies_trusted: usize,
    /// Every socket is a task here.
    pub tasks: TaskTracker,
    /// Its names, and whose pages may use it.
    pub(crate) site: Site,
    /// Documents by their hash.
    pub(crate) persisted: Persisted,
    /// Event streams that operations share.
    pub(crate) reservations: Reservations,
    /// Who is here.
    pub(crate) admission: Admission,
    pub(crate) ready: AtomicBool,
    /// Cancelled when the drain begins.
    pub(crate) drain: CancellationToken,
}

impl Shared {
    /// Ready to serve.
    pub fn new(
        schema: Schema,
        views: Arc<Views>,
        auth: Arc<Auth>,
        clock: Clock,
        rules: Rules,
        site: Site,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let Rules {
            limits,
            proxies_trusted,
            operations,
        } = rules;
        let persisted = operations.map_or_else(
            || Persisted::learning(limits.persisted_bytes_max),
            Persisted::listed,
        );
        Arc::new(Self {
            schema,
            views,
            auth,
            clock,
            limits,
            proxies_trusted,
            site,
            persisted,
            reservations: Reservations::default(),
            tasks,
            admission: Admission::new(&limits, proxies_trusted),
            ready: AtomicBool::new(true),
            drain: CancellationToken::new(),
        })
    }

    /// Readiness turns false; every socket closes with 1012 at a moment of its own within the window (R2).
    pub fn drain(&self) {
        self.ready.store(false, Ordering::Release);
        self.drain.cancel();
    }

    /// How long after the drain began one stream leaves: this share, from 0 to 1, of the window. A few need no window: a
    /// millisecond for each is spread enough.
    pub(crate) fn drain_delay(&self, share: f64) -> Duration {
        let admission = Duration::from_millis(self.connections_open() as u64);
        self.limits.drain_window.min(admission).mul_f64(share)
    }

    /// How many WebSockets and streams are open.
    pub fn connections_open(&self) -> usize {
        self.admission.connections()
    }

    /// How many connections of HTTP there are.
    pub fn http_connections_open(&self) -> usize {
        self.admission.https()
    }

    /// How many connections have not asked for anything yet.
    pub fn handshakes_open(&self) -> usize {
        self.admission.handshakes()
    }

    /// How many slots of users are taken.
    pub fn places_counted(&self) -> usize {
        self.admission.counted()
    }

    /// What a request from there leaves behind, and may do.
    pub(crate) fn notes(&self, address: Option<Address>) -> RequestContext {
        RequestContext::new(address.map(IpAddr::from), self.admission.sign_ins(address))
    }

    pub(crate) async fn bearer(&self, authorization: &str) -> Result<Viewer, TokenError> {
        self.auth.bearer(authorization, (self.clock)()).await
    }
}
