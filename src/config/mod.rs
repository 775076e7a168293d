//! The command line: flags and environment variables in, a checked configuration out.

mod address;
mod edge;
mod limits;
mod sign_in;

use std::{io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub use edge::EdgeFlags;
pub use limits::LimitFlags;
pub use sign_in::{AuthMode, Secret, SignInFlags, SigningFlags};

use address::{EPHEMERAL, database, default_listen, listen};

use crate::{
    auth::SignIn,
    domain::{RoomId, UserId},
    limit::duration,
    telemetry::LogFormat,
};

/// How to write a time, in the help of commands that have such flags.
const TIME_FORMAT: &str = "TIME is a number with a unit: 100ms, 30s, 5m (minutes), 2h or 30days. \
                           Only 0 needs no unit.";

/// Where the help of the limits is, in the help.
const LIMITS: &str =
    "`switchboard --help limits` lists the limits of the server, which are flags too.";

/// The exit codes, in the help.
const EXIT_CODES: &str = "Exit codes: 0 success; 1 failure; 2 invalid command line or \
                          configuration, or the command could not start.";

/// A GraphQL subscription server that never drops a call.
///
/// It never loses a message: each room is a log on disk, and each subscription keeps its position
/// in that log. Without a command, `switchboard` runs the server.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = format!("{LIMITS}\n\n{TIME_FORMAT}\n\n{EXIT_CODES}")
)]
pub struct CommandLine {
    /// The command. None means `serve`.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// The flags of `serve`, for a command line without a command.
    #[command(flatten)]
    pub serve: ServeFlags,
}

impl CommandLine {
    /// Reads the command line of this process. Ends the process if it is invalid, or asks for help.
    pub fn read() -> Self {
        let words: Vec<_> = std::env::args_os().skip(1).collect();
        if words == ["--help", "limits"] || words == ["help", "limits"] {
            let help = limits::help_of_limits(Self::command());
            // A pipe that is closed early is no failure.
            let _ = write!(std::io::stdout(), "{help}");
            std::process::exit(0);
        }
        Self::parse()
    }
}

/// The commands of the binary.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run the server (the default)
    #[command(after_help = format!("{LIMITS}\n\n{TIME_FORMAT}"))]
    Serve(Box<ServeFlags>),
    /// Print the GraphQL schema
    Schema,
    /// Apply pending database migrations and exit
    Migrate(DatabaseFlags),
    /// Copy the database to a new file, also while a server uses it
    Backup {
        /// The new file
        file: PathBuf,
        #[command(flatten)]
        /// The database to copy.
        database: DatabaseFlags,
    },
    /// Put a backup in the place of the database, which is moved aside
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        /// The database to replace.
        database: DatabaseFlags,
    },
    /// Check the database, also while a server uses it: its files, and that no event is missing
    Doctor(DatabaseFlags),
    /// Change a database as its operator, while no server uses it
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Print a token for use in scripts, for a new guest. With --auth jwt, sign a token for the
    /// user that --user names
    #[command(after_help = TIME_FORMAT)]
    Token(Box<TokenFlags>),
    /// Send a message to a room of a running server
    Send {
        /// The room's id
        room: String,
        /// The message's text
        text: String,
        /// The name of this message: sending it again with the same nonce stores nothing new
        #[arg(long)]
        nonce: Option<String>,
        #[command(flatten)]
        /// The server to send to.
        server: ServerFlags,
    },
    /// Print a room's messages as they arrive, reconnecting as needed
    Tail {
        /// The room's id
        room: String,
        /// Begin after this cursor instead of with the next message
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// Print the cursor of each message at the begin of its line
        #[arg(long)]
        cursors: bool,
        #[command(flatten)]
        /// The server to read from.
        server: ServerFlags,
    },
}

/// The commands of `admin`.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make a user an owner of a room, for example of room-1, which has none at first
    Adopt {
        /// The room's id
        room: RoomId,
        /// The user's id, which the query `{ viewer { id } }` returns
        user: UserId,
        #[command(flatten)]
        /// The database of the room.
        database: DatabaseFlags,
    },
}

