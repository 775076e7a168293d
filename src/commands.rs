//! The commands of the binary.

use std::{io::Write, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};
use uuid::Uuid;

use crate::{
    auth::{Auth, SessionError},
    client,
    config::{AuthMode, CliCommand, CommandLine, ServeFlags, TokenFlags},
    domain::{TextError, UserId, UserName},
    schema,
    server::{Server, StartError, clock},
    store::{Database, StoreError, sqlite::SqliteLimits},
    telemetry::{self, TelemetryError},
};

/// The exit code of a command that could not start.
const NOT_STARTED: u8 = 2;

/// Why a command could not start. Each text is one line for the operator.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("--log {filter}: {error}")]
    Log {
        filter: String,
        error: TelemetryError,
    },
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("--user: {0}")]
    User(#[from] TextError),
    #[error("--jwt-private-key and --jwt-key-id are for --auth jwt")]
    SigningFlags,
    /// Flags that contradict each other, or a file that cannot be used.
    #[error("{0}")]
    Flags(String),
}

/// Runs a command line.
pub async fn run(line: CommandLine) -> ExitCode {
    match line
        .command
        .unwrap_or(CliCommand::Serve(Box::new(line.serve)))
    {
        CliCommand::Serve(flags) => exit_code(serve(&flags).await),
        CliCommand::Schema => {
            let written = std::io::stdout().write_all(schema::sdl().as_bytes());
            if written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        CliCommand::Migrate(flags) => exit_code(migrate(&flags.database).await),
        CliCommand::Token(flags) => exit_code(token(&flags).await),
        CliCommand::Send { room, text, server } => client::send(&server, &room, &text).await,
        CliCommand::Tail {
            room,
            after,
            server,
        } => client::tail(&server, &room, after).await,
    }
}

fn exit_code(result: Result<(), CommandError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("switchboard: {reason}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

/// `switchboard serve`: runs a server until a signal stops it.
async fn serve(flags: &ServeFlags) -> Result<(), CommandError> {
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

  playground  {http}://{address}/graphiql
  endpoint    {http}://{address}/graphql  (subscriptions: {ws}://{address}/graphql)
  database    {database}
  sign-in     {sign_in}

Next, in two more terminals:

  {program} tail room-1 --url {http}://{reached}/graphql
  {program} send room-1 'Hello' --url {http}://{reached}/graphql{token}
",
        program = std::env::args().next().as_deref().unwrap_or("switchboard"),
        version = env!("CARGO_PKG_VERSION"),
        database = flags.database.database,
        sign_in = match flags.sign_in.auth {
            AuthMode::Guest => "guest: anyone who reaches this address may sign in with a name",
            AuthMode::Jwt => "jwt: clients need a token from the identity provider",
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

/// `switchboard migrate`: opening a database updates its schema.
async fn migrate(database: &str) -> Result<(), CommandError> {
    let _lock = Database::lock(database)?;
    let opened = Database::open(database, SqliteLimits::default()).await?;
    opened.maintenance.close().await;
    println!("{database} is up to date.");
    Ok(())
}

/// `switchboard token`: prints a token.
async fn token(flags: &TokenFlags) -> Result<(), CommandError> {
    let name = UserName::new(&flags.user)?;
    let token = match flags.sign_in.auth {
        AuthMode::Guest if flags.signing.are_given() => return Err(CommandError::SigningFlags),
        AuthMode::Guest => guest_token(flags, name).await?,
        AuthMode::Jwt => jwt(flags, &name)?,
    };
    println!("{token}");
    Ok(())
}

/// Creates a guest and signs their token with the key in the database.
async fn guest_token(flags: &TokenFlags, name: UserName) -> Result<String, CommandError> {
    flags
        .sign_in
        .choice(flags.lifetime)
        .map_err(CommandError::Flags)?;
    let url = &flags.database.database;
    let database = Database::open_beside_server(url, SqliteLimits::default()).await?;
    let auth = Auth::guests(database.accounts.clone(), flags.lifetime).await?;
    let user = UserId::from_uuid(Uuid::now_v7());
    let session = auth.sign_in(user, name, Uuid::new_v4(), clock()()).await?;
    database.maintenance.close().await;
    Ok(session.token)
}

/// Signs a token as an identity provider would.
fn jwt(flags: &TokenFlags, name: &UserName) -> Result<String, CommandError> {
    let signer = flags
        .signing
        .signer(&flags.sign_in)
        .map_err(CommandError::Flags)?;
    let now = clock()().seconds();
    let until = now.saturating_add(i64::try_from(flags.lifetime.as_secs()).unwrap_or(i64::MAX));
    let mut claims = serde_json::json!({
        "sub": name.as_str(),
        "name": name.as_str(),
        "iat": now,
        "exp": until,
        "jti": Uuid::new_v4().as_simple().to_string(),
    });
    for (claim, value) in [
        ("iss", &flags.sign_in.jwt_issuer),
        ("aud", &flags.sign_in.jwt_audience),
    ] {
        if let Some(value) = value {
            claims[claim] = value.as_str().into();
        }
    }
    Ok(signer.sign(&claims))
}
