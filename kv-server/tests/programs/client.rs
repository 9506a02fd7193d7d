//! `kv`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use crate::support::{Dev, finish, free_address, run, until};

#[test]
fn keys_and_values_may_be_any_bytes() {
    let dev = Dev::start(&["--memory"]);
    let bytes: Vec<u8> = (0..=255).collect();
    let key = OsString::from_vec((1..=255).collect());
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    dev.kv([words(&["put"]), vec![key.clone()], words(&["plain"])].concat()).with_code(0);
    assert_eq!(dev.kv([words(&["get"]), vec![key]].concat()).with_code(0).out, "plain");

    dev.kv_with_input(&["put", "binary", "-"], &bytes).with_code(0);
    assert_eq!(dev.kv(["get", "binary"]).with_code(0).raw, bytes);
    let file = dev.path().join("value");
    std::fs::write(&file, b"from a file\n").unwrap();
    dev.kv(["put", "file", "--file", file.to_str().unwrap()]).with_code(0);
    assert_eq!(dev.kv(["get", "file"]).with_code(0).out, "from a file\n");
    let json = dev.kv(["get", "binary", "--json"]).with_code(0).json();
    assert_eq!(json["values"][0]["value_hex"].as_str().unwrap().len(), 512);
    dev.kv(["put", "empty", ""]).with_code(0);
    assert_eq!(dev.kv(["get", "empty"]).with_code(0).raw, b"");
    dev.kv(["put", "minus", "-5"]).with_code(0);
    assert_eq!(dev.kv(["get", "minus"]).with_code(0).out, "-5");
    assert_eq!(dev.kv(["get", "minus", "--repair"]).with_code(0).out, "-5");
}

#[test]
fn what_is_not_there_has_an_exit_code_of_its_own() {
    let dev = Dev::start(&["--memory"]);
    let get = dev.kv(["get", "nothing"]).with_code(3);
    assert_eq!((get.out.as_str(), get.err.as_str()), ("", "kv: no value under nothing\n"));
    dev.kv(["put", "k", "v"]).with_code(0);
    assert!(dev.kv(["delete", "k"]).with_code(0).out.starts_with("deleted k, acknowledged by nodes "));
    assert!(dev.kv(["delete", "k"]).with_code(0).out.starts_with("there was nothing under k"));
    assert_eq!(dev.kv(["get", "k", "--json"]).with_code(3).json()["result"], "not_found");
    let bucket = dev.kv(["get", "k", "-b", "nowhere"]).with_code(3);
    assert!(bucket.err.contains("there is no bucket 'nowhere'"), "{bucket:?}");
}

#[test]
fn concurrent_values_are_all_shown_and_a_context_replaces_them() {
    let dev = Dev::start(&["--memory"]);
    dev.kv(["put", "k", "one", "--blind"]).with_code(0);
    dev.kv(["put", "k", "two", "--blind"]).with_code(0);
    let get = dev.kv(["get", "k"]).with_code(6);
    let mut values: Vec<&str> = get.out.lines().collect();
    values.sort_unstable();
    assert_eq!(values, ["one", "two"]);
    assert!(
        get.err.contains("2 values are concurrent:") && get.err.contains("--- 2 of 2: 3 bytes"),
        "{get:?}"
    );
    dev.kv(["get", "k", "--all"]).with_code(0);
    assert_eq!(dev.kv(["get", "k", "--json"]).with_code(6).json()["values"].as_array().unwrap().len(), 2);

    let context = dev.kv(["get", "k", "--context"]).with_code(0).out;
    dev.kv(["put", "k", "three", "--context", context.trim()]).with_code(0);
    assert_eq!(dev.kv(["get", "k"]).with_code(0).out, "three");

    let foreign = dev.kv(["put", "other", "x", "--context", context.trim()]).with_code(2);
    assert!(foreign.err.contains("was not issued for this key"), "{foreign:?}");
    let cut = dev.kv(["put", "k", "x", "--context", "abc"]).with_code(2);
    assert!(cut.err.contains("odd number of hexadecimal digits"), "{cut:?}");
}

