//! The tables of docs/epochs.md, made by walking.

use clap::{Args, ValueEnum};

use crate::epochs::configurations::Configuration;
use crate::epochs::search::{Search, search};
use crate::epochs::shortest::{shortest, told};
use crate::epochs::stories;
use crate::epochs::variant::Variant;

/// How much is walked, and over what.
#[derive(Debug, Clone, Args)]
pub struct Epochs {
    /// Walks in each configuration.
    #[arg(long, default_value_t = 100_000)]
    walks: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps of a walk.
    #[arg(long, default_value_t = 60)]
    length: usize,
    /// Only this configuration.
    #[arg(long)]
    configuration: Option<Configuration>,
    /// Only this variant of the rule.
    #[arg(long)]
    variant: Option<Variant>,
    /// Walks over every broken rule until it is found.
    #[arg(long)]
    mutants: bool,
    /// Prints the steps of a failure, as few as are needed.
    #[arg(long)]
    steps: bool,
}

/// Walks and prints a table.
///
/// # Errors
/// When a check of the rule itself fails.
pub fn run(options: &Epochs) -> anyhow::Result<()> {
    if options.mutants {
        mutants(options);
        return Ok(());
    }
    println!(
        "| rule | configuration | check that failed | walks | steps | seconds |\n|---|---|---|---|---|---|"
    );
    let mut holds = true;
    for configuration in configurations(options.configuration) {
        let found = walked(options, configuration, options.variant);
        println!("{}", row(options.variant, configuration, &found));
        holds &= options.variant.is_some() || found.failure.is_none();
        if let Some(failure) = found.failure.filter(|_| options.steps) {
            println!("{}", told(&shortest(&failure)).join("\n"));
        }
    }
    anyhow::ensure!(holds, "the rule does not hold");
    Ok(())
}

fn configurations(only: Option<Configuration>) -> Vec<Configuration> {
    let all = Configuration::ALL.into_iter();
    all.filter(|configuration| only.is_none_or(|only| only == *configuration)).collect()
}

fn walked(options: &Epochs, configuration: Configuration, variant: Option<Variant>) -> Search {
    let seeds = options.seed..options.seed + options.walks;
    search(&configuration.model(variant), seeds, options.length)
}

fn row(variant: Option<Variant>, configuration: Configuration, found: &Search) -> String {
    let rule = variant.map_or_else(|| "as it is".to_string(), |variant| format!("{variant:?}"));
    let check = found.failure.as_ref().map_or("none".to_string(), |failure| format!("{:?}", failure.check));
    let Search { walks, steps, took, .. } = found;
    format!("| {rule} | {configuration:?} | {check} | {walks} | {steps} | {:.1} |", took.as_secs_f64())
}

/// A row for each variant: after how many walks of each configuration it was found, or that a story finds it.
fn mutants(options: &Epochs) {
    let configurations = configurations(options.configuration);
    let names: Vec<String> = configurations.iter().map(|name| format!("{name:?}")).collect();
    println!("| variant | {} | story |", names.join(" | "));
    println!("|{}", "---|".repeat(names.len() + 2));
    let variants = Variant::value_variants().iter().copied();
    for variant in variants.filter(|variant| options.variant.is_none_or(|only| only == *variant)) {
        let cells =
            configurations.iter().map(|configuration| cell(&walked(options, *configuration, Some(variant))));
        let cells: Vec<String> = cells.collect();
        let story = stories::of(variant).map_or("-".to_string(), |failure| format!("{:?}", failure.check));
        println!("| {variant:?} | {} | {story} |", cells.join(" | "));
    }
}

fn cell(found: &Search) -> String {
    let seconds = found.took.as_secs_f64();
    found.failure.as_ref().map_or("-".to_string(), |failure| {
        format!("{:?}, {} walks, {seconds:.1} s", failure.check, found.walks)
    })
}
