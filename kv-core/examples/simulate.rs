//! Runs the simulator: many seeds, one seed in detail, or a hunt for every mutant.
#![allow(missing_docs)]

mod simulate {
    pub(crate) mod hunt;
    pub(crate) mod many;
    pub(crate) mod recall;
}

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use kv_core::testing::simulation::{Faults, Simulation, SimulationConfig};

/// Simulates a cluster under faults and checks what its clients saw.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Arguments {
    /// Run that many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// Begin with that seed.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Replay one seed.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print everything that happened.
    #[arg(long)]
    trace: bool,
    /// Nodes; 3 to 7 by seed if not given.
    #[arg(long)]
    nodes: Option<usize>,
    /// Client operations of a seed.
    #[arg(long, default_value_t = 1_000)]
    operations: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Let nothing go wrong.
    #[arg(long)]
    no_faults: bool,
    /// Break the node in that way (a variant of `kv_core::mutants::Mutant`).
    #[arg(long)]
    mutant: Option<String>,
    /// Hunt every mutant and print a table; fails if one is not found within --seeds.
    #[arg(long)]
    mutants: bool,
    /// Hunt every mutant and write to that file which check found it, and which found each known pitfall; fails if one is not found within --seeds.
    #[arg(long, value_name = "FILE")]
    recall: Option<PathBuf>,
}

impl Arguments {
    fn config(&self) -> SimulationConfig {
        SimulationConfig {
            nodes: self.nodes,
            operations: self.operations,
            faults: if self.no_faults { Faults::none() } else { Faults::all() },
            trace: self.trace,
            ..SimulationConfig::default()
        }
    }

    /// The command that replays a seed of this run.
    fn replay(&self, seed: u64) -> String {
        let mut command =
            format!("cargo run --release -p kv-core --example simulate --features mutants -- --seed {seed}");
        if let Some(nodes) = self.nodes {
            command += &format!(" --nodes {nodes}");
        }
        if self.operations != 1_000 {
            command += &format!(" --operations {}", self.operations);
        }
        if self.no_faults {
            command += " --no-faults";
        }
        if let Some(mutant) = &self.mutant {
            command += &format!(" --mutant {mutant}");
        }
        command
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let found = if let Some(file) = &arguments.recall {
        !simulate::recall::write(&arguments, file)
    } else if arguments.mutants {
        !simulate::hunt::report(&arguments)
    } else if let Some(seed) = arguments.seed {
        kv_core::mutants::choose(simulate::hunt::by_name(arguments.mutant.as_deref()));
        let mut report = Simulation::new(arguments.config()).seed(seed).run();
        for line in std::mem::take(&mut report.trace) {
            println!("{line}");
        }
        println!("{report:#?}");
        !report.violations.is_empty()
    } else {
        !simulate::many::run(&arguments)
    };
    if found { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
