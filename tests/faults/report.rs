//! The arguments, and the table.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    process::ExitCode,
    time::Duration,
};

use crate::{Outcome, Rounds, Scenario};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FAULTS.md");
const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->\n";
const HEAD: &str = "| fault | tried | lost | repeated | out of order | recovered after |\n\
                    |---|---|---|---|---|---|\n";

/// The arguments of the command line.
#[derive(Default)]
pub(crate) struct Arguments {
    all: bool,
    ignored: bool,
    write: bool,
    exact: bool,
    pub(crate) list: bool,
    filters: Vec<String>,
    skips: Vec<String>,
}

/// How a scenario ended.
pub(crate) enum Verdict {
    Passed(Outcome),
    /// A message was lost or repeated, or was out of order.
    Unclean(Outcome),
    Failed(String),
    Skipped(String),
    /// The scenario has failed in the way that is known.
    Known {
        known: &'static str,
        reason: String,
    },
}

impl Arguments {
    /// Reads the arguments. Those that only libtest needs have no effect.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--all" | "--include-ignored" => parsed.all = true,
                "--write" => (parsed.all, parsed.write) = (true, true),
                "--ignored" => parsed.ignored = true,
                "--exact" => parsed.exact = true,
                "--list" => parsed.list = true,
                "--skip" => parsed.skips.extend(arguments.next()),
                "--test-threads" | "--color" | "--format" | "--logfile" => drop(arguments.next()),
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" => {}
                flag if flag.starts_with('-') && !flag.contains('=') => {
                    return Err(format!("unknown argument {flag}"));
                }
                flag if flag.starts_with('-') => {}
                filter => parsed.filters.push(filter.to_owned()),
            }
        }
        if parsed.write && !(parsed.filters.is_empty() && parsed.skips.is_empty()) {
            return Err("--write runs all scenarios; it takes no filter".to_owned());
        }
        Ok(parsed)
    }

    pub(crate) fn selects(&self, scenario: &Scenario) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                scenario.name == filter
            } else {
                scenario.name.contains(filter.as_str())
            }
        };
        let runs = self.all || scenario.quick != self.ignored;
        let named = self.filters.is_empty() || self.filters.iter().any(matches);
        runs && named && !self.skips.iter().any(matches)
    }

    pub(crate) fn rounds(&self) -> Rounds {
        if self.all { Rounds::Many } else { Rounds::Few }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(_) => write!(f, "ok"),
            Self::Unclean(outcome) => write!(f, "FAILED: {:?}", outcome.tally),
            Self::Failed(reason) => write!(f, "FAILED: {reason}"),
            Self::Skipped(reason) => write!(f, "ignored, SKIPPED: {reason}"),
            Self::Known { known, reason } => {
                write!(f, "ignored, KNOWN FAULT: {known} ({reason})")
            }
        }
    }
}

/// A number with one digit that is not 0, rounded up.
fn rounded(number: u128) -> u128 {
    let unit = 10_u128.pow(number.checked_ilog10().unwrap_or_default());
    number.div_ceil(unit) * unit
}

fn time(time: Option<Duration>) -> String {
    match time.map(|time| time.as_millis()) {
        None => "no interruption".to_owned(),
        Some(ms) if ms < 10 => "10 ms".to_owned(),
        Some(ms) if ms < 1000 => format!("{} ms", rounded(ms)),
        Some(ms) => format!("{:.1} s", ms.div_ceil(100) as f64 / 10.0),
    }
}

fn row((scenario, verdict): &(&Scenario, Verdict)) -> String {
    let fault = scenario.fault;
    match verdict {
        Verdict::Passed(outcome) | Verdict::Unclean(outcome) => {
            let tally = &outcome.tally;
            let messages = rounded(tally.messages as u128 + 1) / 1000 * 1000;
            let messages = match messages {
                0 => "under 1000 messages".to_owned(),
                messages => format!("at most {messages} messages"),
            };
            format!(
                "| {fault} | {}, {messages} | {} | {} | {} | {} |\n",
                outcome.tried,
                tally.lost,
                tally.repeated,
                tally.out_of_order,
                time(outcome.recovered)
            )
        }
        Verdict::Failed(reason) => format!("| {fault} | failed: {reason} | | | | |\n"),
        Verdict::Skipped(reason) => format!("| {fault} | skipped: {reason} | | | | |\n"),
        Verdict::Known { known, .. } => format!("| {fault} | **known fault**: {known} | | | | |\n"),
    }
}

fn write(table: &str) -> Result<(), String> {
    let text = fs::read_to_string(DOCUMENT).map_err(|error| format!("{DOCUMENT}: {error}"))?;
    let parts = text.split_once(BEGIN);
    let parts = parts.and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or(format!("{DOCUMENT} has no markers"))?;
    let text = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    fs::write(DOCUMENT, text).map_err(|error| error.to_string())
}

/// Prints the table and the number of scenarios that passed. Returns the exit code.
pub(crate) fn conclude(
    arguments: &Arguments,
    verdicts: &[(&Scenario, Verdict)],
    filtered_out: usize,
) -> ExitCode {
    let rows = verdicts.iter().map(row);
    let table: String = std::iter::once(HEAD.to_owned()).chain(rows).collect();
    println!("\n{table}");
    let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, one)| is(one)).count();
    let passed = count(|verdict| matches!(verdict, Verdict::Passed(_)));
    let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_)));
    let known = count(|verdict| matches!(verdict, Verdict::Known { .. }));
    let mut failed = verdicts.len() - passed - skipped - known;
    if arguments.write
        && failed == 0
        && let Err(reason) = write(&table)
    {
        println!("{reason}");
        failed = 1;
    }
    let ignored = skipped + known;
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {result}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
         {filtered_out} filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}
