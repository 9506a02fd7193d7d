use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::batches::BATCHES;
use crate::child;
use crate::directory;
use crate::engine::Engine;
use crate::model::Model;
use crate::strace::{self, Call, Injection, STORE};

/// What an undisturbed run does, cut at its acknowledgements.
#[derive(Debug)]
struct Plan {
    /// Making the store and writing batch 0.
    creation: Vec<Call>,
    /// Opening a store that exists.
    reopening: Vec<Call>,
    /// Writing each batch and acknowledging it; the entry of batch 0 is not used.
    batches: Vec<Vec<Call>>,
}

/// A run of 500 batches makes some three thousand calls that reach the device. Each of them is the one at which a
/// process is killed, before the kernel carries it out. The process that follows goes on with the store that is left,
/// until it is killed at the next call; what it does up to there is compared, call by call, with the undisturbed run.
#[test]
fn a_kill_at_any_durable_call_loses_nothing_that_was_acknowledged() {
    if !strace::is_available("a_kill_at_any_durable_call_loses_nothing_that_was_acknowledged") {
        return;
    }
    let started = Instant::now();
    let plan = Plan::record();
    let half = BATCHES / 2;
    let kills: usize = thread::scope(|scope| {
        let creation = scope.spawn(|| kill_during_creation(&plan.creation));
        let first = scope.spawn(|| kill_during(&plan, 1..half));
        let second = kill_during(&plan, half..BATCHES);
        creation.join().unwrap() + first.join().unwrap() + second
    });
    let calls = plan.creation.iter().chain(plan.batches.iter().skip(1).flatten());
    assert_eq!(kills, calls.filter(|call| call.is_durable).count(), "every call was killed");
    println!("{kills} kills in {:.1} s", started.elapsed().as_secs_f64());
}

impl Plan {
    fn record() -> Self {
        let place = directory();
        let run = strace::run(place.path(), 0, BATCHES, None);
        assert_eq!(child::said(&run.output, "ack "), Vec::from_iter(0..BATCHES));
        let batches = run.calls.split_inclusive(|call| call.is_acknowledgement);
        let batches: Vec<_> = batches.take(BATCHES).map(<[Call]>::to_vec).collect();
        let reopening = strace::run(place.path(), BATCHES, BATCHES, None).calls;
        Plan { creation: batches[0].clone(), reopening, batches }
    }
}

fn kill_during_creation(calls: &[Call]) -> usize {
    let durable = (0..calls.len()).filter(|index| calls[*index].is_durable);
    let kill = |target: usize| {
        let place = directory();
        kill_at(place.path(), 0, &calls[..=target], &mut Model::default());
    };
    durable.map(kill).count()
}

fn kill_during(plan: &Plan, batches: Range<usize>) -> usize {
    let place = directory();
    let store = place.path().join(STORE);
    let prepare =
        child::writing(Engine::Lmdb, Command::new(child::program()), &store, 0, batches.start).output();
    assert!(prepare.unwrap().status.success());
    let mut model = Model::after(batches.start);
    let mut kills = 0;
    for batch in batches {
        for target in 0..plan.batches[batch].len() {
            if !plan.batches[batch][target].is_durable {
                continue;
            }
            let first = model.batches();
            assert!(first <= batch, "batch {batch} is there although it was never written to its end");
            let before = plan.batches[first..batch].iter().flatten();
            let expected: Vec<Call> =
                plan.reopening.iter().chain(before).chain(&plan.batches[batch][..=target]).cloned().collect();
            kill_at(place.path(), first, &expected, &mut model);
            kills += 1;
        }
    }
    kills
}

/// Starts the writing process with batch `first`, kills it at the last of the `expected` calls, and checks what is left.
fn kill_at(place: &Path, first: usize, expected: &[Call], model: &mut Model) {
    let target = expected.last().unwrap();
    let when = expected.iter().filter(|call| call.name == target.name).count();
    let injection = Injection { name: &target.name, when, what: "signal=SIGKILL" };
    let run = strace::run(place, first, BATCHES, Some(&injection));
    let mut done = run.calls.iter().filter(|call| call.is_durable);
    for call in expected.iter().filter(|call| call.is_durable) {
        assert_eq!(done.next(), Some(call), "a call of a run from batch {first}: {run:?}");
    }
    assert_eq!(done.next(), None, "a call of a process that was killed");
    let context = format!("killed at call {when} of {} in a run from batch {first}", target.name);
    model.check(&place.join(STORE), &child::said(&run.output, "ack "), &context);
}