#[test]
fn what_cannot_work_is_refused_with_exit_code_2() {
    let dev = Dev::start(&["--memory"]);
    for arguments in [
        &["put", "k"][..],
        &["get"],
        &["gte", "k"],
        &["put", "k", "v", "--w", "most"],
        &["put", "k", "v", "--w", "9"],
        &["bucket", "set", "default"],
        &["-s", "127.0.0.1", "get", "k"],
        &["-s", "127.0.0.1:99999", "get", "k"],
        &["-s", "", "get", "k"],
    ] {
        dev.kv(arguments).with_code(2);
    }
    let nothing = dev.kv(["delete", "nokey"]).with_code(0);
    assert_eq!(nothing.out.trim_end(), "there was nothing under nokey");
    let long = "x".repeat(2_000);
    let key = dev.kv(["put", &long, "v"]).with_code(2);
    assert!(key.err.contains("a key has 1 to 1024 bytes, not 2000"), "{key:?}");
    let large = dev.kv_with_input(&["put", "k", "-"], &vec![0; (1 << 20) + 1]).with_code(2);
    assert!(large.err.contains("1048576"), "{large:?}");
    let file = dev.kv(["put", "k", "--file", "/no/such/file"]).with_code(2);
    assert!(file.err.contains("cannot read /no/such/file"), "{file:?}");
}

#[test]
fn an_absent_cluster_is_unavailable() {
    let free = free_address();
    let kv = |arguments: &[&str]| {
        run(Command::new(env!("CARGO_BIN_EXE_kv")).args(["-s", &free, "--timeout", "500ms"]).args(arguments))
    };
    for arguments in
        [&["get", "k"][..], &["put", "k", "v"], &["status"], &["ring"], &["bench"], &["bucket", "list"]]
    {
        let done = kv(arguments).with_code(5);
        assert!(done.err.contains(&free) && done.err.contains("is the cluster up?"), "{done:?}");
    }
    let json = kv(&["get", "k", "--json"]).with_code(5).json();
    assert_eq!((&json["result"], &json["error"]["retryable"]), (&"error".into(), &true.into()));
}