/// The flags of `token`.
#[derive(Args, Clone, Debug)]
pub struct TokenFlags {
    /// The name of a new user; with jwt also the user's id, the token's `sub`
    #[arg(long, value_name = "NAME", required_unless_present = "user_id")]
    pub user: Option<String>,
    /// The id of a user that exists, instead of --user; not with jwt
    #[arg(long, value_name = "ID", conflicts_with = "user")]
    pub user_id: Option<UserId>,
    /// How long the token stays valid
    #[arg(long, default_value = SESSION_LIFETIME, value_parser = duration, value_name = "TIME")]
    pub lifetime: Duration,
    /// The database that holds the key for guests' tokens.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// The signer of the token.
    #[command(flatten)]
    pub sign_in: SignInFlags,
    /// The key to sign with.
    #[command(flatten)]
    pub signing: SigningFlags,
}

/// Which database to use.
#[derive(Args, Clone, Debug)]
pub struct DatabaseFlags {
    /// The database as a path or sqlite://PATH; the file is created if it is missing. With
    /// :memory:, the server removes its database at the end
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "sqlite://switchboard.db",
        value_name = "URL",
        value_parser = database
    )]
    pub database: String,
}

/// Which running server to use, and as which user.
#[derive(Args, Clone, Debug)]
pub struct ServerFlags {
    /// The server's GraphQL endpoint
    #[arg(
        long,
        env = "SWITCHBOARD_URL",
        default_value = "http://127.0.0.1:4000/graphql",
        value_name = "URL",
        value_parser = endpoint
    )]
    pub url: String,
    /// The user's token; without it, `send` signs in as a guest, and remembers the guest's token
    #[arg(
        long,
        env = "SWITCHBOARD_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<Secret>,
    /// The name of the guest
    #[arg(long, env = "USER", default_value = "guest", value_name = "NAME")]
    pub name: String,
}

/// The flags of `serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeFlags {
    /// The address to listen on: 127.0.0.1:4000, or only a port, which is then on loopback. Port 0
    /// picks a free port. The variable PORT changes the default
    #[arg(
        long,
        env = "SWITCHBOARD_LISTEN",
        default_value = default_listen(),
        value_parser = listen,
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// The database to serve.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Use a new database, and remove it when the server ends; for tests. On loopback, POST
    /// /test/reset begins with a new one
    #[arg(long, env = "SWITCHBOARD_EPHEMERAL")]
    pub ephemeral: bool,
    /// Store the users, rooms and messages of this JSON file at the start, unless they are there
    /// already; for tests, and on loopback only
    #[arg(long, env = "SWITCHBOARD_SEED", value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Serve /test/clock, where tests set the time of messages, tokens and mutes; on loopback only
    #[arg(long, env = "SWITCHBOARD_TEST_CLOCK")]
    pub test_clock: bool,
    /// Print one line of JSON when the server is ready, with its addresses, its process id and its
    /// version
    #[arg(long, env = "SWITCHBOARD_PRINT_JSON")]
    pub print_json: bool,
    /// Number of trusted proxies in front of the server. With N of 1 or more, a client's address is
    /// the Nth entry of X-Forwarded-For from the right; with 0, it is the address of the connection
    #[arg(
        long,
        env = "SWITCHBOARD_TRUST_PROXY",
        default_value_t = 0,
        value_name = "N"
    )]
    pub trust_proxy: usize,
    /// Disable rate limits and all limits per address and per user, for tests and benchmarks only
    #[arg(long, env = "SWITCHBOARD_NO_RATE_LIMITS")]
    pub no_rate_limits: bool,
    /// Which web pages and host names may use the server, and TLS.
    #[command(flatten)]
    pub edge: EdgeFlags,
    /// How users sign in.
    #[command(flatten)]
    pub sign_in: SignInFlags,
    /// With guest: allow sign-in although the server listens on a non-loopback address: everybody
    /// who can reach it can then sign in. Without this flag, the server does not start on such an
    /// address
    #[arg(long, env = "SWITCHBOARD_ALLOW_REMOTE_GUESTS")]
    pub allow_remote_guests: bool,
    /// How long a guest's token stays valid
    #[arg(
        long,
        env = "SWITCHBOARD_SESSION_LIFETIME",
        default_value = SESSION_LIFETIME,
        value_parser = duration,
        value_name = "TIME"
    )]
    pub session_lifetime: Duration,
    /// Whether clients may read the schema by introspection; the playground needs it
    #[arg(
        long,
        env = "SWITCHBOARD_INTROSPECTION",
        default_value = "on",
        help_heading = "Documents"
    )]
    pub introspection: Switch,
    /// JSON file that maps SHA-256 hashes to documents. If given, only these documents can be run
    #[arg(
        long,
        env = "SWITCHBOARD_PERSISTED_OPERATIONS",
        value_name = "PATH",
        help_heading = "Documents"
    )]
    pub persisted_operations: Option<PathBuf>,
    /// Log filter, for example `info`, `debug` or `switchboard=debug,warn`
    #[arg(
        long,
        env = "SWITCHBOARD_LOG",
        default_value = "info",
        value_name = "FILTER",
        help_heading = "Logging"
    )]
    pub log: String,
    /// The format of log lines
    #[arg(
        long,
        env = "SWITCHBOARD_LOG_FORMAT",
        default_value = "text",
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,
    /// The limits as given. [`ServeFlags::limits`] returns the limits that apply.
    #[command(flatten)]
    pub limits: LimitFlags,
}

