//! How many connections and requests are admitted: in all, by address and by user.
//!
//! A client is counted twice. First when it connects: only its address is known then, and a refusal
//! must cost next to nothing. Again when it opens a WebSocket or a stream, or reserves one: a
//! refusal then carries a code that says when to retry.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::parser::types::OperationType;
use axum::{
    body::Bytes,
    http::{Version, request::Parts},
};

use super::address::Address;
use crate::{
    domain::{Caller, UserId},
    protocol::Close,
    quota::{self, AddressAllowance, Exhausted, Rates, Slots},
    schema::{ApiError, Code, Prepared},
    sync::{Turn, Turns},
    transport::{
        TransportLimits,
        admission::activity::ActivityGuard,
        response::{negotiate::Media, reply::Reply},
    },
};

/// When to retry after a refusal that lasts until another client disconnects.
pub(crate) const SLOT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The counts and rates of all clients.
pub(crate) struct Admission {
    /// HTTP connections, whether or not they are in use.
    http_connections: Arc<Slots<Address>>,
    /// HTTP connections that have not sent a request yet.
    handshakes: Arc<Slots<Address>>,
    /// New connections.
    connects: Rates<Address>,
    /// Connections beyond `connects` that are still answered with an error. Further ones are closed
    /// without an answer.
    refusals: Rates<Address>,
    /// Requests, and messages on WebSockets.
    requests: Rates<Address>,
    /// Guest sign-ins, per second and per day.
    sign_ins: Arc<[Rates<IpAddr>]>,
    /// Queries that run.
    executions: Turns<Address>,
    /// Request bodies and answers that wait for their clients.
    waiting: Arc<quota::Bytes<Address>>,
    /// WebSockets, streams and reservations.
    connections: Arc<Slots<Address>>,
    connections_by_user: Arc<Slots<UserId>>,
    /// Peers are trusted proxies. The proxies are not counted; their clients are.
    peers_are_proxies: bool,
}

/// Whether an operation waits for others before it runs.
pub(crate) fn needs_permit(prepared: &Prepared) -> bool {
    prepared.kind() == OperationType::Query && !prepared.may_wait()
}

/// Memory for bytes that wait for a client. Dropping it gives the memory back.
pub(crate) type WaitingBytes = quota::ByteShare<Address>;

/// Bytes that wait for a client. Their memory is counted until the last copy is dropped, wherever
/// the HTTP library keeps it.
struct Counted {
    bytes: Vec<u8>,
    _waiting: WaitingBytes,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Makes a body of bytes whose memory was counted.
pub(crate) fn counted(bytes: Vec<u8>, waiting: WaitingBytes) -> Bytes {
    if waiting.held() == 0 {
        return bytes.into();
    }
    Bytes::from_owner(Counted {
        bytes,
        _waiting: waiting,
    })
}

/// Bodies and answers of at most this length are not counted.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// A connection that was admitted.
pub(crate) struct Inbound {
    pub(crate) peer: IpAddr,
    /// The address exceeded its connection rate: every request is answered with an error.
    pub(crate) is_refused: bool,
    /// The peer is a trusted proxy, and the connection may carry requests of several clients.
    pub(crate) is_proxy: bool,
    /// Held until the first request.
    pub(crate) handshake: quota::Slot<Address>,
    /// Held until the connection ends or becomes a WebSocket.
    pub(crate) http: quota::Slot<Address>,
}

/// A request extension: the client is refused a slot because its address exceeded its connection
/// rate ([`Inbound::is_refused`]), or because a WebSocket request exceeded a request rate.
#[derive(Clone, Copy)]
pub(crate) struct ConnectRateExceeded;

/// A request extension: the connection exceeded its request rate. Holds the time to wait.
#[derive(Clone, Copy)]
pub(crate) struct RequestRateExceeded(pub(crate) Duration);

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmissionError {
    /// `connections_max` is reached. Retry later.
    ServerFull,
    /// `connections_per_address_max` is reached. Close another connection, then retry.
    AddressFull,
    /// `connections_per_user_max` is reached. Close another connection, then retry.
    UserFull,
    /// `waiting_bytes_per_address_max` is reached. Read the answers that wait, then retry.
    AddressWaiting,
    /// `waiting_bytes_max` is reached. Retry later.
    ServerWaiting,
    /// `connects_per_second_per_address_max` is exceeded. Retry after this time.
    ConnectRate(Duration),
}

impl AdmissionError {
    /// The close of a WebSocket that is refused.
    pub(crate) fn close(self) -> Close {
        match self {
            Self::ServerFull | Self::ServerWaiting | Self::AddressWaiting => Close::TryAgainLater,
            Self::AddressFull | Self::UserFull | Self::ConnectRate(_) => Close::TooManyConnections,
        }
    }

