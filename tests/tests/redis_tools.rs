//! `redis-cli` and `redis-benchmark` of Redis 7, as they are, against three real processes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use kv_tests::cluster::Cluster;
use kv_tests::process::within;
use kv_tests::tools::{Outcome, is_missing, run};

/// However slow the machine is; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(1_200);

/// A node, and the program that talks to it.
struct Tool {
    program: &'static str,
    port: String,
}

impl Tool {
    fn new(program: &'static str, cluster: &Cluster, node: usize) -> Tool {
        let address = cluster.resp(node).unwrap();
        Tool { program, port: address.rsplit(':').next().unwrap().to_string() }
    }

    async fn run(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let arguments = [&["-h", "127.0.0.1", "-p", &self.port], arguments].concat();
        run(self.program, &arguments, input).await.unwrap()
    }

    /// What it prints if all goes well.
    async fn prints(&self, arguments: &[&str], input: &[u8]) -> String {
        let outcome = self.run(arguments, input).await;
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.complaints, "", "{arguments:?}: {outcome:?}");
        outcome.out
    }
}

/// Three nodes; none if the programs are missing.
async fn cluster() -> Option<Cluster> {
    for program in ["redis-cli", "redis-benchmark"] {
        if is_missing(program, &["--version"], "redis-tools").await {
            return None;
        }
    }
    Some(Cluster::start(3, &[]).await.unwrap())
}

#[tokio::test]
async fn redis_cli_runs_a_script_in_every_form_of_output() {
    within(AMPLE, async {
        let Some(cluster) = cluster().await else { return };
        let cli = Tool::new("redis-cli", &cluster, 0);

        let script = b"set a hello\nget a\nget nothing\nmset b 1 c 2\nmget a nothing b\nexists a b b\nset \"a b\" \"two words\" get\n\
            get 'a b'\nset a again get\nstrlen a\ntype a\ndel b c d\necho hi\nping\nselect default\nget a\nselect 0\nincr a\nget\nnosuch x\n";
        let raw = cli.prints(&[], script).await;
        let expected = "OK\nhello\n\nOK\nhello\n\n1\n3\n\ntwo words\nhello\n5\nstring\n2\nhi\nPONG\nOK\n\nOK\n\
            ERR INCR is refused: its purpose is atomicity, which a bucket with quorums does not have\n\n\
            ERR wrong number of arguments for 'get' command\n\n\
            ERR unknown command 'nosuch', with args beginning with: 'x' \n\n";
        assert_eq!(raw, expected);

        let script = b"get a\nget nothing\nmget a nothing\nexists a\nconfig get save\nincr a\n";
        for protocol in ["-2", "-3"] {
            let shown = cli.prints(&[protocol, "--no-raw"], script).await;
            let map = match protocol {
                "-3" => "1# \"save\" => \"\"\n",
                _ => "1) \"save\"\n2) \"\"\n",
            };
            let expected = format!(
                "\"again\"\n(nil)\n1) \"again\"\n2) (nil)\n(integer) 1\n{map}(error) ERR INCR is refused: its purpose is atomicity, which a bucket with quorums does not have\n"
            );
            assert_eq!(shown, expected, "{protocol}");
        }

        cli.prints(&["-x", "set", "input"], b"from a file\n\x00\xff").await;
        let quoted = cli.prints(&["--no-raw", "get", "input"], b"").await;
        assert_eq!(quoted, "\"from a file\\n\\x00\\xff\"\n");
        assert_eq!(cli.prints(&["--csv", "mget", "a", "nothing"], b"").await, "\"again\",NULL\n");
        let json = cli.prints(&["--json", "config", "get", "save", "nosuch"], b"").await;
        assert_eq!(json, "{\"save\":\"\"}\n");
        assert_eq!(cli.prints(&["-n", "0", "-r", "3", "-i", "0.01", "ping"], b"").await, "PONG\n".repeat(3));
        let info = cli.prints(&["info"], b"").await;
        assert!(info.contains("# Server\r\nredis_version:7.") && info.contains("\r\n# Keyspace\r\n"), "{info}");
        let help = cli.prints(&["command", "docs", "get"], b"").await;
        assert!(help.contains("Reads a value"), "{help}");
        let refused = cli.run(&["-e", "incr", "a"], b"").await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.complaints.starts_with("ERR INCR is refused"), "{refused:?}");

        // Without a terminal it ends after one interval: least, most and mean latency, and how many.
        let latency = cli.prints(&["--latency", "--raw", "-i", "1"], b"").await;
        assert!(latency.split_whitespace().nth(3).is_some_and(|count| count.parse().is_ok_and(|n: u32| n > 0)));
        cluster.check_logs().unwrap();
    })
    .await;
}

