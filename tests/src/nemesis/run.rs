//! One scenario from its beginning to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::bucket::QuorumMode;

use crate::executable;
use crate::nemesis::history::{self, Bucket, Event, Run, VERSION};
use crate::nemesis::judge::{self, Rule, Violation};
use crate::nemesis::leftovers;
use crate::nemesis::recorder::Recorder;
use crate::nemesis::report::{Figures, figures};
use crate::nemesis::rest::{self, Rest};
use crate::nemesis::schedule::{Fault, Scenario, Step, draw};
use crate::nemesis::workload::{TIMEOUT, Used, Workload};
use crate::nemesis::world::{Needs, World};

/// How often loose cables move, and nodes are looked after.
const TICK: Duration = Duration::from_millis(100);
/// Longest that a cluster may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest for one that perhaps never does.
const IMPATIENCE: Duration = Duration::from_secs(15);
/// What is added to the time in which nodes notice that another is gone.
const MARGIN: Duration = Duration::from_millis(500);

/// How long a run is, and how large.
#[derive(Debug, Clone, clap::Args)]
pub struct Extent {
    /// Seconds of faults.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// From which the faults are drawn.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Nodes.
    #[arg(long, default_value_t = 5)]
    pub nodes: usize,
    /// Has nodes notice within a second that another is gone, instead of three.
    #[arg(long)]
    pub quick: bool,
    /// How often nodes compare what they hold, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    pub repair_period: u64,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The faults.
    pub steps: Vec<Step>,
    /// What nodes need for them.
    pub needs: Needs,
    /// The buckets, and how they are used.
    pub buckets: Vec<(Bucket, Used)>,
    /// What the judge is told instead of what was seen: nothing, but by controls.
    pub pretend: fn(&mut [Event]),
    /// Whether nodes compare what they hold.
    pub exchanges: bool,
    /// Whether something is to be found.
    pub is_control: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What clients asked and were told.
    pub history: Vec<Event>,
    /// What goes against a promise.
    pub violations: Vec<Violation>,
    /// What else went wrong: nodes that ended or panicked, a cluster that does not come to rest.
    pub troubles: Vec<String>,
    /// Figures.
    pub figures: Figures,
    /// How the cluster came to rest when the faults were over.
    pub rest: Option<Rest>,
    /// By which means faults were made, and what they did.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Whether everything went as it is promised.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.troubles.is_empty()
    }

    /// How many acknowledged writes were not there in the end.
    pub fn lost(&self) -> usize {
        self.violations.iter().filter(|one| one.rule == Rule::NoWriteLost).count()
    }
}

/// The plan of a scenario.
pub fn plan(scenario: Scenario, extent: &Extent) -> Plan {
    Plan {
        name: scenario.name(),
        steps: draw(scenario, extent.seed, extent.nodes, Duration::from_secs(extent.seconds)),
        needs: Needs { disks: scenario.needs_disks(), clocks: scenario.needs_clocks(), lying_disks: false },
        buckets: vec![
            bucket("default", true, false),
            bucket("strict", false, false),
            bucket("latest", true, true),
        ],
        pretend: |_| {},
        exchanges: true,
        is_control: false,
    }
}

/// A bucket with N = 3 and R = W = 2.
pub fn bucket(name: &str, sloppy: bool, by_stamp: bool) -> (Bucket, Used) {
    let name = name.to_string();
    (Bucket { name: name.clone(), replicas: 3, by_stamp, sloppy }, Used { name, by_stamp, r: 2, w: 2 })
}

