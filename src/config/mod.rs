//! The command line: flags and environment in, valid configuration out.

mod edge;
mod limits;
mod sign_in;

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use edge::EdgeFlags;
pub use limits::LimitFlags;
pub use sign_in::{AuthMode, Secret, SignInFlags, SigningFlags};

use crate::{auth::SignIn, telemetry::LogFormat};

/// A GraphQL subscription server that never drops a call.
///
/// Rooms hold messages; a room is a log, a subscription is a cursor into it. Without a command it serves.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 refused to start."
)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// How to serve, without a command.
    #[command(flatten)]
    pub serve: ServeFlags,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Serve (the same as no command)
    Serve(Box<ServeFlags>),
    /// Print the GraphQL schema
    Schema,
    /// Bring the database up to date and stop
    Migrate(DatabaseFlags),
    /// Print a token for scripts: of a new guest, or with --auth jwt of anybody
    Token(Box<TokenFlags>),
    /// Send a message to a room of a running server
    Send {
        /// The room's id
        room: String,
        /// What the message says
        text: String,
        #[command(flatten)]
        /// Which server.
        server: ServerFlags,
    },
    /// Print a room's messages as they come, over broken connections too
    Tail {
        /// The room's id
        room: String,
        /// Begin after this cursor instead of now
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        #[command(flatten)]
        /// Which server.
        server: ServerFlags,
    },
}

/// For whom to print a token.
#[derive(Args, Clone, Debug)]
pub struct TokenFlags {
    /// What the user is called; with jwt, also who it is: the token's `sub`
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// How long the token is good
    #[arg(long, default_value_t = Span(crate::auth::SESSION_LIFETIME), value_name = "TIME")]
    pub lifetime: Span,
    /// Where the key for guests is kept.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Who signs.
    #[command(flatten)]
    pub sign_in: SignInFlags,
    /// With what.
    #[command(flatten)]
    pub signing: SigningFlags,
}

/// Which database.
#[derive(Args, Clone, Debug)]
pub struct DatabaseFlags {
    /// sqlite://PATH, made if it is missing
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://switchboard.db", value_name = "URL", value_parser = database)]
    pub database: String,
}

/// Which running server, and as whom.
#[derive(Args, Clone, Debug)]
pub struct ServerFlags {
    /// The server's endpoint
    #[arg(long, env = "SWITCHBOARD_URL", default_value = "http://127.0.0.1:4000/graphql", value_name = "URL", value_parser = endpoint)]
    pub url: String,
    /// Who asks; without it, `send` signs in as a new guest
    #[arg(
        long,
        env = "SWITCHBOARD_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<Secret>,
    /// What that guest is called
    #[arg(long, env = "USER", default_value = "guest", value_name = "NAME")]
    pub name: String,
}

/// How to serve.
#[derive(Args, Clone, Debug)]
pub struct ServeFlags {
    /// Where to listen; port 0 picks a free one
    #[arg(
        long,
        env = "SWITCHBOARD_LISTEN",
        default_value = "127.0.0.1:4000",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Let anyone who reaches this server sign in as a guest, although it listens beyond loopback
    #[arg(long, env = "SWITCHBOARD_ALLOW_REMOTE_GUESTS")]
    pub allow_remote_guests: bool,
    /// Who may come, and over what.
    #[command(flatten)]
    pub edge: EdgeFlags,
    /// How many proxies stand in front: a client's address is what the first of them wrote into X-Forwarded-For
    #[arg(
        long,
        env = "SWITCHBOARD_TRUST_PROXY",
        default_value_t = 0,
        value_name = "N"
    )]
    pub trust_proxy: usize,
    /// How long a guest's token is good
    #[arg(long, env = "SWITCHBOARD_SESSION_LIFETIME", default_value_t = Span(crate::auth::SESSION_LIFETIME), value_name = "TIME")]
    pub session_lifetime: Span,
    /// How people sign in.
    #[command(flatten)]
    pub sign_in: SignInFlags,
    /// Whether clients may ask for the schema; the playground needs it
    #[arg(long, env = "SWITCHBOARD_INTROSPECTION", default_value = "on")]
    pub introspection: Switch,
    /// Run only the documents of this JSON file, which holds them by their hashes; nothing else is run
    #[arg(long, env = "SWITCHBOARD_PERSISTED_OPERATIONS", value_name = "PATH")]
    pub persisted_operations: Option<PathBuf>,
    /// For tests and benches: no rate, per-address or per-user limits
    #[arg(long, env = "SWITCHBOARD_NO_RATE_LIMITS")]
    pub no_rate_limits: bool,
    /// What to log: `info`, `debug`, `switchboard=debug,warn`
    #[arg(
        long,
        env = "SWITCHBOARD_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,
    /// How log lines look
    #[arg(long, env = "SWITCHBOARD_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// The limits.
    #[command(flatten)]
    pub limits: LimitFlags,
}

impl ServeFlags {
    /// How people sign in, or one line that says why that cannot be. Reads the files that the flags name.
    pub fn sign_in(&self) -> Result<SignIn, String> {
        self.sign_in.choice(self.session_lifetime.0)
    }