#[tokio::test]
async fn redis_cli_inserts_masses() {
    within(AMPLE, async {
        let Some(cluster) = cluster().await else { return };
        let cli = Tool::new("redis-cli", &cluster, 1);
        let mut sets = Vec::new();
        for number in 0..10_000 {
            let (key, value) = (format!("mass-{number}"), format!("value of {number}\r\n"));
            sets.extend(format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n", key.len()).bytes());
            sets.extend(format!("${}\r\n{value}\r\n", value.len()).bytes());
        }
        let said = cli.prints(&["--pipe"], &sets).await;
        assert!(said.ends_with("errors: 0, replies: 10000\n"), "{said}");

        // What was put through one node is read through another.
        let other = Tool::new("redis-cli", &cluster, 2);
        let gets: String = (0..10_000).map(|number| format!("get mass-{number}\n")).collect();
        let expected: String = (0..10_000).map(|number| format!("\"value of {number}\\r\\n\"\n")).collect();
        assert!(other.prints(&["--no-raw"], gets.as_bytes()).await == expected, "not what was put");

        // Every key is found, once or more, and what goes through all of them gets to its end.
        let found = other.prints(&["--scan", "--pattern", "mass-*"], b"").await;
        let found: BTreeSet<&str> = found.lines().collect();
        assert_eq!(found.len(), 10_000);
        let found = other.prints(&["--scan", "--pattern", "mass-12?4"], b"").await;
        let found: BTreeSet<&str> = found.lines().collect();
        assert_eq!(
            found,
            (0..10)
                .map(|number| format!("mass-12{number}4"))
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str)
                .collect()
        );
        let largest = other.prints(&["--bigkeys"], b"").await;
        assert!(largest.contains("Sampled 10000 keys in the keyspace!"), "{largest}");
        assert!(largest.contains("10000 strings with 148890 bytes"), "{largest}");

        let refused = cli.run(&["--pipe"], b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n").await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.out.ends_with("errors: 1, replies: 2\n"), "{refused:?}");
        cluster.check_logs().unwrap();
    })
    .await;
}

#[tokio::test]
async fn redis_benchmark_runs_to_its_end() {
    within(AMPLE, async {
        let Some(cluster) = cluster().await else { return };
        let benchmark = Tool::new("redis-benchmark", &cluster, 0);
        let load = ["-n", "20000", "-c", "20", "-P", "16", "-t", "set,get,ping,mset"];
        for more in [&["-q"][..], &["-q", "-3", "-r", "100000", "-d", "100"], &["-q", "--threads", "2"]] {
            let said = benchmark.prints(&[more, &load].concat(), b"").await;
            let done: Vec<&str> = said
                .split(['\r', '\n'])
                .filter_map(|line| {
                    line.split_once(": ").filter(|(_, rest)| rest.contains("requests per second"))
                })
                .map(|(name, _)| name.trim())
                .collect();
            assert_eq!(
                done,
                ["PING_INLINE", "PING_MBULK", "SET", "GET", "MSET (10 keys)"],
                "{more:?}: {said}"
            );
        }
        // One that is answered with errors says so.
        let refused = benchmark.run(&["-q", "-n", "100", "-t", "incr"], b"").await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.complaints.contains("INCR is refused"), "{refused:?}");
        cluster.check_logs().unwrap();
    })
    .await;
}
