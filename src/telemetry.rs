//! What the server says about itself, on standard error.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// The least important that a library may say: below it, some print what they carry.
const LIBRARY_LEVEL_MAX: Level = Level::DEBUG;

/// Libraries that print whole messages, and their closes, above that: what clients send, tokens among it.
const OUTSPOKEN: [(&str, Level); 2] = [
    ("tungstenite", Level::INFO),
    ("tokio_tungstenite", Level::INFO),
];

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Whether something may be logged at all, whatever the operator asks for: what libraries say of what they carry may not.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let origin = metadata.target().split("::").next().unwrap_or_default();
    if origin == env!("CARGO_CRATE_NAME") {
        return true;
    }
    let outspoken = OUTSPOKEN.iter().find(|(library, _)| *library == origin);
    *metadata.level() <= outspoken.map_or(LIBRARY_LEVEL_MAX, |(_, level)| *level)
}

/// Starts logging. The filter is in the words of `tracing`: `info`, `switchboard=debug,warn`. Libraries are not heard below
/// the level at which they print what they carry, whatever it says.
pub fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_discreet));
    let colours = std::io::stderr().is_terminal();
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    let result = match format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    result.map_err(|error| error.to_string())
}
