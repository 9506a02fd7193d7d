use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::cases::{self, Case};
use super::{CaseReport, Outcome, Report, StorageFactory};

/// A case that takes longer hangs; the slowest one of a sound engine takes seconds.
const CASE_SECONDS_MAX: u64 = 120;

/// Runs every case, each on fresh stores of `factory`, and reports how they ended. A case that panics or does not return
/// within two minutes has failed; the others run all the same.
pub fn conformance(factory: Arc<dyn StorageFactory>) -> Report {
    let run = |case: &Case| CaseReport { id: case.id, outcome: run(case, Arc::clone(&factory)) };
    Report::new(cases::ALL.iter().map(run).collect())
}

fn run(case: &Case, factory: Arc<dyn StorageFactory>) -> Outcome {
    let (sender, receiver) = channel();
    let check = case.check;
    let thread = thread::Builder::new().name(format!("storage-{}", case.id)).spawn(move || {
        // The receiver is gone only if the case was given up.
        sender.send(check(&*factory)).ok();
    });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => return Outcome::Failed(format!("no thread: {error}")),
    };
    match receiver.recv_timeout(Duration::from_secs(CASE_SECONDS_MAX)) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => {
            Outcome::Failed(format!("did not return within {CASE_SECONDS_MAX} seconds"))
        }
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(()) => Outcome::Failed("ended without an outcome".into()),
            Err(panic) => Outcome::Failed(message(&*panic)),
        },
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "without a message".into()))
}
