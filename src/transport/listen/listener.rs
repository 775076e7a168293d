//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, on one port.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Version, header},
    response::Response,
};
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
    limit::unless_zero,
    quota::{self, Allowance, Rate},
    sync::Mutex,
    transport::{
        Gatekeeper, TransportLimits,
        admission::{
            activity::Activity,
            address::{Address, Peer},
            slots::{ConnectRateExceeded, Inbound, RequestRateExceeded},
        },
        listen::{
            half_close::HalfClose, http2_stall::StreamExecutor, tls::Tls, tracked_body,
            write_timeout::WriteTimeout,
        },
    },
};

/// The pause after a failure to accept. The usual cause is that the process has no file descriptor
/// left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that wait to be sent on one HTTP/2 stream. Beyond that the writer waits.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;

/// Bytes that a client may send on one HTTP/2 stream before the server reads them.
const STREAM_UNREAD_BYTES_MAX: u32 = 128 * 1024;
/// Bytes that a client may send on all streams of one HTTP/2 connection before the server reads
/// them.
const CONNECTION_UNREAD_BYTES_MAX: u32 = 512 * 1024;

/// HTTP/2 streams of one connection that the client may have reset before the server accepted them.
/// One more ends the connection.
const RESETS_PENDING_MAX: usize = 20;

/// HTTP/2 streams that the server may reset for errors of the client, in the life of a connection.
/// One more ends the connection.
const RESETS_FOR_ERRORS_MAX: usize = 1024;

/// Serves connections until `stop` is cancelled. Then it closes the port and waits for the requests
/// in progress (R1).
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    app: Router,
    gatekeeper: Gatekeeper,
    stop: CancellationToken,
) {
    let limits = gatekeeper.limits;
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                // A connection that is not admitted is closed here, at almost no cost.
                let Some(inbound) = gatekeeper.admission.admit(peer.ip(), Instant::now()) else {
                    continue;
                };
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                let stream = WriteTimeout::new(stream, limits.write_timeout);
                let (app, stop) = (app.clone(), stop.clone());
                match &tls {
                    None => connections.spawn(serve_connection(stream, app, limits, inbound, stop)),
                    Some(tls) => connections.spawn(serve_over_tls(
                        tls.clone(),
                        stream,
                        app,
                        limits,
                        inbound,
                        stop,
                    )),
                };
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Serves one connection after the TLS handshake. A failed handshake is logged at level debug only:
/// scanners cause many.
async fn serve_over_tls(
    tls: Arc<Tls>,
    stream: WriteTimeout<TcpStream>,
    app: Router,
    limits: TransportLimits,
    inbound: Inbound,
    stop: CancellationToken,
) {
    match stop
        .run_until_cancelled(tls.accept(stream, limits.header_timeout))
        .await
    {
        Some(Ok(stream)) => serve_connection(stream, app, limits, inbound, stop).await,
        Some(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        None => {}
    }
}

/// Serves one connection, with or without TLS. It returns when the connection has become a
/// WebSocket, which runs in a task of its own.
async fn serve_connection<S>(
    stream: S,
    app: Router,
    limits: TransportLimits,
    inbound: Inbound,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let stream = HalfClose::new(stream, activity.clone(), limits.half_close_timeout);
    let service = ConnectionService::new(app, inbound, &limits, activity.clone());
    let is_refused = service.is_refused;
    let service = hyper::service::service_fn(move |request| service.answer(request));
    let builder = builder(&limits);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // The library limits the time for a head only after it has detected HTTP/1. A client may never
    // send enough for that.
    let mut first_due = pin!(tokio::time::sleep(limits.header_timeout));
    let mut idle = pin!(tokio::time::sleep(limits.idle_timeout));
    let (mut watched, mut stopping, mut leaving) = (!limits.header_timeout.is_zero(), false, false);
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error, "a connection ended with an error");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = first_due.as_mut(), if watched => {
                watched = false;
                // A client beyond its connection rate has had its answer by now.
                if is_refused || !activity.was_used() {
                    return;
                }
            }
            () = idle.as_mut(), if !limits.idle_timeout.is_zero() => {
                let (now, idle_at) = (tokio::time::Instant::now(), activity.idle_at(limits.idle_timeout));
                if idle_at > now {
                    idle.as_mut().reset(idle_at);
                } else if leaving {
                    // The graceful shutdown did not finish: over HTTP/2 it needs the client's
                    // answer.
                    return;
                } else {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                    idle.as_mut().reset(now + unless_zero(limits.pong_timeout));
                }
            }
        }
    }
}

