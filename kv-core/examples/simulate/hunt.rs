use std::time::Instant;

use kv_core::mutants::{Mutant, choose};
use kv_core::testing::simulation::Simulation;

use crate::Arguments;

/// The mutant of that name.
pub(crate) fn by_name(name: Option<&str>) -> Option<Mutant> {
    let name = name?;
    let found = Mutant::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == name);
    assert!(found.is_some(), "there is no mutant '{name}': {:?}", Mutant::ALL);
    found
}

/// Hunts every mutant, prints the table, and says whether all were found.
pub(crate) fn hunt(arguments: &Arguments) -> bool {
    let mut all = true;
    println!("| mutant | found by | seeds | seconds |");
    println!("|---|---|---|---|");
    for mutant in Mutant::ALL {
        if Mutant::FOUND_BY_TESTS.contains(mutant) {
            println!("| {mutant:?} | tests of the machine | - | - |");
            continue;
        }
        choose(Some(*mutant));
        let start = Instant::now();
        let seeds = arguments.start..arguments.start + arguments.seeds;
        let found = seeds.into_iter().find_map(|seed| {
            let run = || Simulation::new(arguments.config()).seed(seed).run();
            let violation = run().violations.into_iter().next()?;
            // A seed that finds the node itself at fault proves nothing about the mutant.
            choose(None);
            let is_mutants = run().violations.is_empty();
            choose(Some(*mutant));
            is_mutants.then_some((seed, violation.check))
        });
        let seconds = start.elapsed().as_secs_f64();
        match found {
            Some((seed, check)) => {
                println!("| {mutant:?} | {check} | {} | {seconds:.2} |", seed - arguments.start + 1);
            }
            None => {
                all = false;
                println!("| {mutant:?} | NOT FOUND | {} | {seconds:.2} |", arguments.seeds);
            }
        }
    }
    choose(None);
    all
}
