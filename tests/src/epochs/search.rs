//! Walks from many seeds until one fails.

use std::ops::Range;
use std::time::{Duration, Instant};

use stateright::{Checker, Model};

use crate::epochs::model::EpochModel;
use crate::epochs::walk::{Failure, walk};

/// What came of many walks.
#[derive(Debug)]
pub struct Search {
    /// How many walks were made, with the one that failed.
    pub walks: u64,
    /// How many steps all of them had.
    pub steps: usize,
    /// How long it took.
    pub took: Duration,
    /// The first failure.
    pub failure: Option<Failure>,
}

/// Walks from each of `seeds` until a check fails.
pub fn search(model: &EpochModel, seeds: Range<u64>, length: usize) -> Search {
    let start = Instant::now();
    let (mut walks, mut steps) = (0, 0);
    for seed in seeds {
        walks += 1;
        match walk(model, seed, length) {
            Ok(taken) => steps += taken,
            Err(failure) => {
                steps += failure.steps.len();
                return Search { walks, steps, took: start.elapsed(), failure: Some(failure) };
            }
        }
    }
    Search { walks, steps, took: start.elapsed(), failure: None }
}

/// What came of looking at every state.
#[derive(Debug)]
pub struct Exhausted {
    /// How many states there are.
    pub states: usize,
    /// Whether none was left out.
    pub is_done: bool,
    /// The checks that failed, each with the steps to a state where it does.
    pub failures: Vec<String>,
}

/// Looks at every state of a small model.
pub fn every_state(model: EpochModel) -> Exhausted {
    let checker = model.checker().spawn_bfs().join();
    let discoveries = checker.discoveries().into_iter();
    Exhausted {
        states: checker.unique_state_count(),
        is_done: checker.is_done(),
        failures: discoveries.map(|(name, path)| format!("{name}: {:?}", path.into_actions())).collect(),
    }
}
