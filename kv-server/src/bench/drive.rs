use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::error::{Error, ErrorKind};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, LocalSet};

use super::measured::{Measured, Outcome};
use super::pace::{Pace, tell_starts};
use super::workload::{Operation, Workload};

/// Start times that may wait between the thread that tells them and the runtime.
const STARTS_MAX: usize = 1_024;

/// How long after its end an open loop may catch up with what was due.
const CATCH_UP: Duration = Duration::from_secs(5);

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// What is asked.
    pub(crate) workload: Workload,
    /// When.
    pub(crate) pace: Pace,
    /// Most requests under way; in a closed loop there are always that many.
    pub(crate) clients: usize,
    /// How long requests are made without being measured.
    pub(crate) warm_up: Duration,
    /// How long they are measured.
    pub(crate) duration: Duration,
}

/// Makes requests on the current thread as planned; `worker` tells the requests of threads apart.
pub(crate) async fn run<F>(plan: &Plan, worker: u64, ask: F) -> Result<Measured, Error>
where
    F: AsyncFn(Operation) -> Outcome + 'static,
{
    let measured = Rc::new(RefCell::new(Measured::new().map_err(internal)?));
    let ask = Rc::new(ask);
    let tasks = LocalSet::new();
    let driving = async {
        match plan.pace {
            Pace::Closed => closed(plan, worker, &ask, &measured).await,
            Pace::Open(rate) => open(plan, rate, worker, &ask, &measured).await,
        }
    };
    tasks.run_until(driving).await?;
    Ok(Rc::unwrap_or_clone(measured).into_inner())
}

/// Writes every key once, with all clients.
pub(crate) async fn fill<F>(workload: &Workload, clients: usize, ask: F) -> Result<Measured, Error>
where
    F: AsyncFn(Operation) -> Outcome + 'static,
{
    let measured = Rc::new(RefCell::new(Measured::new().map_err(internal)?));
    let (ask, next) = (Rc::new(ask), Rc::new(Cell::new(0)));
    let keys = workload.keys;
    let tasks = LocalSet::new();
    for client in 0..clients {
        let (ask, next, measured) = (Rc::clone(&ask), Rc::clone(&next), Rc::clone(&measured));
        let mut operations = workload.operations(client as u64);
        tasks.spawn_local(async move {
            loop {
                let number = next.replace(next.get() + 1);
                // Keys were checked with the workload.
                let Some(Ok(operation)) = (number < keys).then(|| operations.put(number)) else { return };
                let start = Instant::now();
                let outcome = ask(operation).await;
                measured.borrow_mut().record(outcome, start.elapsed());
            }
        });
    }
    tasks.await;
    Ok(Rc::unwrap_or_clone(measured).into_inner())
}

async fn closed<F>(
    plan: &Plan,
    worker: u64,
    ask: &Rc<F>,
    measured: &Rc<RefCell<Measured>>,
) -> Result<(), Error>
where
    F: AsyncFn(Operation) -> Outcome + 'static,
{
    let begin = Instant::now() + plan.warm_up;
    let end = begin + plan.duration;
    let mut clients: Vec<JoinHandle<Result<(), Error>>> = Vec::with_capacity(plan.clients);
    for client in 0..plan.clients {
        let mut operations = plan.workload.operations((worker << 32) | client as u64);
        let (ask, measured) = (Rc::clone(ask), Rc::clone(measured));
        clients.push(tokio::task::spawn_local(async move {
            loop {
                let start = Instant::now();
                if start >= end {
                    return Ok(());
                }
                let outcome = ask(operations.next()?).await;
                let done = Instant::now();
                // Counted when it was answered: then the count over the time is the throughput. What was under way at the end shows
                // whether something stood still, so its latency and its errors count, and it is told apart.
                if done >= begin {
                    let mut measured = measured.borrow_mut();
                    measured.record(outcome, done - start);
                    measured.late += u64::from(done >= end && outcome.is_answer());
                }
            }
        }));
    }
    for client in clients {
        client.await.map_err(internal)??;
    }
    Ok(())
}

