//! The table of figures.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

use crate::server::Kind;

/// Figures by scenario and server, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(String, &'static str)>,
    figures: BTreeMap<(String, &'static str), f64>,
}

impl Report {
    pub(crate) fn add(&mut self, scenario: &str, unit: &'static str, server: Kind, figure: f64) {
        let row = (scenario.to_owned(), unit);
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        println!("  {:<22} {scenario}: {figure:.2} {unit}", server.name());
        self.figures
            .insert((scenario.to_owned(), server.name()), figure);
    }

    /// Prints all rows. Beside each baseline's figure is the ratio of Switchboard's figure to it.
    pub(crate) fn print(&self) {
        println!(
            "\n| what | unit | {} |",
            Kind::ALL.map(Kind::name).join(" | ")
        );
        println!("|---|---|{}", "---|".repeat(Kind::ALL.len()));
        for (scenario, unit) in &self.rows {
            let of = |kind: Kind| self.figures.get(&(scenario.clone(), kind.name())).copied();
            let ours = of(Kind::Switchboard);
            let cell = |kind: Kind| match (of(kind), ours) {
                (None, _) => String::new(),
                (Some(figure), Some(ours)) if kind != Kind::Switchboard => {
                    format!("{} (ours: {:.2} x)", short(figure), ours / figure)
                }
                (Some(figure), _) => format!("**{}**", short(figure)),
            };
            println!(
                "| {scenario} | {unit} | {} |",
                Kind::ALL.map(cell).join(" | ")
            );
        }
    }
}

fn short(figure: f64) -> String {
    match figure {
        large if large >= 100.0 => format!("{large:.0}"),
        middle if middle >= 10.0 => format!("{middle:.1}"),
        small => format!("{small:.2}"),
    }
}

/// The median.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The percentile of `ages` at `part`, which is from 0 to 1, in milliseconds.
pub(crate) fn percentile_ms(ages: &mut [Duration], part: f64) -> f64 {
    ages.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((ages.len() as f64 * part) as usize).min(ages.len().saturating_sub(1));
    ages.get(index)
        .map_or(f64::NAN, |age| age.as_secs_f64() * 1e3)
}

/// How long this machine's disk takes for an fdatasync of 4 KiB, in microseconds. The median of
/// 200.
pub(crate) fn fdatasync_us() -> f64 {
    let path = std::env::temp_dir().join(format!("switchboard-bench-sync-{}", std::process::id()));
    let mut file = File::create(&path).expect("a temporary file");
    let times = (0..200).map(|_| {
        file.write_all(&[0; 4096]).expect("room on the disk");
        let start = Instant::now();
        file.sync_data().expect("a sync");
        start.elapsed().as_secs_f64() * 1e6
    });
    let middle = median(times.collect());
    let _ = std::fs::remove_file(path);
    middle
}
