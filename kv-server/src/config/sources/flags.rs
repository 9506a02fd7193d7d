//! Settings on the command line.

use std::path::PathBuf;

use clap::Args;

use super::Gathered;
use crate::config::members;
use crate::config::settings::SETTINGS;
use crate::text::nearest;

/// The settings that have a flag of their own, and `--set` for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Flags {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The id of this node
    #[arg(long, value_name = "ID")]
    pub node: Option<String>,
    /// The directory in which the node keeps its data [default: kv-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Where peers and clients reach this node [default: 127.0.0.1:7380]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where health, readiness, status and metrics are told over HTTP, or off [default: 127.0.0.1:7381]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    /// Where clients of Redis reach this node, or off [default: 127.0.0.1:7379]
    #[arg(long, value_name = "ADDRESS")]
    pub resp: Option<String>,
    /// A member of the cluster, this node included; once for each
    #[arg(long = "member", value_name = "ID=ADDRESS")]
    pub members: Vec<String>,
    /// Storage engine: lmdb or memory [default: lmdb]
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
    /// Threads that serve connections [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub threads: Option<String>,
    /// Which events are logged [default: info,tarpc=warn]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Form of log lines: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Listen beyond loopback, although nothing is encrypted and everybody may read and write
    #[arg(long)]
    pub insecure: bool,
    /// Any setting of the file, as in --set limits.value_bytes_max=4MiB
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

pub(super) fn gather(flags: &Flags, gathered: &mut Gathered) {
    for setting in &flags.settings {
        let place = format!("--set {setting}");
        let Some((key, value)) = setting.split_once('=') else {
            gathered.problems.add(place, "write --set KEY=VALUE");
            continue;
        };
        if !gathered.set(key.trim(), value.trim(), place.clone()) {
            let nearest = nearest(key, SETTINGS.iter().map(|setting| setting.key)).map(String::from);
            gathered.unknown("key", key, nearest, place);
        }
    }
    let insecure = flags.insecure.then(|| "true".to_string());
    let own = [
        ("node", "--node", &flags.node),
        ("data", "--data", &flags.data),
        ("listen", "--listen", &flags.listen),
        ("admin", "--admin", &flags.admin),
        ("resp", "--resp", &flags.resp),
        ("storage.engine", "--engine", &flags.engine),
        ("threads", "--threads", &flags.threads),
        ("log.filter", "--log", &flags.log),
        ("log.format", "--log-format", &flags.log_format),
        ("insecure", "--insecure", &insecure),
    ];
    for (key, flag, value) in own {
        if let Some(value) = value {
            gathered.set(key, value, flag.to_string());
        }
    }
    if !flags.members.is_empty() {
        let members = flags.members.iter().map(|member| members::read_short(member)).collect();
        gathered.set_members(members, "--member".into());
    }
}
