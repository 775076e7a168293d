//! Who may come in: how many and how often, in all, by address and by user.
//!
//! Twice a client can be one too many. When it connects: then nothing is known but its address, and it must cost next to
//! nothing. And when it opens a WebSocket or a stream, or reserves one: then it hears a code that tells it when to come back.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::{Version, request::Parts};

use crate::{
    domain::{Caller, UserId},
    protocol::Close,
    quota::{self, AddressAllowance, Exhausted, Rates, Slots},
    transport::{Shared, TransportLimits, admission::address::Address, listen::idle::Busy},
};

/// After how long one may come back who has to wait for others to leave.
pub(crate) const LEAVING_WAIT: Duration = Duration::from_secs(1);

/// What is counted of everybody who is here.
pub(crate) struct Admission {
    /// Connections of HTTP, whatever they do.
    https: Arc<Slots<Address>>,
    /// Those of them that have not asked for anything yet.
    handshakes: Arc<Slots<Address>>,
    connects: Rates<Address>,
    /// How often one who connects too often is told so; past it the connection is closed without a word.
    words: Rates<Address>,
    requests: Rates<Address>,
    sign_ins: Arc<Rates<IpAddr>>,
    /// Open WebSockets and streams, and reservations of one.
    connections: Arc<Slots<Address>>,
    by_user: Arc<Slots<UserId>>,
    /// Peers are proxies: they are not counted, their clients are.
    peers_trusted: bool,
}

/// A connection that was let in, until it asks for something.
pub(crate) struct Inbound {
    pub(crate) peer: IpAddr,
    /// It came too often: it is served nothing but a word.
    pub(crate) turned_away: bool,
    /// The peer is a trusted proxy, and the connection may carry requests of several clients.
    pub(crate) is_proxy: bool,
    pub(crate) handshake: quota::Slot<Address>,
    /// Until the connection ends or becomes a WebSocket.
    pub(crate) http: quota::Slot<Address>,
}

/// In the extensions of the requests of one that is served nothing but a word.
#[derive(Clone, Copy)]
pub(crate) struct TurnedAway;

/// In the extensions of a request that came too soon after others of its connection: how long to wait.
#[derive(Clone, Copy)]
pub(crate) struct TooFast(pub(crate) Duration);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// `connections_max` is reached.
    Server,
    /// `connections_per_address_max` is reached.
    Address,
    /// `connections_per_user_max` is reached.
    User,
    /// `connects_per_second_per_address_max` is exceeded; how long to wait.
    TooOften(Duration),
}

impl Full {
    pub(crate) fn close(self) -> Close {
        match self {
            Self::Server => Close::TryAgainLater,
            Self::Address | Self::User | Self::TooOften(_) => Close::TooManyConnections,
        }
    }
}

impl Admission {
    pub(crate) fn new(limits: &TransportLimits, proxies_trusted: usize) -> Self {
        let peers_trusted = proxies_trusted > 0;
        let of_each = |most: usize| if peers_trusted { 0 } else { most };
        Self {
            https: Slots::new(
                of_each(limits.http_connections_per_address_max),
                limits.http_connections_max,
            ),
            handshakes: Slots::new(
                of_each(limits.handshakes_per_address_max),
                limits.handshakes_max,
            ),
            connects: Rates::new(limits.connects_per_address()),
            words: Rates::new(limits.connects_per_address()),
            requests: Rates::new(limits.requests_per_address()),
            sign_ins: Arc::new(Rates::new(limits.sign_ins_per_address())),
            connections: Slots::new(limits.connections_per_address_max, limits.connections_max),
            by_user: Slots::new(limits.connections_per_user_max, 0),
            peers_trusted,
        }
    }

