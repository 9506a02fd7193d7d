use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Child processes that end with this one.
#[derive(Default)]
pub(crate) struct Processes(pub(crate) Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Processes {
    /// Starts three of this program's own kinds of server, and waits until they are ready.
    pub(crate) fn start(kind: &str, port: u16, more: impl Fn(u64) -> Vec<String>) -> anyhow::Result<Self> {
        let mut processes = Processes::default();
        for id in 1..=3 {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([kind, "--id", &id.to_string(), "--port", &port.to_string()]).args(more(id));
            let mut child = command.stdout(Stdio::piped()).spawn()?;
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line)?;
            processes.0.push(child);
            anyhow::ensure!(line.trim() == "ready", "node {id} did not start");
        }
        Ok(processes)
    }

    /// Seconds of processor time that the processes took so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.0.iter().map(Child::id).collect::<Vec<u32>>())
    }

    /// Bytes that the processes wrote to storage so far.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.0
            .iter()
            .filter_map(|child| std::fs::read_to_string(format!("/proc/{}/io", child.id())).ok())
            .filter_map(|io| {
                io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse::<u64>().ok())
            })
            .sum()
    }
}

/// Seconds of processor time that processes took so far.
pub(crate) fn cpu_seconds(pids: &[u32]) -> f64 {
    let ticks: u64 = pids
        .iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .map(|stat| {
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        })
        .sum();
    ticks as f64 / 100.0
}
