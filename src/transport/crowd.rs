//! Who may come in: how many and how often, in all, by address and by user.
//!
//! Twice a client can be one too many. When it connects: then nothing is known but its address, and it must cost next to
//! nothing. And when it opens a WebSocket or a stream, or reserves one: then it hears a code that tells it when to come back.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::http::{Version, request::Parts};

use super::{Shared, TransportLimits, activity::Busy, address::Address};
use crate::{
    domain::{UserId, Who},
    protocol::Close,
    quota::{self, Rates, Seats, Share},
};

/// After how long one may come back who has to wait for others to leave.
pub(super) const LEAVING_WAIT: Duration = Duration::from_secs(1);

/// What is counted of everybody who is here.
pub(super) struct Crowd {
    /// Connections of HTTP, whatever they do.
    https: Arc<Seats<Address>>,
    /// Those of them that have not asked for anything yet.
    handshakes: Arc<Seats<Address>>,
    connects: Rates<Address>,
    /// How often one who connects too often is told so; past it the connection is closed without a word.
    words: Rates<Address>,
    requests: Rates<Address>,
    sign_ins: Arc<Rates<IpAddr>>,
    by_address: Arc<Seats<Address>>,
    by_user: Arc<Seats<UserId>>,
    /// Peers are proxies: they are not counted, their clients are.
    peers_trusted: bool,
}

/// A connection that was let in, until it asks for something.
pub(super) struct Guest {
    pub(super) peer: IpAddr,
    /// It came too often: it is served nothing but a word.
    pub(super) turned_away: bool,
    /// The peer is a trusted proxy, and the connection may carry requests of several clients.
    pub(super) is_proxy: bool,
    pub(super) handshake: quota::Seat<Address>,
    /// Until the connection ends or becomes a WebSocket.
    pub(super) http: quota::Seat<Address>,
}

/// In the extensions of the requests of one that is served nothing but a word.
#[derive(Clone, Copy)]
pub(super) struct TurnedAway;

/// In the extensions of a request that came too soon after others of its connection: how long to wait.
#[derive(Clone, Copy)]
pub(super) struct TooFast(pub(super) Duration);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
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
    pub(super) fn close(self) -> Close {
        match self {
            Self::Server => Close::TryAgainLater,
            Self::Address | Self::User | Self::TooOften(_) => Close::TooManyConnections,
        }
    }
}

impl Crowd {
    pub(super) fn new(limits: &TransportLimits, proxies_trusted: usize) -> Self {
        let peers_trusted = proxies_trusted > 0;
        let of_each = |most: usize| if peers_trusted { 0 } else { most };
        Self {
            https: Seats::new(
                of_each(limits.http_connections_per_address_max),
                limits.http_connections_max,
            ),
            handshakes: Seats::new(
                of_each(limits.handshakes_per_address_max),
                limits.handshakes_max,
            ),
            connects: Rates::new(limits.connects_per_address()),
            words: Rates::new(limits.connects_per_address()),
            requests: Rates::new(limits.requests_per_address()),
            sign_ins: Arc::new(Rates::new(limits.sign_ins_per_address())),
            by_address: Seats::new(limits.connections_per_address_max, 0),
            by_user: Seats::new(limits.connections_per_user_max, 0),
            peers_trusted,
        }
    }

    /// Lets a connection in, or does not: then it is to be closed at once.
    pub(super) fn greet(&self, peer: IpAddr, now: Instant) -> Option<Guest> {
        let address = Address::from(peer);
        let http = self.https.take(address)?;
        let handshake = self.handshakes.take(address)?;
        let turned_away = !self.peers_trusted && self.connects.take(address, now).is_err();
        if turned_away {
            self.words.take(address, now).ok()?;
        }
        Some(Guest {
            peer,
            turned_away,
            is_proxy: self.peers_trusted,
            handshake,
            http,
        })
    }

    /// Takes one request of this address's, or one message on one of its WebSockets; or tells how long to wait for it.
    pub(super) fn ask(&self, address: Option<Address>, now: Instant) -> Result<(), Duration> {
        address.map_or(Ok(()), |address| self.requests.take(address, now))
    }

    /// The guests that may be signed in from there.
    pub(super) fn sign_ins(&self, address: Option<Address>) -> Share {
        address.map_or_else(Share::default, |address| {
            Share::of(&self.sign_ins, address.into())
        })
    }

    /// How many connections of HTTP there are.
    pub(super) fn https(&self) -> usize {
        self.https.taken()
    }

    /// How many connections have not asked for anything yet.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes.taken()
    }

    /// How many places are counted by somebody's address or user.
    pub(super) fn counted(&self) -> usize {
        self.by_address.taken() + self.by_user.taken()
    }
}

/// What must be known of a request to give its client a place.
pub(super) struct Client {
    address: Option<Address>,
    /// It was counted when it connected already.
    connected: bool,
    turned_away: bool,
}

impl Client {
    pub(super) fn of(parts: &Parts, proxies_trusted: usize) -> Self {
        Self {
            address: Address::of(&parts.extensions, &parts.headers, proxies_trusted),
            // One connection of HTTP/2, and one of a proxy's, stands for many.
            connected: proxies_trusted == 0 && parts.version != Version::HTTP_2,
            turned_away: parts.extensions.get::<TurnedAway>().is_some(),
        }
    }
}

/// One of `connections_max`: the place of a WebSocket, of a stream, or of a reservation of one.
pub(super) struct Seat {
    shared: Arc<Shared>,
    address: Option<Address>,
    _of_address: Option<quota::Seat<Address>>,
    of_user: Option<quota::Seat<UserId>>,
    _busy: Option<Arc<Busy>>,
}

impl Seat {
    pub(super) fn take(shared: &Arc<Shared>, client: Client) -> Result<Self, Full> {
        if client.turned_away {
            return Err(Full::TooOften(LEAVING_WAIT));
        }
        let crowd = &shared.crowd;
        if let Some(address) = client.address.filter(|_| !client.connected) {
            crowd
                .connects
                .take(address, Instant::now())
                .map_err(Full::TooOften)?;
        }
        let of_address = client
            .address
            .map(|address| crowd.by_address.take(address).ok_or(Full::Address))
            .transpose()?;
        let taken = shared.connections.fetch_add(1, Ordering::AcqRel);
        let address = client.address;
        let seat = Self {
            shared: shared.clone(),
            address,
            _of_address: of_address,
            of_user: None,
            _busy: None,
        };
        let most = shared.limits.connections_max;
        if most == 0 || taken < most {
            Ok(seat)
        } else {
            Err(Full::Server)
        }
    }

    /// Whose place it is.
    pub(super) fn address(&self) -> Option<Address> {
        self.address
    }

    /// The same as one of this user's, now that it is known who it is.
    pub(super) fn taken_by(mut self, who: Who) -> Result<Self, Full> {
        self.belongs_to(who).map(|()| self)
    }

    /// The same; its connection is in use while this is.
    pub(super) fn on(mut self, busy: Option<Arc<Busy>>) -> Self {
        self._busy = busy;
        self
    }

    /// It is one of this user's from now on, if he may have one more.
    pub(super) fn belongs_to(&mut self, who: Who) -> Result<(), Full> {
        if let Some(user) = who.user() {
            // Given back first: it may be the same user again.
            self.of_user = None;
            self.of_user = Some(self.shared.crowd.by_user.take(user).ok_or(Full::User)?);
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::AcqRel);
    }
}