    /// The limits that hold.
    pub fn limits(&self) -> LimitFlags {
        let limits = self.limits.clone();
        if self.no_rate_limits {
            limits.without_rates()
        } else {
            limits
        }
    }

    /// What no single flag can know to be wrong.
    pub fn check(&self) -> Result<(), String> {
        let guests = self.sign_in.auth == AuthMode::Guest;
        if guests && !self.listen.ip().is_loopback() && !self.allow_remote_guests {
            return Err(format!(
                "--listen {}: guests may sign in without a password, so this is refused beyond loopback; \
                 add --allow-remote-guests if it is meant",
                self.listen
            ));
        }
        if self.session_lifetime.0 > LIFETIME_MAX {
            return Err("--session-lifetime: at most a hundred years".to_owned());
        }
        if self.limits.document_nesting_max > NESTING_MAX {
            return Err(format!(
                "--document-nesting-max: at most {NESTING_MAX}; a parser recurses"
            ));
        }
        let least = self
            .limits
            .text_bytes_max
            .saturating_mul(ESCAPED_BYTES_MAX)
            .saturating_add(BESIDE_TEXT_BYTES);
        for (flag, most) in [
            ("--frame-bytes-max", self.limits.frame_bytes_max),
            ("--answer-bytes-max", self.limits.answer_bytes_max),
        ] {
            if most != 0 && most < least {
                return Err(format!(
                    "{flag}: at least {least}, or the longest texts of --text-bytes-max could not be read"
                ));
            }
        }
        Ok(())
    }
}

/// What JSON makes of one byte at most: a control character is written as `\u0001`.
const ESCAPED_BYTES_MAX: usize = 6;

/// Room for what is asked for beside a text.
const BESIDE_TEXT_BYTES: usize = 4096;

/// The longest life of a token: a longer one has no date.
const LIFETIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The deepest document that the parser can be trusted with.
const NESTING_MAX: usize = 200;

fn database(url: &str) -> Result<String, String> {
    match url.strip_prefix("sqlite://") {
        Some("") => Err("the path is missing: sqlite://PATH".to_owned()),
        Some(_) => Ok(url.to_owned()),
        None => Err("this version keeps its data in SQLite: sqlite://PATH".to_owned()),
    }
}

/// A server's endpoint as a WebSocket address.
fn endpoint(url: &str) -> Result<String, String> {
    match url.split_once("://") {
        Some(("http" | "ws", rest)) => Ok(format!("ws://{rest}")),
        Some(("https" | "wss", rest)) => Ok(format!("wss://{rest}")),
        _ => Err("write it like http://127.0.0.1:4000/graphql".to_owned()),
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// A time as people write it: `30s`, `500ms`, `30d`.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn serving_is_what_it_does_without_a_command() {
        let bare = CommandLine::try_parse_from(["switchboard", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(bare.command.is_none() && bare.serve.listen.port() == 0);
        let named = CommandLine::try_parse_from(["switchboard", "serve", "--connections-max", "7"])
            .unwrap();
        let Some(CliCommand::Serve(flags)) = named.command else {
            panic!("{named:?}")
        };
        assert_eq!(flags.limits.transport().connections_max, 7);
    }

    #[test]
    fn without_rate_limits_no_user_and_no_address_has_a_limit_of_his_own() {
        let parse = |arguments: &[&str]| {
            CommandLine::try_parse_from(arguments)
                .unwrap()
                .serve
                .limits()
        };
        assert_eq!(parse(&["switchboard"]).hub().append_queue_per_user_max, 512);
        let without = parse(&["switchboard", "--no-rate-limits"]);
        assert_eq!(
            without.hub().append_queue_per_user_max,
            without.hub().append_queue_max
        );
        assert_eq!(without.views().subscriptions_per_viewer_max, 0);
        let (hub, transport) = (without.hub(), without.transport());
        let rates = [
            hub.commands_per_user,
            transport.connects_per_address,
            transport.messages,
        ];
        assert_eq!(rates.map(|rate| rate.per_second_max), [0; 3]);
        let counts = [
            transport.connections_per_address_max,
            transport.connections_per_user_max,
            transport.handshakes_per_address_max,
            hub.waits_per_viewer_max,
            without.views().plans_bytes_per_viewer_max,
            without.views().plans_bytes_per_address_max,
        ];
        assert_eq!(counts, [0; 6]);
        assert_eq!(
            transport.connections_max, 100_000,
            "a limit on all together stays"
        );
    }

    #[test]
    fn guests_stay_on_loopback_unless_it_is_meant() {
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
    fn values_past_what_can_be_kept_are_refused() {
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
        // Six times the longest text, and 4096.
        for flag in ["--frame-bytes-max", "--answer-bytes-max"] {
            assert!(check(flag, "53248") && !check(flag, "53247") && check(flag, "0"));
        }
    }

    #[test]
    fn wrong_values_are_refused() {
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
