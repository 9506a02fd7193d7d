//! `kv bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kv_core::bucket::Quorum;
use kv_core::command::{Content, Get, Put, PutResult, ReadOptions, Replace, WriteOptions};
use kv_core::error::{Error, ErrorKind};

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::bench::{self, Distribution, Measured, Operation, Outcome, Pace, Plan, Report, Workload};
use crate::exit::Exit;
use crate::runtime;
use crate::text::{parse_duration, parse_size};
use kv_net::Client;

const CLIENTS_MAX: usize = 65_536;
const THREADS_MAX: usize = 64;

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// Requests a second at intended times (open loop); without it each client waits for its answers (closed loop)
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// Requests under way: always, or at most with --rate [default: 64, with --rate 1024]
    #[arg(long, short = 'c', value_name = "NUMBER")]
    clients: Option<usize>,
    /// How long requests are measured
    #[arg(long, short = 'd', value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    duration: Duration,
    /// How long requests are made before that
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "2s")]
    warm_up: Duration,
    /// Number of different keys
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000)]
    keys: u64,
    /// Length of each key
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    key_bytes: usize,
    /// Length of each value
    #[arg(long, value_name = "SIZE", value_parser = parse_length, default_value = "100")]
    value_bytes: usize,
    /// Share of reads, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    reads: f64,
    /// Which keys are asked for how often
    #[arg(long, value_name = "NAME", default_value = "uniform")]
    distribution: DistributionName,
    /// How uneven a Zipf distribution is
    #[arg(long, value_name = "NUMBER", default_value_t = 0.99)]
    zipf_exponent: f64,
    /// Where random numbers begin
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Write every key once before
    #[arg(long)]
    fill: bool,
    /// Writes replace nothing, so that values stand beside each other, or the latest wins where the bucket says so
    #[arg(long)]
    blind: bool,
    /// Replicas that have to answer a read: one, quorum, all or a number
    #[arg(long, value_name = "R")]
    r: Option<Quorum>,
    /// Replicas that have to acknowledge a write: one, quorum, all or a number
    #[arg(long, value_name = "W")]
    w: Option<Quorum>,
    /// The bucket
    #[arg(long, short = 'b', value_name = "NAME", env = "KV_BUCKET", default_value = "default")]
    bucket: String,
    /// Threads that make requests, each with connections of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    threads: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DistributionName {
    Uniform,
    Zipf,
}

fn parse_length(text: &str) -> Result<usize, String> {
    usize::try_from(parse_size(text)?).map_err(|_| format!("{text} is too large"))
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let plan = plan(arguments)?;
    // A cluster that is not there, or a bucket, is better said once than a million times.
    let info = session.client.cluster().await?;
    if info.buckets.get(&arguments.bucket).is_none() {
        let message = format!("there is no bucket '{}'", arguments.bucket);
        return Err(Error::new(ErrorKind::UnknownBucket, message).into());
    }
    let requests = Requests::new(arguments, session);
    if arguments.fill {
        let ask = requests.clone().asking(session.client.clone());
        let filled = bench::fill(&plan.workload, plan.clients, ask).await?;
        if !filled.is_figure() {
            output.say(
                || Report { plan: &plan, measured: &filled }.text(),
                || Report { plan: &plan, measured: &filled }.json(),
            )?;
            return Err(Failure::other("the keys could not all be written before the run"));
        }
    }
    let measured = on_threads(arguments.threads, &plan, &requests, session)?;
    let report = Report { plan: &plan, measured: &measured };
    output.say(|| report.text(), || report.json())?;
    Ok(if measured.is_figure() { Exit::Done } else { Exit::Failed })
}

