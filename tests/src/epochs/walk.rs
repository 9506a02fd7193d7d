//! Long random walks over a model that is too large to be searched.

use std::collections::VecDeque;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stateright::Model;

use crate::epochs::action::Action;
use crate::epochs::checks::Check;
use crate::epochs::choice::{Taste, plan};
use crate::epochs::model::EpochModel;
use crate::epochs::rest;

/// A check that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The check.
    pub check: Check,
    /// The seed of the walk.
    pub seed: u64,
    /// The steps to the state in which it fails, or from which the world does not come to rest.
    pub steps: Vec<Action>,
    /// The model, as large as it was in this walk.
    pub model: EpochModel,
}

/// How many steps in a row may change nothing before a walk is given up.
const IDLE_MAX: usize = 200;

/// Goes `length` steps from the beginning. Each seed has its own budget and its own taste for each kind of step (swarm testing, Groce et
/// al. 2012). Safety is checked after every step, rest at the end. Gives how many steps were taken.
pub(super) fn walk(model: &EpochModel, seed: u64, length: usize) -> Result<usize, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let model = smaller(model, &mut random);
    let taste = Taste::draw(&mut random);
    let haste = [0, 2, 8, 32][random.random_range(0..4)];
    let mut planned = VecDeque::new();
    let (mut world, mut steps, mut actions) = (model.init_states().remove(0), Vec::new(), Vec::new());
    let mut idle = 0;
    while steps.len() < length && idle < IDLE_MAX {
        actions.clear();
        model.actions(&world, &mut actions);
        if planned.is_empty() && random.random_range(0..64) < haste {
            planned = plan(model.replicas, &mut random);
        }
        let action = match planned.pop_front() {
            Some(next) if actions.contains(&next) => Some(next),
            Some(_) => continue,
            None => taste.choose(&actions, &mut random),
        };
        let Some(action) = action else { break };
        let Some(next) = model.next_state(&world, action) else {
            idle += 1;
            continue;
        };
        idle = 0;
        world = next;
        steps.push(action);
        if let Some(check) = Check::SAFETY.into_iter().find(|check| !check.holds(&world, model.rule)) {
            return Err(Failure { check, seed, steps, model });
        }
    }
    match rest::fails(world, model.rule) {
        Some(check) => Err(Failure { check, seed, steps, model }),
        None => Ok(steps.len()),
    }
}

/// A model in which less can happen.
fn smaller(model: &EpochModel, random: &mut impl Rng) -> EpochModel {
    let mut smaller = *model;
    let mut upto = |most: u8| random.random_range(0..=most);
    let budget = &mut smaller.budget;
    budget.writes = 1 + upto(budget.writes - 1);
    (budget.sends, budget.restarts, budget.losses) =
        (upto(budget.sends), upto(budget.restarts), upto(budget.losses));
    smaller.halves &= upto(1) == 0;
    smaller
}