    /// The sentence for the client. For a limit of the client's own, also the time to wait.
    fn explanation(self) -> (&'static str, Option<Duration>) {
        let soon = Some(SLOT_RETRY_AFTER);
        match self {
            Self::ServerFull => ("The server has too many open connections; try again.", None),
            Self::AddressFull => ("Your address has too many open connections.", soon),
            Self::UserFull => ("You have too many open connections.", soon),
            Self::AddressWaiting => (
                "Too many bytes wait for your address: read the answers to earlier requests.",
                soon,
            ),
            Self::ServerWaiting => ("Too many bytes wait for clients; try again.", None),
            Self::ConnectRate(wait) => ("Your address connects too often.", Some(wait)),
        }
    }

    /// The error of an operation that is refused.
    pub(crate) fn error(self) -> ApiError {
        match self.explanation() {
            (message, Some(wait)) => ApiError::rate_limited(message, wait),
            (message, None) => ApiError::new(Code::Unavailable, message),
        }
    }

    /// The HTTP reply to a request that is refused.
    pub(crate) fn reply(self, media: Media) -> Reply {
        match self.explanation() {
            (message, Some(wait)) => Reply::rate_limited(media, message, wait),
            (_, None) => Reply::later(media, &[self.error().into()]),
        }
    }
}

impl Admission {
    pub(crate) fn new(limits: &TransportLimits, proxies_trusted: usize) -> Self {
        let peers_are_proxies = proxies_trusted > 0;
        let per_peer = |most: usize| if peers_are_proxies { 0 } else { most };
        Self {
            http_connections: Slots::new(
                per_peer(limits.http_connections_per_address_max),
                limits.http_connections_max,
            ),
            handshakes: Slots::new(
                per_peer(limits.handshakes_per_address_max),
                limits.handshakes_max,
            ),
            connects: Rates::new(limits.connects_per_address()),
            refusals: Rates::new(limits.connects_per_address()),
            requests: Rates::new(limits.requests_per_address()),
            sign_ins: [
                Rates::new(limits.sign_ins_per_address()),
                Rates::new(limits.sign_ins_per_address_and_day()),
            ]
            .into(),
            executions: Turns::new(
                limits.queries_running_per_address_max,
                limits.queries_running_max,
            ),
            waiting: quota::Bytes::new(
                limits.waiting_bytes_per_address_max,
                limits.waiting_bytes_max,
            ),
            connections: Slots::new(limits.connections_per_address_max, limits.connections_max),
            connections_by_user: Slots::new(limits.connections_per_user_max, 0),
            peers_are_proxies,
        }
    }

    /// Admits a new connection. None if it must be closed at once.
    pub(crate) fn admit(&self, peer: IpAddr, now: Instant) -> Option<Inbound> {
        let address = Address::from(peer);
        let http = self.http_connections.take(address).ok()?;
        let handshake = self.handshakes.take(address).ok()?;
        let is_refused = !self.peers_are_proxies && self.connects.take(address, now).is_err();
        if is_refused {
            self.refusals.take(address, now).ok()?;
        }
        Some(Inbound {
            peer,
            is_refused,
            is_proxy: self.peers_are_proxies,
            handshake,
            http,
        })
    }

    /// Charges one request, or one WebSocket message, to an address. The error is the time to wait.
    pub(crate) fn take_request(
        &self,
        address: Option<Address>,
        now: Instant,
    ) -> Result<(), Duration> {
        address.map_or(Ok(()), |address| self.requests.take(address, now))
    }

    /// Waits until an operation of this address may run. Mutations wait in the queue of the writer
    /// instead, and long polls have a limit of their own.
    pub(crate) async fn admit_execution(
        &self,
        address: Option<Address>,
        prepared: &Prepared,
    ) -> Option<Turn<Address>> {
        if needs_permit(prepared) {
            Some(self.executions.take(address).await)
        } else {
            None
        }
    }

