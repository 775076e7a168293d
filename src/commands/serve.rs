//! The command `serve`.

use std::io::Write;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CommandError;
use crate::{
    config::{AuthMode, ServeFlags},
    server::Server,
    telemetry,
};

/// `switchboard serve`: runs a server until a signal stops it.
pub(super) async fn serve(flags: &ServeFlags) -> Result<(), CommandError> {
    telemetry::init(&flags.log, flags.log_format).map_err(|error| CommandError::Log {
        filter: flags.log.clone(),
        error,
    })?;
    let has_certificate = flags.edge.tls_cert.is_some();
    let mut signals = ProcessSignals::new(has_certificate).map_err(CommandError::Signals)?;
    let server = Server::start(flags).await?;
    print_greeting(&server, flags);
    while signals.next().await == SignalAction::Reload {
        server.reload_certificate().await;
    }
    tracing::info!("draining; a second signal stops the server at once");
    tokio::select! {
        () = server.stop() => {}
        () = signals.wait_for_stop() => tracing::warn!("stopped by a second signal"),
    }
    Ok(())
}

/// Prints the addresses of the server, and two commands to try next.
fn print_greeting(server: &Server, flags: &ServeFlags) {
    let address = server.address();
    let (http, ws) = if server.has_tls() {
        ("https", "wss")
    } else {
        ("http", "ws")
    };
    // A certificate is usually for a name and not for an address.
    let reached = if server.has_tls() {
        format!("NAME:{}", address.port())
    } else {
        address.to_string()
    };
    // Standard output may be closed, which must not stop the server.
    let _ = writeln!(
        std::io::stdout(),
        "Switchboard {version}

  playground  {http}://{address}{base}/graphiql
  endpoint    {http}://{address}{base}/graphql  (subscriptions: {ws}://{address}{base}/graphql)
  database    {database}
  sign-in     {sign_in}
  web pages   {pages}

Next, in two more terminals:

  {program} tail room-1 --url {http}://{reached}{base}/graphql
  {program} send room-1 'Hello' --url {http}://{reached}{base}/graphql{token}
",
        program = std::env::args().next().as_deref().unwrap_or("switchboard"),
        base = flags.edge.base_path,
        version = env!("CARGO_PKG_VERSION"),
        database = flags.database.database,
        sign_in = match flags.sign_in.auth {
            AuthMode::Guest => "guest: anyone who reaches this address may sign in with a name",
            AuthMode::Jwt => "jwt: clients need a token from the identity provider",
        },
        pages = if flags.edge.allows_loopback_pages(address) {
            "those of this machine (http://localhost:…); name other origins with --allow-origin"
        } else if flags.edge.allow_origin.is_empty() {
            "those of this server only; name other origins with --allow-origin"
        } else {
            "those of this server and of --allow-origin"
        },
        token = match flags.sign_in.auth {
            AuthMode::Guest => "",
            AuthMode::Jwt => " --token TOKEN",
        },
    );
}

/// The reaction of the server to a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SignalAction {
    Stop,
    Reload,
}

/// The signals of this process. SIGINT and SIGTERM stop the server. SIGHUP reloads the certificate;
/// on a server without one it is not handled, so it ends the process.
struct ProcessSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl ProcessSignals {
    fn new(handles_hangup: bool) -> std::io::Result<Self> {
        let hangup = handles_hangup
            .then(|| signal(SignalKind::hangup()))
            .transpose()?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    async fn next(&mut self) -> SignalAction {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = hangup => SignalAction::Reload,
        }
    }

    async fn wait_for_stop(&mut self) {
        while self.next().await != SignalAction::Stop {}
    }
}
