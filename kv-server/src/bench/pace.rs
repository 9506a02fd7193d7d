use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// When requests are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Each client asks again as soon as it has its answer.
    Closed,
    /// That many requests a second are due, evenly, whatever became of the earlier ones.
    Open(f64),
}

/// The intended start times of an open loop of `rate` requests a second.
pub(super) fn intended(start: Instant, rate: f64, number: u64) -> Instant {
    start + Duration::from_secs_f64(number as f64 / rate)
}

/// Tells the start times between `start` and `end` when they have come, from a thread of its own: timers of a runtime are only
/// exact to a millisecond. While nobody takes them they wait here; each stays what it was.
pub(super) fn tell_starts(
    start: Instant,
    end: Instant,
    rate: f64,
    to: mpsc::Sender<Instant>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let body = move || {
        for number in 0.. {
            let due = intended(start, rate, number);
            if due >= end {
                return;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.blocking_send(due).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("kv-bench-pace".into()).spawn(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_told_in_order_and_not_before_they_have_come() {
        let (sender, mut receiver) = mpsc::channel(4);
        let start = Instant::now();
        let thread = tell_starts(start, start + Duration::from_millis(50), 1_000.0, sender).unwrap();
        let mut number = 0;
        while let Some(due) = receiver.blocking_recv() {
            assert_eq!(due, intended(start, 1_000.0, number));
            assert!(Instant::now() >= due);
            number += 1;
        }
        assert_eq!(number, 50);
        thread.join().unwrap();
    }
}
