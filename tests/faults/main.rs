//! Faults of the process, the network, the disk and the clock, against the real executable under
//! load. Each scenario is one row of the table in `docs/FAULTS.md`.
//!
//! `cargo test --test faults` runs the quick scenarios. Further arguments:
//!
//! - `--all` runs all scenarios, with more rounds.
//! - `--write` runs all, and writes the table of the document.
//! - `--ignored` runs only the scenarios that are not quick.
//! - A text selects the scenarios whose names contain it.
//!
//! A scenario that needs a missing program or right is skipped. If the environment variable CI is
//! set, it fails instead.

mod judge;
mod proxy;
mod report;
mod scenarios;
mod shim;
mod site;
mod socket;
mod stage;
mod traffic;

use std::{panic::AssertUnwindSafe, process::ExitCode, time::Duration};

use futures::{FutureExt, future::BoxFuture};

use report::{Arguments, Verdict};
use traffic::Tally;

/// How long a scenario waits for an event, before it fails. No scenario measures time with it.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A fault, and how it is tried.
pub(crate) struct Scenario {
    /// For the filter.
    name: &'static str,
    /// The first cell of the row.
    fault: &'static str,
    /// Whether `cargo test` runs it.
    quick: bool,
    /// A fault of the server that is known, and that the scenario shows. Then the scenario must
    /// fail.
    known: Option<&'static str>,
    run: fn(Rounds) -> BoxFuture<'static, Result<Outcome, Failure>>,
}

/// How often a scenario repeats its fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounds {
    Few,
    Many,
}

impl Rounds {
    /// One of two numbers.
    pub(crate) fn of<T>(self, few: T, many: T) -> T {
        match self {
            Self::Few => few,
            Self::Many => many,
        }
    }
}

/// The result of a scenario in which the server behaved as documented.
pub(crate) struct Outcome {
    pub(crate) tried: String,
    pub(crate) tally: Tally,
    /// From the end of the fault until the first acknowledged write, at most.
    pub(crate) recovered: Option<Duration>,
}

/// Why a scenario has no outcome.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something that it needs is missing.
    Skipped(String),
    Failed(String),
}

impl Failure {
    /// Adds a detail.
    pub(crate) fn with(self, detail: &str) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(format!("{text}; {detail}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self::Failed(text.to_owned())
    }
}

/// A number of times, in words.
pub(crate) fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// Waits until a future is ready. Fails after [`WAIT_MAX`].
pub(crate) async fn wait_for<F: Future>(what: &str, future: F) -> Result<F::Output, Failure> {
    let waited = tokio::time::timeout(WAIT_MAX, future).await;
    waited.map_err(|_| Failure::Failed(format!("timed out waiting for {what}")))
}

/// Runs a scenario. A panic is a failure.
async fn verdict(scenario: &Scenario, rounds: Rounds) -> Verdict {
    let running = AssertUnwindSafe((scenario.run)(rounds)).catch_unwind();
    match running.await {
        Ok(Ok(outcome)) if outcome.tally.is_clean() => Verdict::Passed(outcome),
        Ok(Ok(outcome)) => Verdict::Unclean(outcome),
        Ok(Err(Failure::Skipped(reason))) if std::env::var_os("CI").is_none() => {
            Verdict::Skipped(reason)
        }
        Ok(Err(Failure::Skipped(reason))) => {
            Verdict::Failed(format!("it was skipped, and CI is set: {reason}"))
        }
        Ok(Err(Failure::Failed(reason))) => Verdict::Failed(reason),
        Err(_) => Verdict::Failed("a panic".to_owned()),
    }
}

/// The verdict on a scenario that shows a known fault of the server.
fn with_known(verdict: Verdict, known: Option<&'static str>) -> Verdict {
    match (verdict, known) {
        (Verdict::Failed(reason), Some(known)) => Verdict::Known { known, reason },
        (Verdict::Unclean(outcome), Some(known)) => Verdict::Known {
            known,
            reason: format!("{:?}", outcome.tally),
        },
        (Verdict::Passed(_), Some(_)) => {
            Verdict::Failed("it has passed: its fault is not `known` any more".to_owned())
        }
        (verdict, _) => verdict,
    }
}

fn main() -> ExitCode {
    judge::check_itself();
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::from(2);
        }
    };
    let all = scenarios::all();
    let selected: Vec<&Scenario> = all.iter().filter(|one| arguments.selects(one)).collect();
    if arguments.list {
        for scenario in selected {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("\nrunning {} tests", selected.len());
    let mut verdicts = Vec::new();
    for scenario in &selected {
        let began = std::time::Instant::now();
        let verdict = runtime.block_on(verdict(scenario, arguments.rounds()));
        let verdict = with_known(verdict, scenario.known);
        println!(
            "test {} ... {verdict} ({:.1?})",
            scenario.name,
            began.elapsed()
        );
        verdicts.push((*scenario, verdict));
    }
    report::conclude(&arguments, &verdicts, all.len() - selected.len())
}
