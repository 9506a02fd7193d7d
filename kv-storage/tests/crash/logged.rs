use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::child;
use crate::directory;
use crate::engine::Engine;
use crate::model::Model;
use crate::random::Random;
use crate::random_kills::kill_after;
use crate::strace::{self, Call, Injection, STORE};

/// Batches of a run, in which the log is given away some twenty times.
const BATCHES: usize = 100;
const KILLS: u64 = 200;

/// Each call that reaches the device is the one at which a process is killed that began with nothing; what it leaves is opened by another.
#[test]
fn a_kill_at_any_durable_call_loses_nothing_that_a_log_has() {
    if !strace::is_available("a_kill_at_any_durable_call_loses_nothing_that_a_log_has") {
        return;
    }
    let started = Instant::now();
    let calls = strace::run_engine(Engine::Logged, directory().path(), 0, BATCHES, None).calls;
    let durable: Vec<usize> = (0..calls.len()).filter(|index| calls[*index].is_durable).collect();
    assert!(durable.len() > 2 * BATCHES, "each batch is written and synced: {}", durable.len());
    let (first, second) = durable.split_at(durable.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| first.iter().for_each(|target| kill_at(&calls, *target)));
        second.iter().for_each(|target| kill_at(&calls, *target));
    });
    println!("{} kills in {:.1} s", durable.len(), started.elapsed().as_secs_f64());
}

fn kill_at(calls: &[Call], target: usize) {
    let place = directory();
    let name = &calls[target].name;
    let when = calls[..=target].iter().filter(|call| call.name == *name).count();
    let injection = Injection { name, when, what: "signal=SIGKILL" };
    let run = strace::run_engine(Engine::Logged, place.path(), 0, BATCHES, Some(&injection));
    let acknowledged = child::said(&run.output, "ack ");
    let before = calls[..target].iter().filter(|call| call.is_acknowledgement).count();
    let context = format!("killed at call {when} of {name}");
    assert_eq!(acknowledged.len(), before, "{context}: another call than that");
    Model::of(Engine::Logged).check(&place.path().join(STORE), &acknowledged, &context);
}

#[test]
fn kills_at_random_moments_lose_nothing_that_a_log_has() {
    let mut random = Random::new(std::process::id().into());
    let engine = Engine::LoggedInBackground;
    let mut place = directory();
    let mut model = Model::of(engine);
    for kill in 0..KILLS {
        if model.batches() + 60 > crate::batches::BATCHES {
            place = directory();
            model = Model::of(engine);
        }
        let store = place.path().join(STORE);
        let command = Command::new(child::program());
        let command = child::writing(engine, command, &store, model.batches(), crate::batches::BATCHES);
        let acknowledged = kill_after(command, random.below(40) as usize, random.below(60_000));
        model.check(&store, &acknowledged, &format!("after random kill {kill}"));
    }
}