fn plan(arguments: &Arguments) -> Result<Plan, Failure> {
    let workload = Workload {
        keys: arguments.keys,
        key_bytes: arguments.key_bytes,
        value_bytes: arguments.value_bytes,
        reads: arguments.reads,
        distribution: match arguments.distribution {
            DistributionName::Uniform => Distribution::Uniform,
            DistributionName::Zipf => Distribution::Zipf(arguments.zipf_exponent),
        },
        seed: arguments.seed,
    };
    workload.check()?;
    let (pace, clients) = match arguments.rate {
        Some(rate) if !(0.001..=1e9).contains(&rate) => {
            return Err(Failure::Invalid("--rate must be above 0".into()));
        }
        Some(rate) => (Pace::Open(rate), arguments.clients.unwrap_or(1_024)),
        None => (Pace::Closed, arguments.clients.unwrap_or(64)),
    };
    if !(1..=THREADS_MAX).contains(&arguments.threads) {
        return Err(Failure::Invalid(format!("--threads must be 1 to {THREADS_MAX}")));
    }
    if !(arguments.threads..=CLIENTS_MAX).contains(&clients) {
        let least = arguments.threads;
        return Err(Failure::Invalid(format!(
            "--clients must be {least} (one for each thread) to {CLIENTS_MAX}"
        )));
    }
    if arguments.duration.is_zero() {
        return Err(Failure::Invalid("--duration must be above 0".into()));
    }
    Ok(Plan { workload, pace, clients, warm_up: arguments.warm_up, duration: arguments.duration })
}

/// Runs an equal part of the plan on each thread and adds up what they measured.
fn on_threads(
    threads: usize,
    plan: &Plan,
    requests: &Requests,
    session: &Session,
) -> Result<Measured, Failure> {
    let mut all = Measured::new().map_err(|error| Failure::other(error.to_string()))?;
    let results: Vec<Result<Measured, Failure>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let part = Plan {
                    clients: plan.clients / threads + usize::from(thread < plan.clients % threads),
                    pace: match plan.pace {
                        Pace::Closed => Pace::Closed,
                        Pace::Open(rate) => Pace::Open(rate / threads as f64),
                    },
                    ..plan.clone()
                };
                let requests = requests.clone();
                scope.spawn(move || on_thread(thread, &part, requests, session))
            })
            .collect();
        let panicked = || Err(Failure::other("a thread of the benchmark panicked"));
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    for measured in results {
        all.merge(&measured?);
    }
    Ok(all)
}

fn on_thread(thread: usize, plan: &Plan, requests: Requests, session: &Session) -> Result<Measured, Failure> {
    let runtime = runtime::current_thread().map_err(|error| Failure::other(error.to_string()))?;
    runtime.block_on(async {
        let client = Session::client(&session.servers, session.timeout())?;
        let measured = bench::run(plan, thread as u64, requests.asking(client.clone())).await;
        client.shut_down().await;
        Ok(measured?)
    })
}

/// How operations of the benchmark are asked of a cluster.
#[derive(Debug, Clone)]
struct Requests {
    bucket: String,
    replace: Replace,
    read: ReadOptions,
    write: WriteOptions,
}

impl Requests {
    fn new(arguments: &Arguments, session: &Session) -> Self {
        let timeout_ms = session.timeout_ms();
        Requests {
            bucket: arguments.bucket.clone(),
            replace: if arguments.blind { Replace::Nothing } else { Replace::Overwrite },
            read: ReadOptions { r: arguments.r, timeout_ms, ..ReadOptions::default() },
            write: WriteOptions { w: arguments.w, timeout_ms, ..WriteOptions::default() },
        }
    }

    fn asking(self, client: Client) -> impl AsyncFn(Operation) -> Outcome + 'static {
        async move |operation| match operation {
            Operation::Get(key) => {
                let get = Get { bucket: self.bucket.clone(), key, options: self.read.clone() };
                match client.get(get).await {
                    Ok(answer) if answer.values.is_empty() => Outcome::NotFound,
                    Ok(_) => Outcome::Found,
                    Err(error) => Outcome::Failed(error.kind()),
                }
            }
            Operation::Put(key, value) => {
                let put = Put {
                    bucket: self.bucket.clone(),
                    key,
                    content: Content::value(value),
                    replace: self.replace.clone(),
                    options: self.write.clone(),
                };
                match client.put(put).await {
                    PutResult::Applied(_) => Outcome::Written,
                    PutResult::NotApplied(error) => Outcome::Failed(error.kind()),
                    PutResult::Indeterminate(error) => Outcome::Indeterminate(error.kind()),
                }
            }
        }
    }
}
