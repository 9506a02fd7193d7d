use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use kv_core::ids::NodeId;

use super::*;

fn file(text: &str) -> (tempfile::TempDir, Flags) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kv.toml");
    fs::write(&path, text).unwrap();
    (directory, Flags { config: Some(path), ..Flags::default() })
}

fn from_file(text: &str) -> Result<Loaded, Vec<String>> {
    let (_directory, flags) = file(text);
    from(&flags, &[])
}

fn from(flags: &Flags, variables: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load(flags, variables).map_err(|problems| {
        let directory =
            flags.config.as_ref().and_then(|path| path.parent()).map(|path| format!("{}/", path.display()));
        let relative = |text: String| text.replace(&directory.clone().unwrap_or("\0".into()), "");
        problems.0.iter().map(|problem| relative(problem.to_string())).collect()
    })
}

fn problem(text: &str) -> String {
    let problems = from_file(text).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.into_iter().next().unwrap()
}

#[test]
fn without_any_source_the_defaults_hold() {
    assert_eq!(from(&Flags::default(), &[]).unwrap().config, ServerConfig::default());
}

#[test]
fn the_environment_beats_the_file_and_flags_beat_both() {
    let (_directory, mut flags) =
        file("node = 1\nlisten = \"127.0.0.1:1\"\ndata = \"a\"\n[log]\nformat = \"json\"\n");
    let variables = [("KV_LISTEN", "127.0.0.1:2"), ("KV_DATA", "b"), ("KV_LIMITS_SIBLINGS_MAX", "9")];
    flags.data = Some("c".into());
    flags.settings = vec!["limits.deadline_ms_default=1s".into()];
    let config = from(&flags, &variables).unwrap().config;
    assert_eq!(config.node, Some(NodeId(1)));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.listen, "127.0.0.1:2");
    assert_eq!(config.data, PathBuf::from("c"));
    assert_eq!((config.limits.siblings_max, config.limits.deadline_ms_default), (9, 1_000));
}

#[test]
fn the_file_may_be_named_in_the_environment() {
    let (_directory, flags) = file("threads = 2");
    let path = flags.config.unwrap();
    let loaded = from(&Flags::default(), &[("KV_CONFIG", path.to_str().unwrap())]).unwrap();
    assert_eq!(loaded.config.threads, 2);
}

#[test]
fn unknown_keys_are_refused_with_the_line_and_the_nearest_name() {
    assert_eq!(problem("node = 1\nlisen = \"x\""), "kv.toml:2: unknown key 'lisen': did you mean 'listen'?");
    assert_eq!(
        problem("\n[limits]\nvalue_byte_max = 1"),
        "kv.toml:3: unknown key 'limits.value_byte_max': did you mean 'limits.value_bytes_max'?"
    );
    assert_eq!(problem("[limit]\nx = 1"), "kv.toml:1: unknown section 'limit': did you mean 'limits'?");
    assert_eq!(
        problem("replicas = 3"),
        "kv.toml:1: unknown key 'replicas': did you mean 'cluster.replicas'?"
    );
    assert_eq!(problem("colour = 3"), "kv.toml:1: unknown key 'colour': kv-server --print-config shows all");
    assert_eq!(
        problem("node = 1\n[[members]]\nid = 1\nadress = \"a:1\"\n"),
        "kv.toml:4: unknown key of a member 'adress': did you mean 'address'?"
    );
    let flags = Flags { settings: vec!["limits.sibling_max=1".into()], ..Flags::default() };
    let problems =
        from(&flags, &[("KV_LISTN", "x"), ("KV_SERVER", "x"), ("KV_SERVICE_HOST", "x")]).unwrap_err();
    assert_eq!(
        problems,
        [
            "environment KV_LISTN: unknown variable 'KV_LISTN': did you mean 'KV_LISTEN'?",
            "--set limits.sibling_max=1: unknown key 'limits.sibling_max': did you mean 'limits.siblings_max'?",
        ]
    );
}