    /// Lets a connection in, or does not: then it is to be closed at once.
    pub(crate) fn greet(&self, peer: IpAddr, now: Instant) -> Option<Inbound> {
        let address = Address::from(peer);
        let http = self.https.take(address).ok()?;
        let handshake = self.handshakes.take(address).ok()?;
        let turned_away = !self.peers_trusted && self.connects.take(address, now).is_err();
        if turned_away {
            self.words.take(address, now).ok()?;
        }
        Some(Inbound {
            peer,
            turned_away,
            is_proxy: self.peers_trusted,
            handshake,
            http,
        })
    }

    /// Takes one request of this address's, or one message on one of its WebSockets; or tells how long to wait for it.
    pub(crate) fn ask(&self, address: Option<Address>, now: Instant) -> Result<(), Duration> {
        address.map_or(Ok(()), |address| self.requests.take(address, now))
    }

    /// The guests that may be signed in from there.
    pub(crate) fn sign_ins(&self, address: Option<Address>) -> AddressAllowance {
        address.map_or_else(AddressAllowance::default, |address| {
            AddressAllowance::of(&self.sign_ins, address.into())
        })
    }

    /// How many connections of HTTP there are.
    pub(crate) fn https(&self) -> usize {
        self.https.taken()
    }

    /// How many connections have not asked for anything yet.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.taken()
    }

    /// How many WebSockets and streams are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.taken()
    }

    /// How many slots of users are taken.
    pub(crate) fn counted(&self) -> usize {
        self.by_user.taken()
    }
}

/// What must be known of a request to give its client a place.
pub(crate) struct Client {
    address: Option<Address>,
    /// It was counted when it connected already.
    connected: bool,
    turned_away: bool,
}

impl Client {
    pub(crate) fn of(parts: &Parts, proxies_trusted: usize) -> Self {
        Self {
            address: Address::of(&parts.extensions, &parts.headers, proxies_trusted),
            // One connection of HTTP/2, and one of a proxy's, stands for many.
            connected: proxies_trusted == 0 && parts.version != Version::HTTP_2,
            turned_away: parts.extensions.get::<TurnedAway>().is_some(),
        }
    }
}

/// One of `connections_max`: the place of a WebSocket, of a stream, or of a reservation of one.
pub(crate) struct ConnectionSlot {
    shared: Arc<Shared>,
    address: Option<Address>,
    _slot: quota::Slot<Address>,
    of_user: Option<quota::Slot<UserId>>,
    _busy: Option<Arc<Busy>>,
}

impl ConnectionSlot {
    pub(crate) fn take(shared: &Arc<Shared>, client: Client) -> Result<Self, Full> {
        if client.turned_away {
            return Err(Full::TooOften(LEAVING_WAIT));
        }
        let admission = &shared.admission;
        if let Some(address) = client.address.filter(|_| !client.connected) {
            admission
                .connects
                .take(address, Instant::now())
                .map_err(Full::TooOften)?;
        }
        let slot = admission.connections.take(client.address);
        Ok(Self {
            shared: shared.clone(),
            address: client.address,
            _slot: slot.map_err(|bound| match bound {
                Exhausted::Key => Full::Address,
                Exhausted::All => Full::Server,
            })?,
            of_user: None,
            _busy: None,
        })
    }

    /// Whose place it is.
    pub(crate) fn address(&self) -> Option<Address> {
        self.address
    }

    /// The same as one of this user's, now that it is known who it is.
    pub(crate) fn taken_by(mut self, caller: Caller) -> Result<Self, Full> {
        self.belongs_to(caller).map(|()| self)
    }

    /// The same; its connection is in use while this is.
    pub(crate) fn on(mut self, busy: Option<Arc<Busy>>) -> Self {
        self._busy = busy;
        self
    }

    /// It is one of this user's from now on, if he may have one more.
    pub(crate) fn belongs_to(&mut self, caller: Caller) -> Result<(), Full> {
        if let Some(user) = caller.user() {
            // Given back first: it may be the same user again.
            self.of_user = None;
            let slot = self.shared.admission.by_user.take(user);
            self.of_user = Some(slot.map_err(|_| Full::User)?);
        }
        Ok(())
    }
}
