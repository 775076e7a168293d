//! How limits are declared: each one once, as a field in the `limits.rs` of its module.
//!
//! A struct of limits derives [`clap::Args`]. Each field is one limit and one flag of `serve`:
//!
//! ```ignore
//! /// Time for a WebSocket client to send `connection_init`.
//! #[arg(long, default_value = "10s", value_parser = duration)]
//! pub init_timeout: Duration,
//! ```
//!
//! - The field's name is the flag, `--init-timeout`, and the environment variable,
//!   `SWITCHBOARD_INIT_TIMEOUT`.
//! - The doc comment is the help text.
//! - `default_value`, or `default_value_t` for numbers, is the default of the flag and of the
//!   struct's [`Default`], which calls [`defaults`].
//! - [`at_least`] sets a minimum. Without one, 0 means no limit.
//! - [`duration`] reads a time.
//!
//! `config` puts these structs into the command line. A test compares the limits with the tables in
//! `docs/OPERATING.md`.

use std::{fmt::Display, str::FromStr, time::Duration};

use clap::{Args, Command};

/// A struct of limits with all its defaults. The environment is not read.
pub(crate) fn defaults<L: Args>() -> L {
    let command = L::augment_args(Command::new("limits").no_binary_name(true));
    let matches = command.try_get_matches_from([] as [&str; 0]);
    matches
        .and_then(|matches| L::from_arg_matches(&matches))
        .expect("every limit has a valid default")
}

/// A parser for numbers that refuses values below a minimum.
pub(crate) fn at_least<T>(
    minimum: T,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr<Err: Display> + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| match text.parse::<T>() {
        Ok(number) if number >= minimum => Ok(number),
        Ok(_) => Err(format!("must be at least {minimum}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads a time such as `500ms`, `30s` or `30days`.
pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// A time limit as a duration to wait for. Zero means no limit, and becomes a time that no process
/// lives to see.
pub(crate) fn unless_zero(limit: Duration) -> Duration {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    if limit.is_zero() { TEN_YEARS } else { limit }
}
