use std::process::Output;

use tempfile::TempDir;

use crate::child::said;
use crate::directory;
use crate::model::Model;
use crate::strace::{self, Call, Injection, STORE};

/// Batches of a run, of which number 1 meets the error.
const BATCHES: usize = 4;

/// A step of a commit.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pages,
    Sync,
    MetaPage,
}

#[test]
fn an_io_error_at_any_step_leaves_the_batch_unknown_and_stops_the_writer() {
    if !strace::is_available("an_io_error_at_any_step_leaves_the_batch_unknown_and_stops_the_writer") {
        return;
    }
    for step in [Step::Pages, Step::Sync, Step::MetaPage] {
        assert_unknown(step, "error=EIO");
    }
}

#[test]
fn no_space_before_the_meta_page_means_not_written_and_the_writer_goes_on() {
    if !strace::is_available("no_space_before_the_meta_page_means_not_written_and_the_writer_goes_on") {
        return;
    }
    for error in ["error=ENOSPC", "error=EDQUOT"] {
        for step in [Step::Pages, Step::Sync] {
            let (place, output) = run(step, error);
            assert_eq!(said(&output, "ack "), [0, 2, 3], "{error} at {step:?}");
            assert_eq!(said(&output, "not written "), [1], "{error} at {step:?}");
            assert!(Model::is_stored(&place.path().join(STORE), &[0, 2, 3]), "{error} at {step:?}");
        }
    }
}

#[test]
fn no_space_for_the_meta_page_leaves_the_batch_unknown() {
    if !strace::is_available("no_space_for_the_meta_page_leaves_the_batch_unknown") {
        return;
    }
    assert_unknown(Step::MetaPage, "error=ENOSPC");
}

fn assert_unknown(step: Step, error: &str) {
    let (place, output) = run(step, error);
    assert_eq!(said(&output, "ack "), [0], "{error} at {step:?}");
    assert_eq!(said(&output, "unknown "), [1, 2, 3], "{error} at {step:?}");
    let store = place.path().join(STORE);
    let whole_or_not = Model::is_stored(&store, &[0]) || Model::is_stored(&store, &[0, 1]);
    assert!(whole_or_not, "{error} at {step:?} left a part of the batch");
}

/// Runs the writing process with an error at one step of batch 1.
fn run(step: Step, error: &str) -> (TempDir, Output) {
    let undisturbed = strace::run(directory().path(), 0, BATCHES, None).calls;
    let target = target(&undisturbed, step);
    let name = &undisturbed[target].name;
    let when = undisturbed[..=target].iter().filter(|call| call.name == *name).count();
    let place = directory();
    let output = strace::run(place.path(), 0, BATCHES, Some(&Injection { name, when, what: error })).output;
    (place, output)
}

fn target(calls: &[Call], step: Step) -> usize {
    let acknowledgements: Vec<_> =
        (0..calls.len()).filter(|index| calls[*index].is_acknowledgement).collect();
    let steps: Vec<_> =
        (acknowledgements[0]..acknowledgements[1]).filter(|index| calls[*index].is_durable).collect();
    let sync = steps.iter().position(|index| calls[*index].name == "fdatasync").unwrap();
    match step {
        Step::Pages => steps[0],
        Step::Sync => steps[sync],
        Step::MetaPage => steps[sync + 1],
    }
}
