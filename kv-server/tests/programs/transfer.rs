//! `kv scan`, `kv export`, `kv import`: data on its way in and out.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Dev, Running, free_port, signal, until};

fn json_lines(count: usize) -> String {
    (0..count).map(|number| format!("{{\"key\":\"user:{number}\",\"value\":\"value {number}\"}}\n")).collect()
}

fn now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

#[test]
fn scan_prints_keys_page_by_page() {
    let dev = Dev::start(&["--memory"]);
    let input = json_lines(2_500);
    dev.kv_with_input(&["import", "-"], input.as_bytes()).with_code(0);
    dev.kv(["put", "other key", "two\nlines"]).with_code(0);
    let all = dev.kv(["scan"]).with_code(0);
    assert_eq!((lines(&all.out).len(), all.err.as_str()), (2_501, ""));
    assert_eq!(dev.kv(["scan", "user:1"]).with_code(0).out.lines().count(), 1 + 10 + 100 + 1_000);
    let values = dev.kv(["scan", "other", "--values"]).with_code(0);
    assert_eq!(values.out, "other key\ttwo\\nlines\n");
    let json = dev.kv(["scan", "other", "--values", "--json"]).with_code(0);
    assert_eq!(json.out, "{\"key\":\"other key\",\"value\":\"two\\nlines\"}\n");
    // With a limit it says where to go on.
    let first = dev.kv(["scan", "-n", "1200"]).with_code(0);
    let place = first.err.split_whitespace().skip_while(|word| *word != "--from").nth(1).unwrap();
    let rest = dev.kv(["scan", "--from", place]).with_code(0);
    assert_eq!((first.out.lines().count(), rest.out.lines().count()), (1_200, 1_301));
    assert_eq!(first.out + &rest.out, all.out);
    // The partitions together are everything.
    let ring = dev.kv(["ring", "--json"]).with_code(0).json();
    let partitions = ring["partitions"].as_u64().unwrap();
    let found = (0..partitions).take(3).map(|partition| {
        let part = dev.kv(["scan", "--partition", &partition.to_string()]).with_code(0).out;
        assert!(part.lines().all(|line| all.out.contains(line)));
        part.lines().count()
    });
    assert!(found.sum::<usize>() < 100);
    let error = dev.kv(["scan", "--partition", &partitions.to_string()]).with_code(2).err;
    assert!(error.contains("the partitions are 0 to"), "{error}");
    assert!(dev.kv(["scan", "--from", "nowhere"]).with_code(2).err.contains("no place of a scan"));
    dev.kv(["scan", "-b", "nowhere"]).with_code(3);
}

#[test]
fn what_was_exported_is_imported_as_it_was() {
    let dev = Dev::start(&["--memory"]);
    let path = |name: &str| dev.path().join(name).to_str().unwrap().to_string();
    let expiring = "{\"key\":\"brief\",\"value\":\"v\",\"expires_at_ms\":4102444800000}\n";
    let odd = "{\"key_hex\":\"00ff\",\"value_hex\":\"fe\"}\n{\"key\":\"\\n,\\\"é\",\"value\":\"\"}\n{\"key\":\"cart\",\"values\":[{\"value\":\"apples\"},{\"value\":\"pears\"}]}\n";
    fs::write(path("in.jsonl"), json_lines(300) + odd + expiring).unwrap();
    let imported = dev.kv(["import", &path("in.jsonl")]).with_code(0);
    assert!(imported.out.starts_with("304 keys imported in "), "{imported:?}");
    dev.kv(["export", &path("out.jsonl")]).with_code(0);
    let (written, read) =
        (fs::read_to_string(path("in.jsonl")).unwrap(), fs::read_to_string(path("out.jsonl")).unwrap());
    let without_cart = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| !line.contains("cart")).map(str::to_string).collect()
    };
    assert_eq!(without_cart(&written), without_cart(&read));
    assert!(read.contains("apples") && read.contains("pears"), "both values of the cart");

    let error = dev.kv(["export", &path("out.jsonl")]).with_code(2).err;
    assert!(error.contains("is there already"), "{error}");
    let error = dev.kv(["export", &path("text.csv")]).with_code(1).err;
    assert!(error.contains("is not text: write JSON lines, or CSV with --hex"), "{error}");
    let csv = dev.kv(["export", &path("out.csv"), "--hex"]).with_code(0);
    assert!(csv.err.contains("1 keys expire, and CSV does not say when"), "{csv:?}");
    dev.kv(["bucket", "create", "copy"]).with_code(0);
    dev.kv(["import", "-b", "copy", &path("out.csv")]).with_code(0);
    let keys = |bucket: &str| dev.kv(["scan", "-b", bucket]).with_code(0).out;
    assert_eq!(keys("copy"), keys("default"));
    let standard =
        dev.kv(["export", "-", "-b", "copy", "--prefix", "user:29", "--format", "csv"]).with_code(0);
    assert_eq!(standard.out.lines().count(), 1 + 11);
    assert_eq!(dev.kv(["export", &path("all.jsonl"), "--json"]).with_code(0).json()["keys"], 304);
}