/// Runs a plan: a while without faults, the faults, a rest, a while without faults again, a last look at everything.
///
/// # Errors
///
/// What the machine lacks or forbids.
pub async fn run(plan: &Plan, extent: &Extent) -> anyhow::Result<Outcome> {
    leftovers::remove();
    let recorder = Arc::new(Recorder::default());
    let quick = ["limits.probe_period_ms=200", "limits.probe_timeout_ms=100", "limits.suspicion_ms=400"];
    let period = if plan.exchanges { extent.repair_period } else { 0 };
    let period = format!("limits.repair_period_ms={period}");
    let settings = quick.into_iter().filter(|_| extent.quick).chain([period.as_str()]);
    let more: Vec<&str> = settings.flat_map(|setting| ["--set", setting]).collect();
    let patience = if plan.is_control { IMPATIENCE } else { PATIENCE };
    let mut world = World::make(extent.nodes, plan.needs, &more, recorder.clone()).await?;
    let sides: Vec<Used> = plan.buckets.iter().map(|(_, used)| used.clone()).collect();
    for (bucket, _) in plan.buckets.iter().filter(|(bucket, _)| bucket.name != "default") {
        let quorum = if bucket.sloppy { QuorumMode::Sloppy } else { QuorumMode::Strict };
        let resolver = if bucket.by_stamp { "last_write_wins" } else { "siblings" };
        world.create(&bucket.name, quorum, resolver).await?;
    }
    let client = world.cluster.client(TIMEOUT * 2)?;
    rest::converge(&mut world.cluster, &[], PATIENCE).await?;
    world.sync()?;

    let calm = Duration::from_secs((extent.seconds / 6).clamp(1, 10));
    let workload = Workload::new(&world.cluster.addresses(), sides, recorder.clone(), extent.seed)?;
    let running = workload.start();
    tokio::time::sleep(calm).await;
    let faults_begin_us = recorder.now_us();
    let faults = inject(&mut world, &plan.steps).await;
    let faults = match faults {
        Ok(()) => world.end_all().await,
        failed => failed,
    };
    let faults_end_us = recorder.now_us();
    let mut troubles: Vec<String> = faults.err().map(|error| format!("{error:#}")).into_iter().collect();
    let mut workload = running.stop().await;
    let mut rest = None;
    if troubles.is_empty() {
        match rest::converge(&mut world.cluster, &workload.keys(), patience).await {
            Ok(found) => rest = Some(found),
            Err(error) => troubles.push(format!("{error:#}")),
        }
        let running = workload.start();
        tokio::time::sleep(calm).await;
        workload = running.stop().await;
        let keys = workload.keys();
        if let Err(error) = rest::converge(&mut world.cluster, &keys, patience).await {
            troubles.push(format!("after the last operations: {error:#}"));
        }
        rest::read_last(&client, &keys, &recorder).await;
    }
    workload.end().await;
    client.shut_down().await;
    troubles.append(&mut world.ended);
    for (what, effect) in &world.effects {
        world.notes.insert(format!("{what}: {} of {}", effect.seen, effect.injected));
        // A short run on a slow machine may be over before a fault shows.
        if effect.seen == 0 && !extent.quick {
            troubles.push(format!("{what}: none of {}, so nothing was shown", effect.injected));
        }
    }
    troubles.extend(world.cluster.check_logs().err().map(|error| format!("{error:#}")));
    let run = Run {
        version: VERSION,
        release: env!("CARGO_PKG_VERSION").to_string(),
        scenario: plan.name.clone(),
        seed: extent.seed,
        nodes: extent.nodes,
        faults_begin_us,
        faults_end_us,
        buckets: plan.buckets.iter().map(|(bucket, _)| bucket.clone()).collect(),
    };
    let mut history = vec![Event::Run(run.clone())];
    history.extend(recorder.history());
    (plan.pretend)(&mut history);
    let detection = if extent.quick { Duration::from_millis(600) } else { Duration::from_secs(3) };
    let outcome = Outcome {
        violations: judge::judge(&history),
        figures: figures(&run, &history, detection + MARGIN),
        history,
        troubles,
        rest,
        notes: world.notes.iter().cloned().collect(),
    };
    if !outcome.is_good() && !plan.is_control {
        keep(plan, extent, &world, &outcome.history)?;
    }
    Ok(outcome)
}

/// Begins and ends each fault when its time has come. The last one that ends is the end: from then on the cluster comes to rest.
async fn inject(world: &mut World, steps: &[Step]) -> anyhow::Result<()> {
    let begins =
        steps.iter().enumerate().map(|(number, step)| (step.begin, number as u64, Some(&step.fault)));
    let ends = steps.iter().enumerate().map(|(number, step)| (step.end, number as u64, None));
    let mut changes: Vec<(Duration, u64, Option<&Fault>)> = begins.chain(ends).collect();
    changes.sort_by_key(|(at, ..)| *at);
    let begun = Instant::now();
    for (at, number, fault) in changes {
        while begun.elapsed() < at {
            tokio::time::sleep(TICK.min(at.saturating_sub(begun.elapsed()))).await;
            world.tick().await?;
        }
        match fault {
            Some(fault) => world.begin(number, fault).await?,
            None => world.end(number).await?,
        }
    }
    Ok(())
}

/// Keeps what shows how it came to what is wrong.
fn keep(plan: &Plan, extent: &Extent, world: &World, history: &[Event]) -> anyhow::Result<()> {
    let name = format!("nemesis-{}-{}", plan.name, extent.seed);
    let directory = executable::target()?.join(name);
    std::fs::create_dir_all(&directory)?;
    history::write(&directory.join("history.jsonl"), history)?;
    for node in 0..extent.nodes {
        let log = directory.join(format!("node-{}.log", node + 1));
        std::fs::copy(world.cluster.log(node), log)?;
    }
    println!("kept: the history and the logs, in {}", directory.display());
    Ok(())
}
