//! Which step a walk takes next.

use std::collections::VecDeque;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use crate::epochs::action::Action;

/// How many kinds of steps there are.
const KINDS: usize = 18;

/// How much a walk likes each kind of step.
#[derive(Debug)]
pub(super) struct Taste([u32; KINDS]);

impl Taste {
    /// A taste of its own.
    pub(super) fn draw(random: &mut impl Rng) -> Self {
        Taste(std::array::from_fn(|_| [0, 1, 2, 4, 8][random.random_range(0..5)]))
    }

    /// First a kind of step, then one of that kind.
    pub(super) fn choose(&self, actions: &[Action], random: &mut impl Rng) -> Option<Action> {
        let mut weights = [0; KINDS];
        for action in actions {
            weights[kind(action)] = weight(action) * self.0[kind(action)].max(u32::from(is_needed(action)));
        }
        let total: u32 = weights.iter().sum();
        if total == 0 {
            return None;
        }
        let mut left = random.random_range(0..total);
        let chosen = weights.iter().position(|weight| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        })?;
        let of_kind: Vec<&Action> = actions.iter().filter(|action| kind(action) == chosen).collect();
        of_kind.choose(random).map(|action| **action)
    }
}

/// Steps that belong together: what brings replicas into the next epoch, or parts of it, or a store that is lost and filled again.
pub(super) fn plan(replicas: usize, random: &mut impl Rng) -> VecDeque<Action> {
    let one = random.random_range(0..replicas);
    let all: Vec<usize> = (0..replicas).collect();
    let prepare = |turning: &[usize]| -> Vec<Action> {
        let ask = turning.iter().map(|by| Action::Ask { by: *by });
        let exchange = turning.iter().flat_map(|from| exchanges(*from, replicas));
        ask.chain(exchange).collect()
    };
    let turn = |turning: &[usize]| turning.iter().map(|by| Action::Turn { by: *by }).collect();
    let parts: Vec<Vec<Action>> = match random.random_range(0..6) {
        0 => vec![prepare(&[one]), turn(&[one])],
        1 => vec![prepare(&all), turn(&all)],
        2 => vec![prepare(&all), turn(&[one])],
        3 => vec![prepare(&all)],
        4 => vec![turn(&all)],
        _ => vec![vec![Action::LoseDisk { replica: one }], exchanges(one, replicas).collect()],
    };
    parts.into_iter().flatten().collect()
}

fn exchanges(from: usize, replicas: usize) -> impl Iterator<Item = Action> {
    (0..replicas).filter(move |to| *to != from).map(move |to| Action::Exchange { from, to })
}

/// Whether without such steps nothing goes on.
fn is_needed(action: &Action) -> bool {
    matches!(
        action,
        Action::Exchange { .. }
            | Action::Write { .. }
            | Action::Arrive { again: false, .. }
            | Action::Turn { .. }
            | Action::Ask { .. }
    )
}

/// How often such steps come by themselves.
fn weight(action: &Action) -> u32 {
    match action {
        Action::Turn { .. } => 32,
        Action::Exchange { .. } | Action::Ask { .. } => 16,
        Action::Arrive { again: false, .. } | Action::Deliver { .. } => 8,
        Action::Write { .. } | Action::Offer { .. } => 4,
        _ => 2,
    }
}

/// The number of an action's kind.
fn kind(action: &Action) -> usize {
    match action {
        Action::Read { .. } => 0,
        Action::Write { .. } => 1,
        Action::Expire { .. } => 2,
        Action::Repair { .. } => 3,
        Action::Deliver { .. } => 4,
        Action::Offer { .. } => 5,
        Action::Exchange { .. } => 6,
        Action::Arrive { again: false, .. } => 7,
        Action::Arrive { again: true, .. } => 8,
        Action::Lose { .. } => 9,
        Action::Ask { .. } => 10,
        Action::Turn { .. } => 11,
        Action::Restart { .. } => 12,
        Action::LoseDisk { .. } => 13,
        Action::BackUp { .. } => 14,
        Action::Restore { .. } => 15,
        Action::LoseStandIn => 16,
        Action::LoseRecord { .. } => 17,
    }
}
