//! The process that is killed.

use std::env;
use std::path::PathBuf;

use kv_core::storage::{CommitError, Durability};

use crate::batches::batch;
use crate::engine::Engine;

pub(crate) const DIRECTORY: &str = "KV_CRASH_DIRECTORY";
pub(crate) const FIRST: &str = "KV_CRASH_FIRST";
pub(crate) const END: &str = "KV_CRASH_END";

/// Writes the batches from `FIRST` to before `END` and says a line for each: `ack 7`, `not written 7`, `unknown 7`. Does
/// nothing in a run of the tests.
#[test]
fn writes_batches_until_it_is_killed() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let number = |name| env::var(name).unwrap().parse::<usize>().unwrap();
    // The thread of the test harness has written twice, and begun a line. A call is picked by its number among the calls of
    // that name in whichever thread makes so many first: that has to be this one.
    println!("\nopening");
    println!("the store");
    println!("in this thread");
    let storage = Engine::from_env().open(&PathBuf::from(directory));
    for number in number(FIRST)..number(END) {
        match storage.write(&batch(number), Durability::Synced) {
            Ok(()) => println!("ack {number}"),
            Err(CommitError::NotWritten(_)) => println!("not written {number}"),
            Err(CommitError::Unknown(_)) => println!("unknown {number}"),
        }
    }
}
