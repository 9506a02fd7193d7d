use std::hint;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};

use crate::batches::BATCHES;
use crate::child;
use crate::directory;
use crate::engine::Engine;
use crate::model::Model;
use crate::random::Random;
use crate::strace::STORE;

const KILLS: u64 = 200;

/// The moment is a random number of acknowledgements and then a random fraction of a batch later.
#[test]
fn two_hundred_kills_at_random_moments_lose_nothing_that_was_acknowledged() {
    let mut random = Random::new(std::process::id().into());
    let mut place = directory();
    let mut model = Model::default();
    let mut in_progress_was_there = 0;
    for kill in 0..KILLS {
        if model.batches() + 20 > BATCHES {
            place = directory();
            model = Model::default();
        }
        let store = place.path().join(STORE);
        let command =
            child::writing(Engine::Lmdb, Command::new(child::program()), &store, model.batches(), BATCHES);
        let acknowledged = kill_after(command, random.below(12) as usize, random.below(60_000));
        let known = model.batches() + acknowledged.len();
        model.check(&store, &acknowledged, &format!("after random kill {kill}"));
        in_progress_was_there += model.batches() - known;
    }
    println!("{KILLS} kills; {in_progress_was_there} times the batch in progress was there");
}

/// Starts the writing process, kills it after a number of lines and of turns of a loop, and returns what it acknowledged.
pub(crate) fn kill_after(mut command: Command, lines: usize, turns: u64) -> Vec<usize> {
    let mut process: Child = command.spawn().expect("the writing process starts");
    let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
    let mut said = String::new();
    // What the harness says before the first batch counts as lines too, so that some kills hit the opening.
    for _ in 0..lines {
        stdout.read_line(&mut said).expect("a line of the writing process");
    }
    for _ in 0..turns {
        hint::spin_loop();
    }
    process.kill().expect("the writing process is killed");
    stdout.read_to_string(&mut said).expect("the last lines of the writing process");
    process.wait().expect("the writing process ends");
    said.lines().filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).collect()
}
