//! What people are told when the cluster is up.

use std::path::Path;
use std::time::Duration;

use super::plan::Plan;
use crate::cli::SERVERS_DEFAULT;

/// How to talk to the cluster.
pub(super) fn text(plan: &Plan, client: &str, pids: &[u32], took: Duration) -> String {
    let kept = match plan.memory {
        true => "values are kept in memory and gone when the nodes are".to_string(),
        false => format!("data in {}, kept for the next time", shown(&plan.data)),
    };
    let count = plan.nodes.len();
    let plural = if count == 1 { "node is" } else { "nodes are" };
    let mut out = format!("\n{count} {plural} up after {:.1} s, {kept}:\n\n", took.as_secs_f64());
    for (node, pid) in plan.nodes.iter().zip(pids) {
        out += &format!("  node {}  {}  http://{}/status  pid {pid}\n", node.id, node.listen, node.admin);
    }
    let kv = format!("{client}{}", server(plan));
    out += &format!(
        "\nTalk to them from another terminal:\n\n  {kv} put greeting hello\n  {kv} get greeting\n  {kv} status\n"
    );
    let ports = plan.nodes.iter().filter_map(|node| node.resp.rsplit_once(':')).map(|(_, port)| port);
    if let Some(port) = ports.into_iter().find(|port| *port != "0") {
        out += &format!("\nOr as a client of Redis:\n\n  redis-cli -p {port} set greeting hello\n");
    }
    if let (true, Some(pid)) = (count >= 3, pids.get(1)) {
        out += &format!("\nKill one, and reads and writes go on:\n\n  kill -9 {pid}\n  {kv} get greeting\n");
    }
    out + "\nCtrl-C stops them.\n"
}

/// The flag that names the cluster, unless the client finds it by itself.
fn server(plan: &Plan) -> String {
    let addresses = plan.addresses();
    let first = addresses.first().map_or("", String::as_str);
    if SERVERS_DEFAULT.split(',').next() == Some(first) {
        String::new()
    } else {
        format!(" -s {}", addresses.join(","))
    }
}

fn shown(data: &Path) -> String {
    if data.is_absolute() { data.display().to_string() } else { format!("./{}", data.display()) }
}
