//! The command `nemesis`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::nemesis::control::{self, Control};
use crate::nemesis::history;
use crate::nemesis::judge::{self, Violation};
use crate::nemesis::report::milliseconds;
use crate::nemesis::run::{self, Extent, Outcome};
use crate::nemesis::schedule::Scenario;

/// Violations of one rule that are printed; nobody reads more.
const PRINTED: usize = 5;

/// What is to be run.
#[derive(Debug, Clone, clap::Args)]
pub struct Nemesis {
    /// Which scenario, or `all` of them, one after the other.
    #[arg(long, default_value = "all", value_parser = scenarios)]
    pub scenario: Scenarios,
    /// Runs something that does lose writes, and succeeds if the judge finds that; no scenario is run.
    #[arg(long, value_enum, conflicts_with = "judge")]
    pub control: Option<Control>,
    /// How long and how large.
    #[command(flatten)]
    pub extent: Extent,
    /// Where the history is written, as lines of JSON.
    #[arg(long)]
    pub history: Option<PathBuf>,
    /// Judges a history that was written before, and runs nothing.
    #[arg(long, conflicts_with = "history")]
    pub judge: Option<PathBuf>,
}

/// Scenarios that are run one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenarios(pub Vec<Scenario>);

fn scenarios(text: &str) -> Result<Scenarios, String> {
    if text == "all" {
        return Ok(Scenarios(Scenario::ALL.to_vec()));
    }
    let names: Vec<String> = Scenario::ALL.into_iter().map(Scenario::name).collect();
    let place = names.iter().position(|name| name == text);
    let place = place.ok_or_else(|| format!("a scenario is all or one of {}", names.join(", ")))?;
    Ok(Scenarios(vec![Scenario::ALL[place]]))
}

/// Runs what was asked for and prints what came of it.
///
/// # Errors
///
/// If something goes against a promise, and what the machine lacks or forbids.
pub async fn run(options: &Nemesis) -> anyhow::Result<()> {
    if let Some(path) = &options.judge {
        let violations = judge::judge(&history::read(path)?);
        print_violations(&violations);
        anyhow::ensure!(violations.is_empty(), "{} violations", violations.len());
        println!("no violation");
        return Ok(());
    }
    if let Some(control) = options.control {
        let outcome = control::check(control, &options.extent).await?;
        print(&outcome);
        println!("{control:?}: found, as it has to be");
        return Ok(());
    }
    let mut failed = Vec::new();
    let mut rows = Vec::new();
    for scenario in options.scenario.0.iter().copied() {
        println!("== {}, seed {}", scenario.name(), options.extent.seed);
        let plan = run::plan(scenario, &options.extent);
        let outcome = run::run(&plan, &options.extent).await;
        match outcome {
            Ok(outcome) => {
                if let Some(path) = &options.history {
                    history::write(path, &outcome.history)?;
                }
                print(&outcome);
                rows.push(row(&scenario.name(), &outcome));
                if !outcome.is_good() {
                    failed.push(scenario.name());
                }
            }
            Err(error) => {
                println!("not run: {error:#}");
                failed.push(scenario.name());
            }
        }
    }
    println!("{TABLE}{}", rows.concat());
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// The head of the table of docs/nemesis.md.
const TABLE: &str = "| scenario | operations | not applied | indeterminate | gets failed | lost | violations | at rest, s | keys made equal by exchanges | p99 \
before, ms | p99 during, ms | p99 after, ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n";

/// What came of a run, as a row of that table.
fn row(name: &str, outcome: &Outcome) -> String {
    let counts = &outcome.figures.counts;
    let rest = outcome.rest.as_ref().map_or(("never".to_string(), "-".to_string()), |rest| {
        (format!("{:.2}", rest.equal.as_secs_f64()), format!("{} of {}", rest.unequal, rest.keys))
    });
    let [before, during, after] = [0, 1, 2].map(|phase: usize| {
        format!("{:.1}", milliseconds(outcome.figures.latency[phase].value_at_quantile(0.99)))
    });
    let cells = [
        format!("`{name}`"),
        counts.operations().to_string(),
        counts.not_applied.to_string(),
        counts.indeterminate.to_string(),
        counts.failed.to_string(),
        outcome.lost().to_string(),
        (outcome.violations.len() + outcome.troubles.len()).to_string(),
        rest.0,
        rest.1,
        before,
        during,
        after,
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Prints what came of a run.
pub fn print(outcome: &Outcome) {
    print!("{}", outcome.figures.told());
    if let Some(rest) = &outcome.rest {
        println!(
            "after the faults: handed over after {:.1} ms, all owners equal after {:.1} ms; {} of {} keys by exchanges",
            milliseconds(rest.handed_over.as_micros() as u64),
            milliseconds(rest.equal.as_micros() as u64),
            rest.unequal,
            rest.keys
        );
    }
    outcome.notes.iter().for_each(|note| println!("{note}"));
    outcome.troubles.iter().for_each(|trouble| println!("WRONG: {trouble}"));
    print_violations(&outcome.violations);
    println!(
        "lost: {}; violations: {}; troubles: {}",
        outcome.lost(),
        outcome.violations.len(),
        outcome.troubles.len()
    );
}

fn print_violations(violations: &[Violation]) {
    let mut printed = BTreeMap::new();
    for violation in violations {
        let count: &mut usize = printed.entry(violation.rule).or_default();
        *count += 1;
        if *count <= PRINTED {
            println!("WRONG: {violation}");
        }
    }
    printed.iter().for_each(|(rule, count)| println!("{rule:?}: {count} violations"));
}
