//! What each command does.

use std::{io::Write, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};
use uuid::Uuid;

use crate::{
    auth::Auth,
    client,
    config::{Command, CommandLine, ServeFlags, Span},
    domain::{UserId, UserName},
    schema,
    server::{Server, clock},
    store::sqlite::{Sqlite, SqliteLimits},
    telemetry,
};

/// A command that could not begin: one line, and nothing was started.
const REFUSED: u8 = 2;

/// Runs what was typed.
pub async fn run(line: CommandLine) -> ExitCode {
    match line.command.unwrap_or(Command::Serve(Box::new(line.serve))) {
        Command::Serve(flags) => or_refuse(serve(&flags).await),
        Command::Schema => {
            let written = std::io::stdout().write_all(schema::sdl().as_bytes());
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Migrate(flags) => or_refuse(migrate(&flags.database).await),
        Command::Token { user, lifetime, database } => or_refuse(token(&database.database, &user, lifetime).await),
        Command::Send { room, text, server } => client::send(&server, &room, &text).await,
        Command::Tail { room, after, server } => client::tail(&server, &room, after).await,
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
    telemetry::init(&flags.log, flags.log_format).map_err(|error| format!("--log {}: {error}", flags.log))?;
    let mut signals = Signals::new().map_err(|error| error.to_string())?;
    let server = Server::start(flags).await.map_err(|error| error.to_string())?;
    greet(&server, flags);
    signals.next().await;
    tracing::info!("draining; a second signal stops at once");
    tokio::select! {
        () = server.stop() => {}
        () = signals.next() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

fn greet(server: &Server, flags: &ServeFlags) {
    let address = server.address();
    // Whoever started it may not listen.
    let _ = writeln!(
        std::io::stdout(),
        "Switchboard {version}

  playground  http://{address}/graphiql
  endpoint    http://{address}/graphql  (subscriptions: ws://{address}/graphql)
  database    {database}
  sign-in     guest: anyone who reaches this address may sign in by name

Next, in two more terminals:

  {program} tail room-1 --url http://{address}/graphql
  {program} send room-1 'Hello' --url http://{address}/graphql
",
        program = std::env::args().next().as_deref().unwrap_or("switchboard"),
        version = env!("CARGO_PKG_VERSION"),
        database = flags.database.database,
    );
}

/// SIGINT and SIGTERM.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

async fn migrate(database: &str) -> Result<(), String> {
    let store = Sqlite::open(database, SqliteLimits::default()).await.map_err(|error| error.to_string())?;
    store.close().await;
    println!("{database} is up to date.");
    Ok(())
}

async fn token(database: &str, user: &str, lifetime: Span) -> Result<(), String> {
    let name = UserName::new(user).map_err(|error| format!("--user: {error}"))?;
    let store = Sqlite::open(database, SqliteLimits::default()).await.map_err(|error| error.to_string())?;
    let signed = async {
        let auth = Auth::guests(std::sync::Arc::new(store.clone()), lifetime.0).await?;
        auth.sign_in(UserId::from_uuid(Uuid::now_v7()), name, clock()()).await
    };
    let session = signed.await.map_err(|error| error.to_string())?;
    store.close().await;
    println!("{}", session.token);
    Ok(())
}