#[test]
fn an_export_goes_on_where_it_stopped() {
    let dev = Dev::start(&["--memory"]);
    let path = |name: &str| dev.path().join(name).to_str().unwrap().to_string();
    dev.kv_with_input(&["import", "-"], json_lines(1_000).as_bytes()).with_code(0);
    dev.kv(["export", &path("whole.jsonl")]).with_code(0);
    assert!(!dev.path().join("whole.jsonl.progress").exists());
    let whole = fs::read_to_string(path("whole.jsonl")).unwrap();
    // What a killed export leaves behind: more in the file than it knows of.
    let place = dev.kv(["scan", "-n", "400"]).with_code(0).err;
    let place = place.split_whitespace().skip_while(|word| *word != "--from").nth(1).unwrap();
    let known: usize = whole.lines().take(400).map(|line| line.len() + 1).sum();
    fs::write(path("part.jsonl"), &whole[..known + 13]).unwrap();
    let token = u64::from_str_radix(place, 16).unwrap();
    let progress = format!(
        "{{\"bucket\":\"default\",\"prefix\":[],\"writing\":\"jsonl\",\"from\":{{\"token\":{token},\"after\":null}},\"bytes\":{known},\"keys\":400,\"with_siblings\":0}}"
    );
    fs::write(path("part.jsonl.progress"), progress).unwrap();
    let error = dev.kv(["export", "--resume", "-b", "redis", &path("part.jsonl")]).with_code(2).err;
    assert!(error.contains("another set of keys"), "{error}");
    let error = dev.kv(["export", "--resume", "--format", "csv", &path("part.jsonl")]).with_code(2).err;
    assert!(error.contains("wrote jsonl, not csv: give it the same options"), "{error}");
    // What is not whole is not taken for it.
    let error = dev.kv(["import", &path("part.jsonl")]).with_code(2).err;
    assert!(error.contains("is an export that is not whole"), "{error}");
    let done = dev.kv(["export", "--resume", &path("part.jsonl")]).with_code(0);
    assert!(done.out.starts_with("1,000 keys exported"), "{done:?}");
    assert_eq!(fs::read_to_string(path("part.jsonl")).unwrap(), whole);
    let error = dev.kv(["export", "--resume", &path("part.jsonl")]).with_code(2).err;
    assert!(error.contains("there is nothing to resume"), "{error}");
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_stopped() {
    let dev = Dev::start(&["--memory"]);
    let file = dev.path().join("in.jsonl");
    fs::write(&file, json_lines(6_000)).unwrap();
    let name = file.to_str().unwrap();
    let mut command = dev.kv_command();
    command.args(["import", name, "--rate", "1000"]).stdout(Stdio::null()).stderr(Stdio::null());
    let slow = Running(command.spawn().unwrap());
    let progress = dev.path().join("in.jsonl.progress");
    let entries = || {
        let text = fs::read(&progress).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?["mark"]["entries"].as_u64()
    };
    until("some progress", || entries().is_some_and(|entries| entries > 0));
    signal(slow.0.id(), "KILL");
    drop(slow);
    let before = entries().unwrap();
    // Into another bucket, from another file or read in another way it does not go on.
    let other = dev.kv(["import", "--resume", name, "-b", "redis"]).with_code(2).err;
    assert!(other.contains("went into bucket 'default', not 'redis'"), "{other}");
    let other = dev.kv(["import", "--resume", name, "--format", "csv"]).with_code(2).err;
    assert!(other.contains("give it the same options"), "{other}");
    let whole = fs::read_to_string(&file).unwrap();
    for changed in [whole.replace("key", "yek"), whole[..40].to_string()] {
        fs::write(&file, changed).unwrap();
        let other = dev.kv(["import", "--resume", name]).with_code(2).err;
        assert!(other.contains("is not the file of the import that stopped"), "{other}");
    }
    fs::write(&file, whole).unwrap();
    let rest = dev.kv(["import", "--resume", name, "--json"]).with_code(0).json();
    assert_eq!(
        (rest["keys"].as_u64().unwrap(), rest["keys_before"].as_u64().unwrap()),
        (6_000 - before, before)
    );
    assert!(before > 0 && before < 6_000 && !progress.exists());
    assert_eq!(dev.kv(["scan"]).with_code(0).out.lines().count(), 6_000);
}

#[test]
fn what_a_stopped_import_left_is_not_taken_for_the_next_and_what_was_refused_is_remembered() {
    let dev = Dev::start(&["--memory"]);
    let path = dev.path().join("in.jsonl");
    let name = path.to_str().unwrap();
    let large = format!("{{\"key\":\"large\",\"value\":\"{}\"}}\n", "v".repeat(2 << 20));
    let largest = format!("{{\"key\":\"largest\",\"value\":\"{}\"}}\n", "v".repeat(30 << 20));
    let beside = format!(
        "{{\"key\":\"beside\",\"values\":[{}]}}\n",
        (0..66).map(|value| format!("{{\"value\":{value}}}")).collect::<Vec<_>>().join(",")
    );
    let good = json_lines(100);
    fs::write(&path, format!("{large}{largest}{beside}{good}rubbish\n")).unwrap();
    let stopped = dev.kv(["import", name]).with_code(2);
    for refused in ["kv: refused: large: ", "kv: refused: largest: ", "kv: refused: beside: ", "line 104"] {
        assert!(stopped.err.contains(refused), "{refused}: {}", stopped.err);
    }
    let rest = dev.kv(["import", "--resume", "--skip-bad", name, "--json"]).with_code(1).json();
    assert_eq!(
        (rest["keys"].as_u64(), rest["keys_before"].as_u64(), rest["refused"].as_u64()),
        (Some(0), Some(103), Some(3))
    );

    // One that begins anew and is killed at once leaves nothing of the one before.
    fs::write(&path, json_lines(2_000) + "rubbish\n").unwrap();
    dev.kv(["import", name]).with_code(2);
    let mut command = dev.kv_command();
    command.args(["import", name, "--rate", "0.01"]).stdout(Stdio::null()).stderr(Stdio::null());
    let slow = Running(command.spawn().unwrap());
    let progress = dev.path().join("in.jsonl.progress");
    let entries = || {
        let text = fs::read(&progress).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?["mark"]["entries"].as_u64()
    };
    until("its beginning", || entries().is_some_and(|entries| entries < 2_000));
    signal(slow.0.id(), "KILL");
    drop(slow);
    assert!(entries().unwrap() <= 200);
}

#[test]
fn what_cannot_be_imported_is_named_and_the_rest_is_not_lost() {
    let dev = Dev::start(&["--memory"]);
    let path = |name: &str| dev.path().join(name).to_str().unwrap().to_string();
    fs::write(path("bad.jsonl"), json_lines(50) + "{\"key\":\"x\"}\n" + "{\"key\":\"after\",\"value\":1}\n")
        .unwrap();
    let done = dev.kv(["import", &path("bad.jsonl")]).with_code(2);
    assert!(done.err.contains("line 51: there has to be either value"), "{done:?}");
    assert!(done.err.contains("go on with --resume"), "{done:?}");
    assert_eq!(dev.kv(["scan"]).with_code(0).out.lines().count(), 50);
    // Mended, it goes on with the line that was bad.
    let text = fs::read_to_string(path("bad.jsonl"))
        .unwrap()
        .replace("{\"key\":\"x\"}", "{\"key\":\"x\",\"value\":2}");
    fs::write(path("bad.jsonl"), text).unwrap();
    let rest = dev.kv(["import", "--resume", &path("bad.jsonl")]).with_code(0);
    assert!(rest.out.starts_with("2 keys imported"), "{rest:?}");

    fs::write(path("skip.csv"), "key,value\na,1\nb\n,2\nc,3\n").unwrap();
    let skipped = dev.kv(["import", "--skip-bad", &path("skip.csv")]).with_code(0);
    assert!(
        skipped.out.contains("2 keys imported") && skipped.out.contains("left out: 2 lines"),
        "{skipped:?}"
    );
    assert!(skipped.err.contains("skip.csv, line 3"), "{skipped:?}");

    let large = format!(
        "{{\"key\":\"large\",\"value\":\"{}\"}}\n{{\"key\":\"small\",\"value\":\"1\"}}\n",
        "x".repeat(2 << 20)
    );
    let refused = dev.kv_with_input(&["import", "-"], large.as_bytes()).with_code(1);
    assert!(
        refused.out.contains("1 keys imported") && refused.out.contains("large: the value has 2097152 bytes"),
        "{refused:?}"
    );
    assert_eq!(dev.kv(["get", "small"]).with_code(0).out, "1");
    // Of two entries of a key the later one stays.
    let twice: String =
        (0..2_000).map(|number| format!("{{\"key\":\"k{}\",\"value\":{number}}}\n", number % 7)).collect();
    dev.kv_with_input(&["import", "-"], twice.as_bytes()).with_code(0);
    assert_eq!(dev.kv(["get", "k4"]).with_code(0).out, "1999");

    for (arguments, why) in [
        (&["import", "nowhere.jsonl"][..], "cannot read nowhere.jsonl"),
        (&["import", "-b", "nowhere", "-"], "there is no bucket 'nowhere'"),
        (&["import"], "required arguments were not provided"),
        (&["import", "--from", "http://x"], "is no address of a Redis"),
        (&["import", "--from", "redis://127.0.0.1:1"], "cannot reach the Redis"),
        (&["import", "--resume", "-"], "standard input cannot be resumed"),
        (&["import", "--rate", "0", "-"], "write a number of keys a second"),
    ] {
        let done = dev.kv(arguments);
        assert!(done.code != Some(0) && done.err.contains(why), "{arguments:?}: {done:?}");
    }
}

/// A Redis, if there is one on this machine.
fn redis() -> Option<(Running, String)> {
    let port = free_port().to_string();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port, "--save", "", "--bind", "127.0.0.1"]).stdout(Stdio::null());
    let Ok(server) = command.spawn() else {
        let message = "not run: there is no redis-server: apt-get install redis-server";
        assert!(std::env::var_os("KV_FULL_TESTS").is_none(), "{message}");
        eprintln!("{message}");
        return None;
    };
    let server = Running(server);
    let address = format!("127.0.0.1:{port}");
    until("a Redis", || std::net::TcpStream::connect(&address).is_ok());
    Some((server, address))
}