#[test]
fn bad_values_say_what_would_be_good() {
    let cases = [
        ("node = 0", "kv.toml:1: node: a node's id is a number from 1"),
        ("node = \"one\"", "kv.toml:1: node: 'one' is not a number that fits here"),
        (
            "[storage]\nmap_bytes = \"8MiB\"\n[limits]\nfree_bytes_min = \"4MiB\"",
            "kv.toml:4: limits.free_bytes_min: twice as much (8388608) must be less than storage.map_bytes (8388608), or the node never takes writes",
        ),
        ("data = \"\"", "kv.toml:1: data: the path is empty"),
        (
            "listen = 7380",
            "kv.toml:1: listen: '7380' is not an address: write host:port, as in 127.0.0.1:7380 or [::1]:7380",
        ),
        ("listen = \"::1:7380\"", "kv.toml:1: listen: '::1:7380' is not an address"),
        ("admin = \"on\"", "kv.toml:1: admin: 'on' is not an address"),
        ("insecure = \"yes\"", "kv.toml:1: insecure: 'yes' is neither true nor false"),
        ("threads = 0", "kv.toml:1: threads: must be 1 to 256, not 0"),
        ("drain = 5", "kv.toml:1: drain: '5' has no unit: write 5ms or 5s"),
        ("drain = \"2h\"", "kv.toml:1: drain: must be at most 1h"),
        ("log = \"info\"", "kv.toml:1: unknown key 'log'"),
        (
            "log.format = \"jason\"",
            "kv.toml:1: log.format: 'jason' is not one of text, json (did you mean json?)",
        ),
        ("log.trace_sample = 1.5", "kv.toml:1: log.trace_sample: '1.5' is not a number from 0 to 1"),
        ("log.filter = \"a=b=c\"", "kv.toml:1: log.filter: 'a=b=c' is not a filter"),
        ("storage.engine = \"rocks\"", "kv.toml:1: storage.engine: 'rocks' is not one of lmdb, memory"),
        (
            "storage.create = \"always\"",
            "kv.toml:1: storage.create: 'always' is not one of if_missing, never",
        ),
        ("storage.map_bytes = \"1KiB\"", "kv.toml:1: storage.map_bytes: must be at least 1MiB"),
        ("storage.reserve_bytes = \"lots\"", "kv.toml:1: storage.reserve_bytes: 'lots' is not a size"),
        ("storage.reads_may_block = 1", "kv.toml:1: storage.reads_may_block: '1' is neither"),
        ("cluster.replicas = 17", "kv.toml:1: cluster.replicas: must be 1 to 16, not 17"),
        ("cluster.replicas = -1", "kv.toml:1: cluster.replicas: '-1' is not a number that fits here"),
        (
            "cluster.partitions = 1000",
            "kv.toml:1: cluster.partitions: the number of partitions must be a power of two",
        ),
        (
            "cluster.durability = \"sync\"",
            "kv.toml:1: cluster.durability: 'sync' is not one of synced, buffered (did you mean synced?)",
        ),
        (
            "cluster.strategy = \"ring\"",
            "kv.toml:1: cluster.strategy: 'ring' is not one of balanced, hash_ring",
        ),
        (
            "limits.key_bytes_max = 2000",
            "kv.toml:1: limits.key_bytes_max: key_bytes_max must be 1 to 1024, not 2000",
        ),
        (
            "limits.record_bytes_max = \"1MiB\"",
            "kv.toml:1: limits.record_bytes_max: record_bytes_max (1048576) must exceed",
        ),
        ("limits.operations_max = 0", "kv.toml:1: limits.operations_max: operations_max must be at least 1"),
        (
            "limits.deadline_ms_default = \"2h\"",
            "kv.toml:1: limits.deadline_ms_default: deadline_ms_default must be",
        ),
        ("limits.hedge_delay_ms = [1]", "kv.toml:1: limits.hedge_delay_ms is a single value, not array"),
        ("members = 3", "kv.toml:1: members is a list of tables: write [[members]]"),
        ("node = 1\n[[members]]\nid = 1", "kv.toml:2: member 1 needs an address"),
        ("node = 1\n[[members]]\naddress = \"a:1\"", "kv.toml:2: a member needs an id"),
        ("node = 1\n[[members]]\nid = 1\naddress = \"a\"", "kv.toml:4: address: 'a' is not an address"),
        (
            "node = 1\n[[members]]\nid = 1\naddress = \"a:1\"\ncapacity = 0",
            "kv.toml:5: capacity: a member's capacity is at least 1",
        ),
        ("node = = 1", "kv.toml:1: "),
    ];
    for (text, expected) in cases {
        let problem = problem(text);
        assert!(problem.starts_with(expected), "{text}: {problem}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let members = |node: &str, rest: &str| {
        problem(&format!("{node}\n[[members]]\nid = 1\naddress = \"a:1\"\n[[members]]\n{rest}\n"))
    };
    let two = "id = 2\naddress = \"a:2\"";
    assert!(members("", two).contains("node: is not set: say which of the members 1, 2 this node is"));
    assert!(members("node = 3", two).contains("node: 3 is none of the members, which are 1, 2"));
    assert!(members("node = 1", "id = 1\naddress = \"a:2\"").contains("a:1 and a:2 both have id 1"));
    assert!(members("node = 1", "id = 2\naddress = \"a:1\"").contains("1 and 2 both have the address a:1"));
    assert!(members("node = 1", "id = 2\naddress = \"a:0\"").contains("has port 0"));
    assert!(problem("admin = \"127.0.0.1:7380\"").contains("is the address for peers and clients already"));
    assert!(problem("limits.frame_bytes_max = \"8MiB\"").contains("at least (N + 1) x record_bytes_max"));
}

#[test]
fn listening_beyond_loopback_has_to_be_asked_for() {
    for address in ["0.0.0.0:7380", "192.0.2.1:7380", "[::]:7380", "example.org:7380"] {
        for key in ["listen", "admin", "resp"] {
            let problem = problem(&format!("{key} = \"{address}\""));
            assert!(problem.contains("is not loopback") && problem.contains("--insecure"), "{problem}");
            from_file(&format!("{key} = \"{address}\"\ninsecure = true")).unwrap();
        }
    }
    for address in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1"] {
        from_file(&format!("listen = \"{address}\"")).unwrap();
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let problems = from_file("lisen = 1\nthreads = \"many\"\n[log]\nformat = 3\n").unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let flags = Flags { config: Some("/no/such/kv.toml".into()), ..Flags::default() };
    assert!(
        from(&flags, &[]).unwrap_err()[0].starts_with("kv.toml: cannot read the configuration: No such file")
    );
}

#[test]
fn what_is_printed_gives_the_same_configuration_again() {
    let text = "node = 2\nadmin = \"off\"\ndrain = \"1m 30s\"\n[limits]\nvalue_bytes_max = \"512KiB\"\nhedge_delay_ms = 0\n\
                [storage]\nmap_bytes = 1_000_000_000\n\
                [[members]]\nid = 2\naddress = \"a:1\"\nzone = \"z\\\"1\"\ndata_center = \"d\"\ncapacity = 7\n\
                [[members]]\nid = 3\naddress = \"a:2\"\n";
    for text in ["", text] {
        let first = from_file(text).unwrap();
        let printed = first.to_string();
        let again = from_file(&printed).unwrap_or_else(|problems| panic!("{problems:?}\n{printed}"));
        assert_eq!(again.config, first.config, "{printed}");
    }
    let (_directory, mut flags) = file("threads = 2");
    flags.node = Some("7".into());
    let printed = from(&flags, &[("KV_DRAIN", "1s")]).unwrap().to_string();
    for line in
        ["(--node)\nnode = 7\n", "kv.toml:1)\nthreads = 2\n", "(environment KV_DRAIN)\ndrain = \"1s\"\n"]
    {
        assert!(printed.contains(line), "{printed}");
    }
}

#[test]
fn members_may_be_written_on_one_line() {
    let variables = [("KV_NODE", "1"), ("KV_MEMBERS", "1=a:1, 2=b:2")];
    let ids = |loaded: Loaded| loaded.config.members.iter().map(|member| member.id.0).collect::<Vec<_>>();
    assert_eq!(ids(from(&Flags::default(), &variables).unwrap()), [1, 2]);
    let flags = Flags { members: vec!["1=a:1".into()], ..Flags::default() };
    assert_eq!(ids(from(&flags, &variables).unwrap()), [1], "flags replace the list");
    let flags = Flags { members: vec!["a:1".into()], ..Flags::default() };
    assert_eq!(
        from(&flags, &[]).unwrap_err(),
        ["--member: members: 'a:1' is not a member: write ID=HOST:PORT"]
    );
}

#[test]
fn every_bound_of_a_node_can_be_set() {
    let limits = serde_json::to_value(kv_core::limits::Limits::default()).unwrap();
    for name in limits.as_object().unwrap().keys() {
        assert!(settings::find(&format!("limits.{name}")).is_some(), "limits.{name} has no setting");
    }
}