impl DatabaseFlags {
    /// Whether the database is removed when the server ends.
    pub fn is_ephemeral(&self) -> bool {
        self.database == EPHEMERAL
    }

    /// The URL of a database file.
    ///
    /// # Errors
    /// The database is in memory. The error is one line for the operator.
    pub fn file(&self) -> Result<&str, String> {
        if self.is_ephemeral() {
            return Err("--database: this command needs a file: sqlite://PATH".to_owned());
        }
        Ok(&self.database)
    }
}

impl ServeFlags {
    /// Whether the database is removed when the server ends.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral || self.database.is_ephemeral()
    }

    /// Whether only this machine can reach the server.
    fn is_on_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Whether `/test/reset` is served: nothing is lost that would stay after the end.
    pub fn can_be_reset(&self) -> bool {
        self.is_ephemeral() && self.is_on_loopback()
    }

    /// How users sign in. Reads the files that the flags name. The error is one line for the
    /// operator.
    pub fn sign_in(&self) -> Result<SignIn, String> {
        self.sign_in.choice(self.session_lifetime)
    }

    /// The limits that apply: those given, without rate limits if `--no-rate-limits` is given.
    pub fn limits(&self) -> LimitFlags {
        let limits = self.limits.clone();
        if self.no_rate_limits {
            limits.without_rates()
        } else {
            limits
        }
    }

    /// Checks that flags fit each other, and upper bounds. The parser of a single flag cannot check
    /// these. The error is one line for the operator.
    pub fn check(&self) -> Result<(), String> {
        let guests = self.sign_in.auth == AuthMode::Guest;
        if guests && !self.is_on_loopback() && !self.allow_remote_guests {
            return Err(format!(
                "--listen {}: guests sign in without a password, so this address is refused beyond \
                 loopback; add --allow-remote-guests to allow it",
                self.listen
            ));
        }
        if self.seed.is_some() && !self.is_on_loopback() {
            return Err(format!(
                "--listen {}: with --seed only loopback is allowed, because the file can hold tokens",
                self.listen
            ));
        }
        if self.test_clock && !self.is_on_loopback() {
            return Err(format!(
                "--listen {}: with --test-clock only loopback is allowed, because every caller can \
                 set the clock",
                self.listen
            ));
        }
        if self.session_lifetime > LIFETIME_MAX {
            return Err("--session-lifetime: at most a hundred years".to_owned());
        }
        if self.limits.prepare.document_nesting_max > NESTING_MAX {
            return Err(format!(
                "--document-nesting-max: at most {NESTING_MAX}, because the parser recurses"
            ));
        }
        let schema = &self.limits.schema;
        let minimum = schema
            .text_bytes_max
            .saturating_mul(ESCAPED_BYTES_MAX)
            .saturating_add(BESIDE_TEXT_BYTES);
        for (flag, limit) in [
            ("--frame-bytes-max", schema.frame_bytes_max),
            ("--answer-bytes-max", schema.answer_bytes_max),
        ] {
            if limit != 0 && limit < minimum {
                return Err(format!(
                    "{flag}: at least {minimum}, so that texts of --text-bytes-max can be read"
                ));
            }
        }
        Ok(())
    }
}

/// How long a guest's token is valid unless a flag sets it.
const SESSION_LIFETIME: &str = "30days";

/// The maximum length of one byte of text in JSON: a control character is written as `\u0001`.
const ESCAPED_BYTES_MAX: usize = 6;

