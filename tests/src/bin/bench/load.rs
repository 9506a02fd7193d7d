use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::processes::Processes;

/// What a load came to.
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) cpu_us: f64,
    pub(crate) bytes: f64,
    pub(crate) errors: u64,
}

/// Keeps `clients` operations under way for `seconds` and measures them.
pub(crate) async fn load<F, W>(
    (clients, keys, seconds): (usize, u64, u64),
    processes: &Processes,
    work: W,
) -> Measured
where
    W: Fn(u64) -> F + Clone + 'static,
    F: Future<Output = bool> + 'static,
{
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            // A second of warming up is not counted.
            let begun = Instant::now() + Duration::from_secs(1);
            let end = begun + Duration::from_secs(seconds);
            let mut tasks = Vec::new();
            for client in 0..clients as u64 {
                let work = work.clone();
                tasks.push(tokio::task::spawn_local(async move {
                    let mut histogram = Histogram::<u64>::new(3).unwrap();
                    let mut errors = 0;
                    let mut number = client.wrapping_mul(7_919);
                    loop {
                        let at = Instant::now();
                        if at >= end {
                            return (histogram, errors);
                        }
                        number = number
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        let done = work((number >> 33) % keys).await;
                        if at >= begun {
                            histogram.record(at.elapsed().as_micros() as u64).unwrap();
                            errors += u64::from(!done);
                        }
                    }
                }));
            }
            tokio::time::sleep_until(begun.into()).await;
            let (cpu, bytes) = (processes.cpu_seconds(), processes.bytes_written());
            let mut all = Histogram::<u64>::new(3).unwrap();
            let mut errors = 0;
            for task in tasks {
                let (histogram, failed) = task.await.unwrap();
                all.add(histogram).unwrap();
                errors += failed;
            }
            let count = all.len() as f64;
            Measured {
                per_second: count / seconds as f64,
                p50_us: all.value_at_quantile(0.5),
                p99_us: all.value_at_quantile(0.99),
                cpu_us: (processes.cpu_seconds() - cpu) * 1e6 / count,
                bytes: (processes.bytes_written() - bytes) as f64 / count,
                errors,
            }
        })
        .await
}
