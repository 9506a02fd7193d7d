//! What is done to clusters of real processes, or to nodes in this one, while they are used. Each is run long by a program and short by a test.

pub mod crash_rounds;
pub mod one_node_killed;
pub mod real_data;
pub mod resp_fuzz;
pub mod resp_pipelines;
pub mod rolling_restart;
pub mod slow_clients;

/// Prints what is wrong, as far as anybody reads it, and makes an error of it.
fn fail_on(what: &str, wrong: &[String]) -> anyhow::Result<()> {
    for line in wrong.iter().take(20) {
        println!("{what}: {line}");
    }
    anyhow::ensure!(wrong.is_empty(), "{what}: {}, first {}", wrong.len(), wrong[0]);
    Ok(())
}