/// Adds the facts about one connection to its requests, and passes them to the router.
struct ConnectionService {
    app: TowerToHyperService<Router>,
    peer: Peer,
    is_refused: bool,
    /// Released by the first request.
    handshake: Mutex<Option<quota::Slot<Address>>>,
    _http: quota::Slot<Address>,
    activity: Arc<Activity>,
    /// The rate limit of this connection's requests.
    request_rate: Rate,
    request_allowance: Mutex<Allowance>,
}

impl ConnectionService {
    fn new(
        app: Router,
        inbound: Inbound,
        limits: &TransportLimits,
        activity: Arc<Activity>,
    ) -> Self {
        let Inbound {
            peer,
            is_refused,
            is_proxy,
            handshake,
            http,
        } = inbound;
        // Many clients share the connection of a proxy. They are limited by their addresses
        // instead.
        let request_rate = if is_proxy {
            Rate::UNLIMITED
        } else {
            limits.requests()
        };
        Self {
            app: TowerToHyperService::new(app),
            peer: Peer(peer),
            is_refused,
            handshake: Mutex::new(Some(handshake)),
            _http: http,
            activity,
            request_rate,
            request_allowance: Mutex::default(),
        }
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let (activity, is_first) = self.activity.begin();
        if is_first {
            self.handshake.lock().take();
        }
        let extensions = request.extensions_mut();
        extensions.insert(self.peer);
        extensions.insert(activity.clone());
        if self.is_refused {
            extensions.insert(ConnectRateExceeded);
        }
        if let Err(wait) = self
            .request_allowance
            .lock()
            .take(self.request_rate, Instant::now())
        {
            extensions.insert(RequestRateExceeded(wait));
        }
        let is_http2 = request.version() == Version::HTTP_2;
        let is_connect = request.method() == Method::CONNECT;
        let answer = self.app.call(request);
        async move {
            let answer = answer.await?;
            if is_connect || lasts(&answer) {
                activity.owe_nothing();
            }
            Ok(if is_http2 {
                tracked_body::hold_until_taken(answer, activity)
            } else {
                tracked_body::hold_until_sent(answer, activity)
            })
        }
    }
}

/// Whether a response is no single answer: a WebSocket, or a stream.
fn lasts(response: &Response) -> bool {
    let is_stream = |media: &HeaderValue| {
        let media = media.as_bytes();
        media.starts_with(b"text/event-stream") || media.starts_with(b"multipart/")
    };
    let media = response.headers().get(header::CONTENT_TYPE);
    response.status() == StatusCode::SWITCHING_PROTOCOLS || media.is_some_and(is_stream)
}

/// The HTTP library, with every limit set (T3).
fn builder(limits: &TransportLimits) -> Builder<StreamExecutor> {
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    let mut builder = Builder::new(StreamExecutor {
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
        .keep_alive_timeout(unless_zero(limits.pong_timeout));
    builder
}

/// The number of headers that are parsed. Without a limit, the size of the head bounds it: a header
/// takes at least four bytes.
fn headers_max(limits: &TransportLimits) -> usize {
    if limits.headers_max == 0 {
        limits.header_bytes_max / 4
    } else {
        limits.headers_max
    }
}

/// Whether an accept error concerns only the one client that was to be accepted.
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