#[test]
fn too_few_replicas_are_named() {
    let dev = Dev::start(&["--no-restart", "--memory"]);
    dev.kv(["put", "k", "v", "--w", "all"]).with_code(0);
    for pid in &dev.pids()[1..] {
        crate::support::signal(*pid, "KILL");
    }
    let get = dev.kv(["get", "k", "--timeout", "1s"]).with_code(5);
    assert!(!get.err.is_empty(), "{get:?}");
    assert_eq!(dev.kv(["get", "k", "--r", "one", "--timeout", "2s"]).with_code(0).out, "v");
    let put = dev.kv(["put", "k", "w", "--blind", "--timeout", "1s"]);
    assert!(matches!(put.code, Some(4 | 5)), "{put:?}");
    if put.code == Some(4) {
        assert!(
            put.err.contains("indeterminate, the write may have happened or may still appear"),
            "{put:?}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_causes_no_panic() {
    let dev = Dev::start(&["--memory"]);
    dev.kv_with_input(&["put", "large", "-"], &vec![b'x'; 1 << 20]).with_code(0);
    let mut command = dev.kv_command();
    let mut child =
        command.args(["get", "large"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = finish(child).with_code(1);
    assert_eq!(done.err, "");
}

#[test]
fn buckets_are_created_changed_and_deleted() {
    let dev = Dev::start(&["--memory"]);
    assert_eq!(
        dev.kv(["bucket", "create", "carts", "--w", "all"]).with_code(0).out,
        "bucket carts created\n"
    );
    let again = dev.kv(["bucket", "create", "carts"]).with_code(2);
    assert!(again.err.contains("carts"), "{again:?}");
    let list = dev.kv(["bucket", "list"]).with_code(0).out;
    let names: Vec<&str> = list.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["BUCKET", "carts", "default", "redis"]);
    dev.kv(["bucket", "set", "carts", "--r", "one", "--value-bytes-max", "1KiB"]).with_code(0);
    let show = dev.kv(["bucket", "show", "carts"]).with_code(0).out;
    for line in ["r:                one", "w:                all", "value_bytes_max:  1KiB"] {
        assert!(show.contains(line), "{show}");
    }
    dev.kv(["put", "k", "v", "-b", "carts"]).with_code(0);
    dev.kv(["get", "k"]).with_code(3);
    let unsure = dev.kv(["bucket", "delete", "carts"]).with_code(2);
    assert!(unsure.err.contains("--yes"), "{unsure:?}");
    dev.kv(["bucket", "delete", "carts", "--yes"]).with_code(0);
    dev.kv(["bucket", "show", "carts"]).with_code(3);
}

#[test]
fn the_ring_and_a_keys_place_in_it_can_be_seen() {
    let dev = Dev::start(&["--nodes", "4", "--memory"]);
    let ring = dev.kv(["ring"]).with_code(0).out;
    assert!(ring.contains("layout version 1: 4 members, 1,024 partitions, 3 replicas"), "{ring}");
    assert_eq!(ring.matches("75.0 %").count(), 4, "{ring}");
    let key = dev.kv(["ring", "greeting"]).with_code(0).out;
    assert!(key.starts_with("greeting lies at token 1fc809e0902f8741, in partition 127 of 1,024"), "{key}");
    assert_eq!((key.matches("owner").count(), key.matches("none").count()), (3, 1), "{key}");
    let json = dev.kv(["ring", "greeting", "--json"]).with_code(0).json();
    assert_eq!(json["owners"].as_array().unwrap().len(), 3);

    dev.kv(["put", "greeting", "hello"]).with_code(0);
    let explain = dev.kv(["explain", "greeting"]).with_code(0).out;
    for part in [
        "greeting (1 value)",
        "one version replaced all others",
        "token 1fc809e0902f8741",
        "5 bytes",
        "answered",
    ] {
        assert!(explain.contains(part), "{explain}");
    }
    let put = dev.kv(["put", "greeting", "bye", "--explain"]).with_code(0).out;
    assert!(put.contains("the write was stored") && put.contains("committed"), "{put}");
}

#[test]
fn a_benchmark_reports_what_it_was_asked_to_do() {
    let dev = Dev::start(&["--memory"]);
    let run = |arguments: &[&str]| {
        let short = ["bench", "--duration", "500ms", "--warm-up", "100ms", "--keys", "100", "--fill"];
        dev.kv(short.iter().chain(arguments))
    };
    let closed = run(&["--clients", "4", "--reads", "1", "--distribution", "zipf"]).with_code(0).out;
    assert!(closed.contains("closed loop, 4 clients") && closed.contains("Zipf 0.99"), "{closed}");
    assert!(closed.contains("errors:         none\nindeterminate:  none"), "{closed}");
    let open = run(&["--rate", "200", "--json"]).with_code(0).json();
    assert_eq!(
        (&open["loop"], &open["is_figure"], &open["unstarted"]),
        (&"open".into(), &true.into(), &0.into())
    );
    assert_eq!(open["get"]["count"].as_u64().unwrap() + open["put"]["count"].as_u64().unwrap(), 100);
}

#[test]
fn a_benchmark_with_errors_is_no_figure() {
    let dev = Dev::start(&["--no-restart", "--memory"]);
    for pid in &dev.pids()[1..] {
        crate::support::signal(*pid, "KILL");
    }
    let done = dev
        .kv(["bench", "-d", "300ms", "--warm-up", "0s", "--clients", "2", "--timeout", "200ms"])
        .with_code(1);
    assert!(done.out.contains("THIS RUN IS NO FIGURE"), "{done:?}");
}

#[test]
fn values_expire() {
    let dev = Dev::start(&["--memory"]);
    let expires = |key: &str| {
        let found = dev.kv(["get", key, "--json"]).with_code(0).json();
        found["values"][0]["expires_at_ms"].as_u64()
    };
    dev.kv(["put", "k", "v", "--expires-at", "2100-01-01T00:00:00Z"]).with_code(0);
    assert_eq!(expires("k"), Some(4_102_444_800_000));
    let json = dev.kv(["get", "k", "--json"]).with_code(0).json();
    assert_eq!(json["values"][0]["expires"], "2100-01-01T00:00:00.000Z");
    dev.kv(["put", "k", "w", "--keep-expiry"]).with_code(0);
    assert_eq!(expires("k"), Some(4_102_444_800_000));
    dev.kv(["expire", "k", "--at", "4102444900000"]).with_code(0);
    assert_eq!(
        (expires("k"), dev.kv(["get", "k"]).with_code(0).out.as_str()),
        (Some(4_102_444_900_000), "w")
    );
    dev.kv(["expire", "k", "--never"]).with_code(0);
    assert_eq!(expires("k"), None);
    dev.kv(["expire", "k", "--in", "0s"]).with_code(0);
    dev.kv(["get", "k"]).with_code(3);
    let nothing = dev.kv(["expire", "k", "--in", "1h"]).with_code(3);
    assert!(nothing.err.contains("no value under k"), "{nothing:?}");
    dev.kv(["put", "soon", "v", "--expires-in", "300ms"]).with_code(0);
    until("the value is gone", || dev.kv(["get", "soon"]).code == Some(3));

    dev.kv(["bucket", "create", "cache", "--expiry-ms", "1h"]).with_code(0);
    let show = dev.kv(["bucket", "show", "cache"]).with_code(0).out;
    assert!(show.contains("expiry_ms:        1h"), "{show}");
    dev.kv(["put", "-b", "cache", "k", "v"]).with_code(0);
    let cached = dev.kv(["get", "-b", "cache", "k", "--json"]).with_code(0).json();
    assert!(cached["values"][0]["expires_at_ms"].is_u64(), "{cached}");
    dev.kv(["put", "-b", "cache", "k", "v", "--expires-never"]).with_code(0);
    let cached = dev.kv(["get", "-b", "cache", "k", "--json"]).with_code(0).json();
    assert!(cached["values"][0]["expires_at_ms"].is_null(), "{cached}");
    dev.kv(["bucket", "set", "cache", "--expiry-ms", "never"]).with_code(0);

    for (arguments, why) in [
        (&["put", "k", "v", "--expires-in", "30"][..], "has no unit"),
        (&["put", "k", "v", "--expires-at", "tomorrow"], "is no time"),
        (&["put", "k", "v", "--expires-in", "1s", "--expires-never"], "cannot be used with"),
        (&["put", "k", "v", "--expires-at", "999999999999999"], "too far away"),
        (&["put", "k", "v", "--keep-expiry", "--blind"], "what an overwrite finds"),
        (&["expire", "k"], "required"),
    ] {
        let refused = dev.kv(arguments.iter().copied()).with_code(2);
        assert!(refused.err.contains(why), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn a_put_with_an_id_is_not_made_twice() {
    let dev = Dev::start(&["--memory"]);
    let id = "00112233445566778899aabbccddeeff";
    let put = |more: &[&str]| {
        let arguments = [&["put", "k", "v", "--blind", "--json", "--id", id], more].concat();
        dev.kv(arguments).with_code(0).json()["version"].clone()
    };
    let made = put(&[]);
    assert_eq!(put(&["--retry"]), made);
    assert_eq!(dev.kv(["get", "k"]).with_code(0).out, "v");
    let bad = dev.kv(["put", "k", "v", "--id", "0011"]).with_code(2);
    assert!(bad.err.contains("32 hexadecimal digits"), "{bad:?}");
    dev.kv(["put", "k", "v", "--retry"]).with_code(2);
}

#[test]
fn members_are_compared_and_every_record_is_looked_at() {
    let dev = Dev::start(&[]);
    for number in 0..20 {
        dev.kv(["put", &format!("key {number}"), "v"]).with_code(0);
    }
    let verified = dev.kv(["verify", "--json"]).with_code(0).json();
    let members = verified["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    for member in members {
        assert_eq!((&member["damaged"], &member["wrong_digests"]), (&0.into(), &0.into()), "{verified}");
        assert_eq!(member["records"], 20, "each of three members owns everything");
    }
    dev.kv(["repair"]).with_code(0);
    let repaired = dev.kv(["repair", "--json", "--node", "2"]).with_code(0).json();
    assert_eq!(repaired["members"][0]["keys_repaired"], 0, "{repaired}");
    assert!(repaired["members"][0]["compared"].as_u64().unwrap() > 0, "{repaired}");
    let shown = dev.kv(["status", "--partitions", "default", "--json"]).with_code(0).json();
    for member in shown["members"].as_array().unwrap() {
        for partition in member["partitions"].as_array().unwrap() {
            assert_eq!(partition["exchanged"].as_array().unwrap().len(), 2, "after a repair: {partition}");
            assert_eq!(partition["is_recovering"], false, "{partition}");
        }
    }
    let text = dev.kv(["status", "--partitions", "default"]).with_code(0).out;
    assert!(text.contains("whole") && text.contains("with 3 "), "{text}");
    assert!(dev.kv(["status", "--partitions", "none"]).code != Some(0));
    let strange = dev.kv(["verify", "--node", "nobody"]).with_code(2);
    assert!(strange.err.contains("there is no member 'nobody'"), "{strange:?}");
}
