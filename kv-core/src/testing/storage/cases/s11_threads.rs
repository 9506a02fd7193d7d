//! `S-11`: reads run beside writes, and writes come from changing threads.

use std::panic::resume_unwind;
use std::thread;

use super::super::{Outcome, StorageFactory};
use super::race::race;
use super::store::Store;
use crate::storage::{Page, ScanRange};

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    let write = |number: u64| {
        let key = (number % 100).to_be_bytes();
        store.write(|batch| match number % 7 {
            0 => batch.delete(&key),
            1 => batch.delete_range(&key, &(number % 100 + 3).to_be_bytes()),
            _ => batch.put(&key, &[&vec![1; number as usize % 3_000]]),
        });
    };
    race(
        &mut |number| {
            let on_a_new_thread = thread::scope(|scope| scope.spawn(|| write(number)).join());
            if let Err(panic) = on_a_new_thread {
                resume_unwind(panic);
            }
        },
        &|| read_everything(&store),
    );
    Outcome::Passed
}

fn read_everything(store: &Store) {
    let key = 7_u64.to_be_bytes();
    store.get(&key, &mut Vec::new()).expect("get beside a writer");
    store.get_many(&[&key, b"absent"], &mut |_, _| {}).expect("get_many beside a writer");
    let mut page = Page::new(50, 1 << 20);
    store.scan(ScanRange::new(b"", b""), &mut page).expect("scan beside a writer");
    store.stats().expect("stats beside a writer");
}
