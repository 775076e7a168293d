//! Accepts connections and speaks HTTP on them, both versions on one port.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::Request, http::Version, response::Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    quota::{self, Allowance, Rate},
    transport::{
        Shared, TransportLimits,
        admission::{
            address::{Address, Peer},
            slots::{ConnectRateExceeded, Inbound, RequestRateExceeded},
        },
        listen::{http2_stall::Streams, idle, idle::Activity, tls::Tls, write_timeout::Timed},
    },
};

/// How long to wait when no connection can be accepted, which is when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that wait to be sent on one stream of HTTP/2 before its sender has to wait.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;

/// Bytes that a client may send on one stream of HTTP/2 before they are read; and on all of a connection.
const STREAM_UNREAD_BYTES_MAX: u32 = 128 * 1024;
const CONNECTION_UNREAD_BYTES_MAX: u32 = 512 * 1024;

/// Streams of one connection of HTTP/2 that a client has reset before they were looked at; one more, and the connection ends.
const RESETS_PENDING_MAX: usize = 20;

/// Streams of one connection of HTTP/2 that had to be reset for what the client did, in its whole life; one more, and the
/// connection ends.
const RESETS_FOR_ERRORS_MAX: usize = 1024;

/// Serves connections until told to stop; then it closes the port and waits for the requests that run (R1).
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    app: Router,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let limits = shared.limits;
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                // One that is not let in is closed by this, which is all that it costs.
                let Some(guest) = shared.admission.admit(peer.ip(), Instant::now()) else {
                    continue;
                };
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection without TCP_NODELAY");
                }
                let stream = Timed::new(stream, limits.write_timeout);
                let (app, stop) = (app.clone(), stop.clone());
                match &tls {
                    None => connections.spawn(serve_connection(stream, app, limits, guest, stop)),
                    Some(tls) => connections.spawn(serve_over_tls(
                        tls.clone(),
                        stream,
                        app,
                        limits,
                        guest,
                        stop,
                    )),
                };
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Serves one connection once the handshake is done. One that does not speak TLS is closed without a word in the log.
async fn serve_over_tls(
    tls: Arc<Tls>,
    stream: Timed<TcpStream>,
    app: Router,
    limits: TransportLimits,
    guest: Inbound,
    stop: CancellationToken,
) {
    match stop
        .run_until_cancelled(tls.accept(stream, limits.header_timeout))
        .await
    {
        Some(Ok(stream)) => serve_connection(stream, app, limits, guest, stop).await,
        Some(Err(error)) => tracing::debug!(%error, "a client did not get through the handshake"),
        None => {}
    }
}

/// Serves one connection, whatever it runs over. It ends when it became a WebSocket; that is a task of its own.
pub(crate) async fn serve_connection<S>(
    stream: S,
    app: Router,
    limits: TransportLimits,
    guest: Inbound,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let desk = Desk::new(app, guest, &limits, activity.clone());
    let is_refused = desk.is_refused;
    let service = hyper::service::service_fn(move |request| desk.answer(request));
    let builder = builder(&limits);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // The library times the heads of HTTP/1 only once it knows that it is HTTP/1; a client may never let it know.
    let mut first_due = pin!(tokio::time::sleep(limits.header_timeout));
    let mut idle = pin!(tokio::time::sleep(limits.idle_timeout));
    let (mut watched, mut stopping, mut leaving) = (!limits.header_timeout.is_zero(), false, false);
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error, "a connection ended early");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = first_due.as_mut(), if watched => {
                watched = false;
                // Who came too often has heard so by now, and is not kept.
                if is_refused || !activity.was_asked() {
                    return;
                }
            }
            () = idle.as_mut(), if !limits.idle_timeout.is_zero() => {
                let (now, idle_at) = (tokio::time::Instant::now(), activity.idle_at(limits.idle_timeout));
                if idle_at > now {
                    idle.as_mut().reset(idle_at);
                } else if leaving {
                    // It was asked to end and does not: over HTTP/2 that needs the client's answer.
                    return;
                } else {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                    idle.as_mut().reset(now + limits.pong_timeout);
                }
            }
        }
    }
}

/// Where the requests of one connection are taken in.
struct Desk {
    app: TowerToHyperService<Router>,
    peer: Peer,
    is_refused: bool,
    /// Given back when something is asked for.
    handshake: Mutex<Option<quota::Slot<Address>>>,
    _http: quota::Slot<Address>,
    activity: Arc<Activity>,
    /// How often this connection may ask.
    requests: Rate,
    pace: Mutex<Allowance>,
}

impl Desk {
    fn new(app: Router, guest: Inbound, limits: &TransportLimits, activity: Arc<Activity>) -> Self {
        let Inbound {
            peer,
            is_refused,
            handshake,
            http,
        } = guest;
        // A connection of a proxy's is not one client's: its clients are counted by their addresses.
        let requests = if limits.proxies_trusted > 0 {
            Rate::UNLIMITED
        } else {
            limits.requests
        };
        Self {
            app: TowerToHyperService::new(app),
            peer: Peer(peer),
            is_refused,
            handshake: Mutex::new(Some(handshake)),
            _http: http,
            activity,
            requests,
            pace: Mutex::default(),
        }
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let (busy, first) = self.activity.ask();
        if first {
            self.handshake
                .lock()
                .expect("no panic under this lock")
                .take();
        }
        let extensions = request.extensions_mut();
        extensions.insert(self.peer);
        extensions.insert(busy.clone());
        if self.is_refused {
            extensions.insert(ConnectRateExceeded);
        }
        if let Err(wait) = self
            .pace
            .lock()
            .expect("no panic under this lock")
            .take(self.requests, Instant::now())
        {
            extensions.insert(RequestRateExceeded(wait));
        }
        let is_stream = request.version() == Version::HTTP_2;
        let answer = self.app.call(request);
        async move {
            let answer = answer.await?;
            Ok(if is_stream {
                idle::until_taken(answer, busy)
            } else {
                idle::until_sent(answer, busy)
            })
        }
    }
}

/// Every limit is set here (T3).
fn builder(limits: &TransportLimits) -> Builder<Streams> {
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    let mut builder = Builder::new(Streams {
        write_timeout: limits.write_timeout,
    });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(some(limits.header_timeout))
        .max_buf_size(limits.header_bytes_max)
        .max_headers(headers_max(limits));
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .initial_stream_window_size(STREAM_UNREAD_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_UNREAD_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_FOR_ERRORS_MAX)
        .keep_alive_interval(some(limits.ping_interval))
        .keep_alive_timeout(limits.pong_timeout);
    builder
}

/// How many headers are looked for; a header takes four bytes at least.
fn headers_max(limits: &TransportLimits) -> usize {
    if limits.headers_max == 0 {
        limits.header_bytes_max / 4
    } else {
        limits.headers_max
    }
}

fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
