use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const READERS: usize = 3;
const WRITES_MIN: u64 = 100;
const READS_MIN: u64 = 200;

/// Calls `write` with 1, 2, 3... while other threads call `read` over and over, until both have run often enough.
pub(super) fn race(write: &mut dyn FnMut(u64), read: &(dyn Fn() + Sync)) {
    let ended = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    let read_on = || {
        while !ended.load(Ordering::Acquire) {
            read();
            reads.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read_on)).collect();
        // Also where `write` panics: the scope waits for the readers.
        let end = EndOnDrop(&ended);
        let mut writes = 0;
        while writes < WRITES_MIN || reads.load(Ordering::Relaxed) < READS_MIN {
            if readers.iter().any(|reader| reader.is_finished()) {
                break;
            }
            writes += 1;
            write(writes);
            // On a busy machine all writes could run before the first read, which would show nothing.
            let before = reads.load(Ordering::Relaxed);
            while reads.load(Ordering::Relaxed) == before
                && !readers.iter().any(|reader| reader.is_finished())
            {
                thread::yield_now();
            }
        }
        drop(end);
        for reader in readers {
            if let Err(panic) = reader.join() {
                resume_unwind(panic);
            }
        }
    });
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
