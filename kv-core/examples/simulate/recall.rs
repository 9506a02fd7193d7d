use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::Arguments;
use crate::simulate::hunt::{HEAD, Hunted, hunt_all};

/// Rows of the table of pitfalls that a mutant of the simulator has to stand for.
const BY_SIMULATION: &[u8] =
    &[1, 3, 4, 5, 6, 7, 8, 9, 10, 13, 15, 16, 19, 21, 24, 25, 27, 28, 30, 31, 32, 33, 34, 35, 36];
/// Rows that wait for what does not exist yet.
const WAITING: &[u8] = &[2, 14, 18, 37, 38];

const INTRODUCTION: &str = "\
# Recall

Which check finds each broken node, and each known way in which such systems have failed. Made by

```sh
cargo run --release -p kv-core --example simulate --features mutants -- --recall docs/recall.md --seeds 3000
```

Seconds are those of one core. A mutant is the node broken in one way ([simulation.md](simulation.md#mutants-does-it-find-anything)); a seed that finds the node itself at fault
does not count.
";

const CONTROLS: &str = "\
## Positive controls

What has to fail every time, so that a clean run says something.

| what is taken away | fails | command |
|---|---|---|
| siblings: the last write wins under concurrent puts | the judge of histories | `nemesis --control last-write-wins` ([nemesis.md](nemesis.md)) |
| synced commits, under a power cut | the judge of histories | `nemesis --control lying-disks` |
| quorums that overlap | the judge of histories | `nemesis --control weak-quorums` |
| copies for absent owners are kept, while owners lose a disk | the judge of histories | `nemesis --control stand-ins` |
| exchanges, with keys that are never read | the judge of histories | `nemesis --control no-exchange` |
| the fence of epochs, under a delayed message | the mutant `NoFence` above, and [`what_was_read_long_ago_is_refused`](../kv-core/tests/machine/epochs.rs) | `simulate --mutant NoFence` |
| that a damaged record is told from an absent one | the mutant `DamagedCountsAsMissing` above | `simulate --mutant DamagedCountsAsMissing` |
";

/// Hunts every mutant, writes what was found to a file, and says whether every row of the table of pitfalls is found that has to be.
pub(crate) fn write(arguments: &Arguments, file: &Path) -> bool {
    let hunted = hunt_all(arguments);
    let pitfalls = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pitfalls.md");
    let pitfalls = match std::fs::read_to_string(pitfalls) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{pitfalls}: {error}");
            return false;
        }
    };
    let mut missed: Vec<String> = hunted
        .iter()
        .filter(|hunted| hunted.is_missed())
        .map(|hunted| format!("{:?}", hunted.mutant))
        .collect();
    let by_name: BTreeMap<String, Hunted> =
        hunted.iter().map(|hunted| (format!("{:?}", hunted.mutant), *hunted)).collect();
    let mut text = format!(
        "{INTRODUCTION}\n## Pitfalls\n\nThe rows are those of [pitfalls.md](pitfalls.md). Tests are run by `./test`.\n\n| row | what goes wrong | found by |\n|---|---|---|\n"
    );
    for line in pitfalls.lines() {
        let Some((number, wrong, found)) = row(line) else { continue };
        let found = found_by(number, found, &by_name);
        if found.is_empty() || (BY_SIMULATION.contains(&number) && !found.starts_with('`')) {
            missed.push(format!("row {number}"));
        }
        let _ = writeln!(text, "| {number} | {wrong} | {found} |");
    }
    let _ = writeln!(text, "\n## Mutants\n\n{HEAD}");
    for hunted in &hunted {
        let _ = writeln!(text, "{}", hunted.row());
    }
    let _ = write!(text, "\n{CONTROLS}");
    if let Err(error) = std::fs::write(file, text) {
        eprintln!("{}: {error}", file.display());
        return false;
    }
    if !missed.is_empty() {
        eprintln!("not found: {}", missed.join(", "));
    }
    missed.is_empty()
}

/// The number, what goes wrong, and what fails if nothing is done, of a row of the table.
fn row(line: &str) -> Option<(u8, &str, &str)> {
    let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
    let number = cells.next()?.parse().ok()?;
    Some((number, cells.next()?, cells.last()?))
}

/// What finds a row: mutants that the simulator found, or else tests.
fn found_by(number: u8, found: &str, hunted: &BTreeMap<String, Hunted>) -> String {
    if WAITING.contains(&number) {
        return "waits for what does not exist yet".into();
    }
    let mut mutants = Vec::new();
    let mut tests = Vec::new();
    for (place, name) in found.split('`').enumerate() {
        if place % 2 == 0 {
            continue;
        }
        match hunted.get(name) {
            Some(Hunted { by: Some(check), seeds, seconds, .. }) => {
                mutants.push(format!("`{name}` by \"{check}\" after {seeds} seeds, {seconds:.1} s"));
            }
            Some(_) => {}
            None if name.contains('_') => tests.push(name),
            None => {}
        }
    }
    if mutants.is_empty() {
        return match tests[..] {
            [] => String::new(),
            [test] => format!("the test `{test}`"),
            [first, ..] => format!("the test `{first}` and {} more", tests.len() - 1),
        };
    }
    mutants.join("; ")
}