/// Bytes of an answer for the fields beside a text.
const BESIDE_TEXT_BYTES: usize = 4096;

/// The maximum lifetime of a token. With a longer one, the expiry would be out of the range of
/// dates.
const LIFETIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The maximum nesting of a document. The parser recurses, and its stack is bounded.
const NESTING_MAX: usize = 200;

/// A server's endpoint as a WebSocket URL.
fn endpoint(url: &str) -> Result<String, String> {
    match url.split_once("://") {
        Some(("http" | "ws", rest)) => Ok(format!("ws://{rest}")),
        Some(("https" | "wss", rest)) => Ok(format!("wss://{rest}")),
        _ => Err("write it like http://127.0.0.1:4000/graphql".to_owned()),
    }
}

/// The value of a flag that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Allowed.
    On,
    /// Refused.
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let bare = CommandLine::try_parse_from(["switchboard", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(bare.command.is_none() && bare.serve.listen.port() == 0);
        let named = CommandLine::try_parse_from(["switchboard", "serve", "--connections-max", "7"])
            .unwrap();
        let Some(CliCommand::Serve(flags)) = named.command else {
            panic!("{named:?}")
        };
        assert_eq!(flags.limits.transport.connections_max, 7);
    }

    #[test]
    fn no_rate_limits_lifts_the_limits_per_user_and_per_address() {
        let parse = |arguments: &[&str]| {
            CommandLine::try_parse_from(arguments)
                .unwrap()
                .serve
                .limits()
        };
        assert_eq!(parse(&["switchboard"]).hub.append_queue_per_user_max, 512);
        let without = parse(&["switchboard", "--no-rate-limits"]);
        let (hub, view, transport) = (&without.hub, &without.view, &without.transport);
        assert_eq!(hub.append_queue_per_user_max, hub.append_queue_max);
        let rates = [
            hub.mutations_per_second_per_user_max,
            transport.connects_per_second_per_address_max,
            transport.messages_per_second_max,
        ];
        assert_eq!(rates, [0; 3]);
        let counts = [
            transport.connections_per_address_max,
            transport.connections_per_user_max,
            transport.handshakes_per_address_max,
            hub.waits_per_viewer_max,
            view.subscriptions_per_viewer_max,
            view.plans_bytes_per_viewer_max,
            view.plans_bytes_per_address_max,
        ];
        assert_eq!(counts, [0; 7]);
        assert_eq!(
            transport.connections_max, 100_000,
            "a limit on the total stays"
        );
    }

    #[test]
    fn guests_beyond_loopback_need_a_flag() {
        let parse = |arguments: &[&str]| {
            let all = std::iter::once(&"switchboard").chain(arguments);
            CommandLine::try_parse_from(all).unwrap().serve
        };
        assert!(parse(&["--listen", "[::1]:4000"]).check().is_ok());
        assert!(parse(&["--listen", "0.0.0.0:4000"]).check().is_err());
        assert!(
            parse(&["--listen", "0.0.0.0:4000", "--allow-remote-guests"])
                .check()
                .is_ok()
        );
    }

    #[test]
    fn values_above_or_below_their_bounds_are_refused() {
        let check = |name: &str, value: &str| {
            CommandLine::try_parse_from(["switchboard", name, value])
                .unwrap()
                .serve
                .check()
                .is_ok()
        };
        assert!(
            check("--session-lifetime", "36500days") && !check("--session-lifetime", "36501days")
        );
        assert!(check("--document-nesting-max", "200") && !check("--document-nesting-max", "201"));
        // Six times --text-bytes-max, plus 4096.
        for flag in ["--frame-bytes-max", "--answer-bytes-max"] {
            assert!(check(flag, "53248") && !check(flag, "53247") && check(flag, "0"));
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for arguments in [
            ["--database", "postgres://x/y"],
            ["--database", "sqlite://"],
            ["--init-timeout", "soon"],
            ["--introspection", "maybe"],
            ["--trust-proxy", "10.0.0.1"],
            ["--messages-burst-max", "0"],
            ["--append-queue-max", "0"],
            ["--listen", "nowhere"],
            ["--allow-origin", "https://chat.example/path"],
            ["--allow-origin", "*"],
            ["--allow-host", "chat.example:4000"],
        ] {
            let all = std::iter::once("switchboard").chain(arguments);
            assert!(CommandLine::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
