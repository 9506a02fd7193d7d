//! Starts the nodes, keeps them running, stops them.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::client_program;
use super::node_process::{NodeProcess, own_program};
use super::plan::Plan;
use super::{readiness, welcome};
use crate::console;
use crate::exit::Exit;
use crate::signals::StopRequests;

/// Pause before a node that ended is started again; it doubles while the node ends soon after its start.
const RESTART_PAUSE: Duration = Duration::from_secs(2);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A node that ran this long was well.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// Runs the cluster until it is asked to stop.
pub(super) async fn supervise(plan: Plan) -> Result<Exit> {
    let begun = Instant::now();
    let mut stop = StopRequests::listen(false).context("cannot listen for signals")?;
    let program = own_program()?;
    let (stopping, stopped) = watch::channel(false);
    let (failures, mut failed) = mpsc::channel(plan.nodes.len());
    let plan = Arc::new(plan);

    let mut pids = Vec::with_capacity(plan.nodes.len());
    let mut keepers = JoinSet::new();
    for index in 0..plan.nodes.len() {
        let mut keeper = Keeper {
            plan: Arc::clone(&plan),
            index,
            program: program.clone(),
            stopped: stopped.clone(),
            failures: failures.clone(),
        };
        let process = keeper.start()?;
        pids.push(process.pid());
        keepers.spawn(async move { keeper.keep(process).await });
    }

    let up = tokio::select! {
        ready = readiness::cluster(&plan) => ready.map(|()| true),
        Some(what) = failed.recv() => Err(anyhow::anyhow!("{what}, and the cluster is not up yet: what it said is above")),
        _ = stop.next() => Ok(false),
    };
    match &up {
        Ok(true) => {
            say(&welcome::text(&plan, &client(&program, &plan.data), &pids, begun.elapsed()));
            let news = async {
                while let Some(what) = failed.recv().await {
                    say(&format!("{what}\n"));
                }
            };
            tokio::select! {
                _ = stop.next() => say("\nstopping the nodes\n"),
                () = news => {}
                () = all_ended(&mut keepers) => bail!("all nodes have ended"),
            }
        }
        Ok(false) => say("\nstopping the nodes\n"),
        Err(_) => {}
    }
    // Nobody listens any more if all have ended.
    let _ = stopping.send(true);
    drop(failures);
    let in_order = tokio::select! {
        results = keepers.join_all() => results.into_iter().all(|in_order| in_order),
        _ = stop.next() => bail!("stopped at once at the second request"),
    };
    up?;
    Ok(if in_order { Exit::Done } else { Exit::Failed })
}

async fn all_ended(keepers: &mut JoinSet<bool>) {
    while keepers.join_next().await.is_some() {}
}

fn client(program: &Path, data: &Path) -> String {
    match client_program::find_or_make(program, data) {
        Ok(client) => client_program::shown(&client),
        // Without a place for a link the package manager's client has to do.
        Err(_) => "kv".into(),
    }
}

/// Prints what is for people, who may have stopped reading.
fn say(text: &str) {
    let _ = console::say(text.as_bytes());
}

/// Keeps one node running.
#[derive(Debug)]
struct Keeper {
    plan: Arc<Plan>,
    index: usize,
    program: PathBuf,
    stopped: watch::Receiver<bool>,
    failures: mpsc::Sender<String>,
}

impl Keeper {
    fn start(&mut self) -> Result<NodeProcess> {
        let node = self.plan.nodes.get(self.index).context("there is no such node")?;
        NodeProcess::start(&self.program, &self.plan, node)
    }

    /// Returns when it was told to stop, with whether the node ended in good order; or when the node is not to be started again.
    async fn keep(&mut self, mut process: NodeProcess) -> bool {
        let mut pause = RESTART_PAUSE;
        loop {
            let started = Instant::now();
            let ended = tokio::select! {
                ended = process.ended() => ended,
                () = told_to_stop(&mut self.stopped) => return process.stop().await,
            };
            let what = format!("node {} {}", self.index + 1, describe(&ended));
            if !self.plan.restart {
                self.tell(format!("{what}; it stays down (--no-restart)")).await;
                return false;
            }
            pause = if started.elapsed() >= WELL_AFTER { RESTART_PAUSE } else { pause };
            self.tell(format!("{what}; it is started again in {} s", pause.as_secs())).await;
            process = loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = told_to_stop(&mut self.stopped) => return true,
                }
                pause = (pause * 2).min(RESTART_PAUSE_MAX);
                match self.start() {
                    Ok(process) => break process,
                    Err(error) => {
                        self.tell(format!("node {} does not start: {error:#}", self.index + 1)).await
                    }
                }
            };
            self.tell(format!("node {} is started again, pid {}", self.index + 1, process.pid())).await;
        }
    }

    async fn tell(&self, what: String) {
        // Nobody listens when all is being stopped.
        let _ = self.failures.send(what).await;
    }
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could tell: that is the end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn describe(ended: &std::io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended".into(),
        },
        Err(error) => format!("cannot be watched: {error}"),
    }
}
