//! What each command does.

use std::{io::Write, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};
use uuid::Uuid;

use crate::{
    auth::Auth,
    client,
    config::{AuthMode, CliCommand, CommandLine, ServeFlags, TokenFlags},
    domain::{UserId, UserName},
    schema,
    server::{Server, clock},
    store::{Database, sqlite::SqliteLimits},
    telemetry,
};

/// A command that could not begin: one line, and nothing was started.
const REFUSED: u8 = 2;

/// Runs what was typed.
pub async fn run(line: CommandLine) -> ExitCode {
    match line
        .command
        .unwrap_or(CliCommand::Serve(Box::new(line.serve)))
    {
        CliCommand::Serve(flags) => or_refuse(serve(&flags).await),
        CliCommand::Schema => {
            let written = std::io::stdout().write_all(schema::sdl().as_bytes());
            if written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        CliCommand::Migrate(flags) => or_refuse(migrate(&flags.database).await),
        CliCommand::Token(flags) => or_refuse(token(&flags).await),
        CliCommand::Send { room, text, server } => client::send(&server, &room, &text).await,
        CliCommand::Tail {
            room,
            after,
            server,
        } => client::tail(&server, &room, after).await,
    }
}

fn or_refuse(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("switchboard: {reason}");
            ExitCode::from(REFUSED)
        }
    }
}

async fn serve(flags: &ServeFlags) -> Result<(), String> {
    telemetry::init(&flags.log, flags.log_format)
        .map_err(|error| format!("--log {}: {error}", flags.log))?;
    let mut signals =
        Signals::new(flags.edge.tls_cert.is_some()).map_err(|error| error.to_string())?;
    let server = Server::start(flags)
        .await
        .map_err(|error| error.to_string())?;
    greet(&server, flags);
    while signals.next().await == Told::Reload {
        server.reload_certificate().await;
    }
    tracing::info!("draining; a second signal stops at once");
    tokio::select! {
        () = server.stop() => {}
        () = signals.told_to_stop() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

fn greet(server: &Server, flags: &ServeFlags) {
    let address = server.address();
    let (http, ws) = if server.has_tls() {
        ("https", "wss")
    } else {
        ("http", "ws")
    };
    // A certificate is for a name, seldom for an address.
    let reached = if server.has_tls() {
        format!("NAME:{}", address.port())
    } else {
        address.to_string()
    };
    // Whoever started it may not listen.
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
            AuthMode::Guest => "guest: anyone who reaches this address may sign in by name",
            AuthMode::Jwt => "jwt: whoever brings a token of the identity provider",
        },
        token = match flags.sign_in.auth {
            AuthMode::Guest => "",
            AuthMode::Jwt => " --token TOKEN",
        },
    );
}

/// What a signal tells the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

/// SIGINT and SIGTERM; with a certificate SIGHUP too, which ends a server that has none to read again.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    fn new(reloads: bool) -> std::io::Result<Self> {
        let hangup = reloads.then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    async fn next(&mut self) -> Told {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = hangup => Told::Reload,
        }
    }

    async fn told_to_stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}

async fn migrate(database: &str) -> Result<(), String> {
    let opened = Database::open(database, SqliteLimits::default())
        .await
        .map_err(|error| error.to_string())?;
    opened.maintenance.close().await;
    println!("{database} is up to date.");
    Ok(())
}

async fn token(flags: &TokenFlags) -> Result<(), String> {
    let name = UserName::new(&flags.user).map_err(|error| format!("--user: {error}"))?;
    let token = match flags.sign_in.auth {
        AuthMode::Guest if flags.signing.are_given() => {
            return Err("--jwt-private-key and --jwt-key-id are for --auth jwt".to_owned());
        }
        AuthMode::Guest => guest_token(flags, name).await?,
        AuthMode::Jwt => jwt(flags, &name)?,
    };
    println!("{token}");
    Ok(())
}

/// The token of a new guest, signed with the key in the database.
async fn guest_token(flags: &TokenFlags, name: UserName) -> Result<String, String> {
    flags.sign_in.choice(flags.lifetime.0)?;
    let database = Database::open(&flags.database.database, SqliteLimits::default())
        .await
        .map_err(|error| error.to_string())?;
    let signed = async {
        let auth = Auth::guests(database.accounts.clone(), flags.lifetime.0).await?;
        auth.sign_in(
            UserId::from_uuid(Uuid::now_v7()),
            name,
            Uuid::new_v4(),
            clock()(),
        )
        .await
    };
    let session = signed.await.map_err(|error| error.to_string())?;
    database.maintenance.close().await;
    Ok(session.token)
}

/// A token as an identity provider would sign it.
fn jwt(flags: &TokenFlags, name: &UserName) -> Result<String, String> {
    let signer = flags.signing.signer(&flags.sign_in)?;
    let now = clock()().seconds();
    let until = now.saturating_add(i64::try_from(flags.lifetime.0.as_secs()).unwrap_or(i64::MAX));
    let mut claims = serde_json::json!({
        "sub": name.as_str(), "name": name.as_str(), "iat": now, "exp": until, "jti": Uuid::new_v4().as_simple().to_string(),
    });
    let more = [
        ("iss", &flags.sign_in.jwt_issuer),
        ("aud", &flags.sign_in.jwt_audience),
    ];
    for (claim, value) in more
        .into_iter()
        .filter_map(|(claim, value)| value.as_ref().map(|value| (claim, value)))
    {
        claims[claim] = value.as_str().into();
    }
    Ok(signer.sign(&claims))
}
