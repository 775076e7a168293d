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
    let mut signals = ProcessSignals::new().map_err(CommandError::Signals)?;
    let server = Server::start(flags).await?;
    log_start(&server, flags);
    if flags.print_json {
        print_json(&server, flags);
    } else {
        print_greeting(&server, flags);
    }
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

/// Logs the configuration that matters when something does not work.
fn log_start(server: &Server, flags: &ServeFlags) {
    let origins: Vec<String> = flags
        .edge
        .allow_origin
        .iter()
        .map(ToString::to_string)
        .collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        address = %server.address(),
        database = database_name(flags),
        sign_in = ?flags.sign_in.auth,
        tls = server.has_tls(),
        allow_origin = origins.join(","),
        "ready"
    );
}

fn database_name(flags: &ServeFlags) -> &str {
    if flags.is_ephemeral() {
        "temporary, removed at the end"
    } else {
        &flags.database.database
    }
}

/// The schemes of the server's URLs, over HTTP and over a WebSocket.
fn schemes(server: &Server) -> (&'static str, &'static str) {
    if server.has_tls() {
        ("https", "wss")
    } else {
        ("http", "ws")
    }
}

/// Prints one line of JSON for programs that start a server.
fn print_json(server: &Server, flags: &ServeFlags) {
    let (address, base) = (server.address(), &flags.edge.base_path);
    let (http, ws) = schemes(server);
    let ready = serde_json::json!({
        "address": address.to_string(),
        "url": format!("{http}://{address}{base}/graphql"),
        "webSocketUrl": format!("{ws}://{address}{base}/graphql"),
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let _ = writeln!(std::io::stdout(), "{ready}");
}

/// Prints the addresses of the server, and two commands to try next.
fn print_greeting(server: &Server, flags: &ServeFlags) {
    let address = server.address();
    let (http, ws) = schemes(server);
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
        database = database_name(flags),
        sign_in = match flags.sign_in.auth {
            AuthMode::Guest => "guest: anyone who reaches this address may sign in with a name",
            AuthMode::Jwt => "jwt: clients need a token from the identity provider",
        },
        pages = if flags.edge.allows_loopback_pages(address) {
            "those of this machine, such as localhost:5173; name others with --allow-origin"
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

/// The signals of this process. SIGINT and SIGTERM stop the server. SIGHUP reloads the certificate,
/// if there is one. It never ends the server: a terminal that closes sends it too.
struct ProcessSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl ProcessSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.hangup.recv() => SignalAction::Reload,
        }
    }

    async fn wait_for_stop(&mut self) {
        while self.next().await != SignalAction::Stop {}
    }
}
