//! The log that the server writes about itself, on standard error.
//!
//! - **A3** Libraries may log the data that they carry, which includes tokens. So their most
//!   detailed levels are never logged, whatever filter the operator sets.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// The most detailed level of a library. Below it, some libraries log the data that they carry.
const LIBRARY_LEVEL_MAX: Level = Level::DEBUG;

/// Libraries that log whole messages, and the reasons of closes, at DEBUG already.
const VERBOSE_LIBRARIES: [(&str, Level); 2] = [
    ("tungstenite", Level::INFO),
    ("tokio_tungstenite", Level::INFO),
];

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be parsed.
    #[error(transparent)]
    Filter(#[from] ParseError),
    /// Logging was started already.
    #[error(transparent)]
    Started(#[from] TryInitError),
}

/// Whether a log line is allowed, independent of the filter that the operator sets.
fn is_allowed(metadata: &Metadata<'_>) -> bool {
    let origin = metadata.target().split("::").next().unwrap_or_default();
    if origin == env!("CARGO_CRATE_NAME") {
        return true;
    }
    let verbose = VERBOSE_LIBRARIES
        .iter()
        .find(|(library, _)| *library == origin);
    *metadata.level() <= verbose.map_or(LIBRARY_LEVEL_MAX, |(_, level)| *level)
}

/// Starts logging.
///
/// The filter has the syntax of `tracing`, for example `info` or `switchboard=debug,warn`. It
/// cannot enable the levels at which libraries log the data that they carry.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter)?;
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_allowed));
    let colours = std::io::stderr().is_terminal();
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    match format {
        LogFormat::Text => registry.with(layer).try_init()?,
        LogFormat::Json => registry.with(layer.json()).try_init()?,
    }
    Ok(())
}