    /// Takes memory for a request body, or for an answer that waits for its client. Short ones are
    /// not counted: the number of connections and streams bounds them.
    pub(crate) fn take_waiting(
        &self,
        address: Option<Address>,
        bytes: usize,
    ) -> Result<WaitingBytes, AdmissionError> {
        if bytes <= UNCOUNTED_BYTES {
            return Ok(self.waiting.share());
        }
        let share = self.waiting.take(address, bytes);
        share.map_err(|bound| match bound {
            Exhausted::Key => AdmissionError::AddressWaiting,
            Exhausted::All => AdmissionError::ServerWaiting,
        })
    }

    /// Refuses new work of an address for which too much waits already.
    pub(crate) fn check_waiting(&self, address: Option<Address>) -> Result<(), AdmissionError> {
        self.take_waiting(address, UNCOUNTED_BYTES + 1).map(|_| ())
    }

    /// The guest sign-ins that an address has left.
    pub(crate) fn sign_ins(&self, address: Option<Address>) -> AddressAllowance {
        address.map_or_else(AddressAllowance::default, |address| {
            AddressAllowance::of(&self.sign_ins, address.into())
        })
    }

    /// The number of open HTTP connections.
    pub(crate) fn http_connections(&self) -> usize {
        self.http_connections.in_use()
    }

    /// The number of connections that have not sent a request yet.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.in_use()
    }

    /// The number of open WebSockets, streams and reservations.
    pub(crate) fn connections(&self) -> usize {
        self.connections.in_use()
    }

    /// The number of slots that are charged to users.
    pub(crate) fn slots_charged(&self) -> usize {
        self.connections_by_user.in_use()
    }
}

/// The facts about a request that decide whether its client gets a slot.
pub(crate) struct SlotRequest {
    address: Option<Address>,
    /// The connection rate was charged already, when the client connected.
    connect_is_charged: bool,
    is_refused: bool,
}

impl SlotRequest {
    pub(crate) fn of(parts: &Parts, proxies_trusted: usize) -> Self {
        Self {
            address: Address::of(&parts.extensions, &parts.headers, proxies_trusted),
            // Many clients share the connection of a proxy, and many streams one HTTP/2 connection.
            connect_is_charged: proxies_trusted == 0 && parts.version != Version::HTTP_2,
            is_refused: parts.extensions.get::<ConnectRateExceeded>().is_some(),
        }
    }
}

/// One of `connections_max`: held by a WebSocket, a stream, or a reserved stream.
pub(crate) struct ConnectionSlot {
    admission: Arc<Admission>,
    slot: quota::Slot<Address>,
    of_user: Option<quota::Slot<UserId>>,
    _activity: Option<Arc<ActivityGuard>>,
}

impl ConnectionSlot {
    /// Takes a slot, charged to the client's address.
    pub(crate) fn take(
        admission: &Arc<Admission>,
        request: SlotRequest,
    ) -> Result<Self, AdmissionError> {
        if request.is_refused {
            return Err(AdmissionError::ConnectRate(SLOT_RETRY_AFTER));
        }
        let address = request.address;
        if let Some(address) = address.filter(|_| !request.connect_is_charged) {
            let charged = admission.connects.take(address, Instant::now());
            charged.map_err(AdmissionError::ConnectRate)?;
        }
        let slot = admission.connections.take(address);
        Ok(Self {
            admission: admission.clone(),
            slot: slot.map_err(|bound| match bound {
                Exhausted::Key => AdmissionError::AddressFull,
                Exhausted::All => AdmissionError::ServerFull,
            })?,
            of_user: None,
            _activity: None,
        })
    }

    /// The address that the slot is charged to.
    pub(crate) fn address(&self) -> Option<Address> {
        self.slot.key().copied()
    }

    /// Returns the slot, charged to the caller as well.
    pub(crate) fn assigned_to(mut self, caller: Caller) -> Result<Self, AdmissionError> {
        self.assign(caller).map(|()| self)
    }

    /// Returns the slot. Its HTTP connection counts as in use until the slot is dropped.
    pub(crate) fn holding(mut self, activity: Option<Arc<ActivityGuard>>) -> Self {
        self._activity = activity;
        self
    }

    /// Charges the slot to the caller as well, if the caller is a user.
    pub(crate) fn assign(&mut self, caller: Caller) -> Result<(), AdmissionError> {
        if let Some(user) = caller.user() {
            // The slot of the previous user is returned first: it may be the same user again.
            self.of_user = None;
            let of_user = self.admission.connections_by_user.take(user);
            self.of_user = Some(of_user.map_err(|_| AdmissionError::UserFull)?);
        }
        Ok(())
    }
}