async fn open<F>(
    plan: &Plan,
    rate: f64,
    worker: u64,
    ask: &Rc<F>,
    measured: &Rc<RefCell<Measured>>,
) -> Result<(), Error>
where
    F: AsyncFn(Operation) -> Outcome + 'static,
{
    let start = Instant::now();
    let begin = start + plan.warm_up;
    let end = begin + plan.duration;
    let mut operations = plan.workload.operations(worker << 32);
    let permits = Arc::new(Semaphore::new(plan.clients));
    let (sender, mut starts) = mpsc::channel(STARTS_MAX);
    let telling = tell_starts(start, end, rate, sender).map_err(internal)?;
    while let Some(due) = starts.recv().await {
        let permit = Arc::clone(&permits).acquire_owned();
        let given_up = tokio::time::Instant::from_std(end + CATCH_UP);
        let Ok(Ok(permit)) = tokio::time::timeout_at(given_up, permit).await else {
            measured.borrow_mut().unstarted += u64::from(due >= begin);
            continue;
        };
        let operation = operations.next()?;
        let (ask, measured) = (Rc::clone(ask), Rc::clone(measured));
        tokio::task::spawn_local(async move {
            let outcome = ask(operation).await;
            if due >= begin {
                measured.borrow_mut().record(outcome, due.elapsed());
            }
            drop(permit);
        });
    }
    // All permits are back when nothing is under way any more.
    let all = u32::try_from(plan.clients).map_err(internal)?;
    let _ = permits.acquire_many(all).await.map_err(internal)?;
    telling.join().map_err(|_| internal("the pacing thread panicked"))
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::workload::Distribution;
    use super::*;

    fn plan(pace: Pace, clients: usize) -> Plan {
        let distribution = Distribution::Uniform;
        let workload =
            Workload { keys: 10, key_bytes: 16, value_bytes: 1, reads: 1.0, distribution, seed: 1 };
        Plan { workload, pace, clients, warm_up: Duration::ZERO, duration: Duration::from_millis(300) }
    }

    fn measure(plan: &Plan, ask: impl AsyncFn(Operation) -> Outcome + 'static) -> Measured {
        let runtime = crate::runtime::current_thread().unwrap();
        runtime.block_on(run(plan, 0, ask)).unwrap()
    }

    /// A server that answers at once, but for one stall of 200 ms.
    fn stalling() -> impl AsyncFn(Operation) -> Outcome + 'static {
        let asked = Cell::new(0u32);
        async move |_| {
            asked.set(asked.get() + 1);
            if asked.get() == 5 {
                std::thread::sleep(Duration::from_millis(200));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            Outcome::Found
        }
    }

    #[test]
    fn an_open_loop_sees_the_stall_that_a_closed_loop_hides() {
        let closed = measure(&plan(Pace::Closed, 1), stalling());
        let open = measure(&plan(Pace::Open(1_000.0), 1_000), stalling());
        let late = |measured: &Measured| {
            measured.gets.count_between(50_000, u64::MAX) as f64 / measured.gets.len() as f64
        };
        assert!(late(&closed) < 0.05, "{}", late(&closed));
        assert!(late(&open) > 0.3, "{}", late(&open));
        assert_eq!(open.gets.len(), 300, "each request that was due was made");
    }

    #[test]
    fn what_is_under_way_at_the_end_counts_if_it_fails_and_shows_if_it_is_slow() {
        let slow = |outcome| {
            measure(&plan(Pace::Closed, 3), async move |_| {
                tokio::time::sleep(Duration::from_millis(500)).await;
                outcome
            })
        };
        let failed = slow(Outcome::Failed(ErrorKind::ConnectionFailed));
        assert_eq!((failed.errors["ConnectionFailed"], failed.late, failed.is_figure()), (3, 0, false));
        let answered = slow(Outcome::Found);
        assert_eq!((answered.gets.len(), answered.late), (3, 3), "none of them counts for a second");
        assert!(answered.gets.max() > 490_000);
        assert!(!Measured::new().unwrap().is_figure(), "nothing was answered");
    }

    #[test]
    fn what_an_open_loop_could_not_begin_is_told() {
        let mut plan = plan(Pace::Open(1_000.0), 1);
        plan.duration = Duration::from_millis(20);
        let measured = measure(&plan, async |_| {
            tokio::time::sleep(CATCH_UP + Duration::from_millis(100)).await;
            Outcome::Found
        });
        assert_eq!((measured.gets.len(), measured.unstarted), (1, 19));
        assert!(!measured.is_figure());
    }

    #[test]
    fn filling_writes_every_key_once() {
        let written = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&written);
        let ask = async move |operation| {
            if let Operation::Put(key, _) = operation {
                seen.borrow_mut().push(key);
            }
            Outcome::Written
        };
        let runtime = crate::runtime::current_thread().unwrap();
        let workload = plan(Pace::Closed, 1).workload;
        let measured = runtime.block_on(fill(&workload, 3, ask)).unwrap();
        let mut keys = written.borrow().clone();
        keys.sort();
        keys.dedup();
        assert_eq!((keys.len(), measured.puts.len()), (10, 10));
    }
}
