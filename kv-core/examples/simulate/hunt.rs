use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use kv_core::mutants::{Mutant, choose};
use kv_core::testing::simulation::{Check, Simulation};

use crate::Arguments;

/// What became of a hunt for one mutant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hunted {
    pub(crate) mutant: Mutant,
    /// The check that found it; none if nothing did, or if it is left to tests.
    pub(crate) by: Option<Check>,
    pub(crate) seeds: u64,
    pub(crate) seconds: f64,
}

impl Hunted {
    pub(crate) fn is_left_to_tests(&self) -> bool {
        Mutant::FOUND_BY_TESTS.contains(&self.mutant)
    }

    pub(crate) fn is_missed(&self) -> bool {
        self.by.is_none() && !self.is_left_to_tests()
    }

    /// A row of the table of mutants.
    pub(crate) fn row(&self) -> String {
        let Hunted { mutant, seeds, seconds, .. } = self;
        match self.by {
            Some(check) => format!("| `{mutant:?}` | {check} | {seeds} | {seconds:.2} |"),
            None if self.is_left_to_tests() => {
                format!(
                    "| `{mutant:?}` | [tests of the machine](../kv-core/tests/machine/mutants.rs) | - | - |"
                )
            }
            None => format!("| `{mutant:?}` | NOT FOUND | {seeds} | {seconds:.2} |"),
        }
    }
}

/// The head of the table of mutants.
pub(crate) const HEAD: &str = "| mutant | found by | seeds | seconds |\n|---|---|---|---|";

/// The mutant of that name.
pub(crate) fn by_name(name: Option<&str>) -> Option<Mutant> {
    let name = name?;
    let found = Mutant::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == name);
    assert!(found.is_some(), "there is no mutant '{name}': {:?}", Mutant::ALL);
    found
}

/// Hunts every mutant, some at a time.
pub(crate) fn hunt_all(arguments: &Arguments) -> Vec<Hunted> {
    let next = AtomicUsize::new(0);
    let hunted = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = hunt(arguments, *mutant);
                    eprintln!("{}", found.row());
                    if let Ok(mut hunted) = hunted.lock() {
                        hunted.push(found);
                    }
                }
            });
        }
    });
    let mut hunted = hunted.into_inner().unwrap_or_default();
    hunted.sort_by_key(|hunted| Mutant::ALL.iter().position(|mutant| *mutant == hunted.mutant));
    hunted
}

fn hunt(arguments: &Arguments, mutant: Mutant) -> Hunted {
    let start = Instant::now();
    let mut hunted = Hunted { mutant, by: None, seeds: 0, seconds: 0.0 };
    if hunted.is_left_to_tests() {
        return hunted;
    }
    choose(Some(mutant));
    for seed in arguments.start..arguments.start + arguments.seeds {
        hunted.seeds += 1;
        let run = || Simulation::new(arguments.config()).seed(seed).run();
        let Some(violation) = run().violations.into_iter().next() else { continue };
        // A seed that finds the node itself at fault proves nothing about the mutant.
        choose(None);
        let is_mutants = run().violations.is_empty();
        choose(Some(mutant));
        if is_mutants {
            hunted.by = Some(violation.check);
            break;
        }
    }
    choose(None);
    Hunted { seconds: start.elapsed().as_secs_f64(), ..hunted }
}

/// Hunts every mutant, prints the table, and says whether all were found.
pub(crate) fn report(arguments: &Arguments) -> bool {
    let hunted = hunt_all(arguments);
    println!("{HEAD}");
    hunted.iter().for_each(|hunted| println!("{}", hunted.row()));
    !hunted.iter().any(Hunted::is_missed)
}
