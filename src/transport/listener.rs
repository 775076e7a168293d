//! Accepts connections and speaks HTTP on them, both versions on one port.

use std::{
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{TransportLimits, tls::Tls, write_timeout::Timed};

/// How long to wait when no connection can be accepted, which is when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that wait to be sent on one stream of HTTP/2 before its sender has to wait.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;

/// Serves connections until told to stop; then it closes the port and waits for the requests that run (R1).
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    app: Router,
    limits: TransportLimits,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection without TCP_NODELAY");
                }
                let stream = Timed::new(stream, limits.write_timeout);
                match &tls {
                    None => connections.spawn(serve_connection(stream, app.clone(), limits, stop.clone())),
                    Some(tls) => {
                        connections.spawn(serve_over_tls(tls.clone(), stream, app.clone(), limits, stop.clone()))
                    }
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
    stop: CancellationToken,
) {
    match stop.run_until_cancelled(tls.accept(stream, limits.header_timeout)).await {
        Some(Ok(stream)) => serve_connection(stream, app, limits, stop).await,
        Some(Err(error)) => tracing::debug!(%error, "a client did not get through the handshake"),
        None => {}
    }
}

/// Serves one connection, whatever it runs over. It ends when it became a WebSocket; that is a task of its own.
pub async fn serve_connection<S>(stream: S, app: Router, limits: TransportLimits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let (first, app) = (asked.clone(), TowerToHyperService::new(app));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        first.store(true, Ordering::Relaxed);
        app.call(request)
    });
    let builder = builder(&limits);
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // The library times the heads of HTTP/1 only once it knows that it is HTTP/1; a client may never let it know.
    let mut first_due = pin!(tokio::time::sleep(limits.header_timeout));
    let (mut watched, mut stopping) = (!limits.header_timeout.is_zero(), false);
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
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}

/// Every limit is set here (T3).
fn builder(limits: &TransportLimits) -> Builder<TokioExecutor> {
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(some(limits.header_timeout))
        .max_buf_size(limits.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .keep_alive_interval(some(limits.ping_interval))
        .keep_alive_timeout(limits.pong_timeout);
    builder
}

fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