/// Sends commands to a Redis and waits until all are answered.
fn tell(address: &str, commands: &[Vec<Vec<u8>>]) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let mut out = Vec::new();
    for words in commands {
        out.extend(format!("*{}\r\n", words.len()).into_bytes());
        for word in words {
            out.extend(format!("${}\r\n", word.len()).into_bytes());
            out.extend(word);
            out.extend(b"\r\n");
        }
    }
    stream.write_all(&out).unwrap();
    let mut answers = Vec::new();
    while answers.iter().filter(|byte| **byte == b'\n').count() < commands.len() {
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0);
        answers.extend(&piece[..count]);
    }
    assert!(!answers.contains(&b'-'), "{}", String::from_utf8_lossy(&answers));
}

#[test]
fn the_strings_of_a_redis_are_copied_and_counted() {
    let Some((_server, address)) = redis() else { return };
    let dev = Dev::start(&["--memory"]);
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let mut commands: Vec<_> = (0..3_000)
        .map(|number| {
            words(&[b"SET", format!("r:{number}").as_bytes(), format!("value {number}").as_bytes()])
        })
        .collect();
    commands.push(words(&[b"SET", b"binary\xff", b"\x00\xfe"]));
    commands.push(words(&[b"SET", b"expires", b"v", b"EX", b"1000"]));
    commands.push(words(&[b"LPUSH", b"list", b"a"]));
    commands.push(words(&[b"HSET", b"hash", b"a", b"b"]));
    tell(&address, &commands);
    let url = format!("redis://{address}/0");
    let import = |more: &[&str]| {
        let mut command = dev.kv_command();
        command.args(["import", "--from", &url]).args(more).current_dir(dev.path());
        crate::support::run(&mut command)
    };
    let done = import(&[]).with_code(0);
    for part in [
        "3,002 keys imported in ",
        "left out: 1 keys of type hash",
        "left out: 1 keys of type list",
        "1 keys expire, at the time at which they do in the Redis",
        "the Redis has 3,004 keys, 2 of them left out; bucket 'redis' has 3,002: the counts agree",
    ] {
        assert!(done.out.contains(part), "{part}: {done:?}");
    }
    assert_eq!(dev.kv(["get", "-b", "redis", "r:17"]).with_code(0).out, "value 17");
    let expires = dev.kv(["get", "-b", "redis", "expires", "--json"]).with_code(0).json();
    let left_ms = expires["values"][0]["expires_at_ms"].as_u64().unwrap() - now_ms();
    assert!((900_000..=1_000_000).contains(&left_ms), "{expires}");
    // Again changes nothing, and a bucket of one's own has its own count.
    assert!(import(&[]).with_code(0).out.contains("the counts agree"));
    dev.kv(["put", "-b", "redis", "more", "v"]).with_code(0);
    assert!(import(&[]).with_code(0).out.contains("the bucket has more"));
    assert!(import(&["--resume"]).with_code(2).err.contains("there is nothing to resume"));
    let json = import(&["-b", "default", "--json"]).with_code(0).out;
    assert!(json.contains("\"bucket_keys\": 3002"), "{json}");
}
