//! The client `redis` for Rust, as it is, against three real processes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kv_tests::cluster::Cluster;
use kv_tests::process::within;
use redis::{
    Client, Cmd, Commands, Connection, ErrorKind, FromRedisValue, InfoDict, Pipeline, RedisError,
    ServerErrorKind, Value, cmd, pipe,
};

/// However slow the machine is; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(1_200);

const PROTOCOLS: [&str; 2] = ["resp2", "resp3"];

fn client(address: &str, protocol: &str) -> Client {
    Client::open(format!("redis://{address}/?protocol={protocol}")).unwrap()
}

/// A connection that fails instead of waiting for ever.
fn connection(address: &str, protocol: &str) -> Connection {
    let connection = client(address, protocol).get_connection().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    connection
}

/// The words of a line as a command.
fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut command = cmd(words.next().unwrap_or_default());
    for word in words {
        command.arg(word);
    }
    command
}

fn ask<T: FromRedisValue>(connection: &mut Connection, line: &str) -> T {
    command(line).query(connection).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(connection: &mut Connection, line: &str) -> RedisError {
    let reply = command(line).query::<Value>(connection);
    reply.err().unwrap_or_else(|| panic!("{line} was answered without an error"))
}

#[tokio::test]
async fn the_client_for_rust_works_with_both_protocols() {
    within(AMPLE, async {
        let cluster = Cluster::start(3, &[]).await.unwrap();
        for protocol in PROTOCOLS {
            let addresses: Vec<String> = (0..3).map(|node| cluster.resp(node).unwrap()).collect();
            values(&mut connection(&addresses[0], protocol), protocol);
            expiries(&mut connection(&addresses[1], protocol), protocol);
            about(&mut connection(&addresses[1], protocol), protocol);
            buckets(&mut connection(&addresses[2], protocol));
            errors(&mut connection(&addresses[0], protocol));
            pipelines(&mut connection(&addresses[1], protocol));
            scans(&mut connection(&addresses[2], protocol), protocol);
            any_node_will_do(&addresses, protocol);
            many_tasks_share_a_connection(&addresses[2], protocol).await;
        }
        cluster.check_logs().unwrap();
    })
    .await;
}

fn scans(connection: &mut Connection, protocol: &str) {
    let key = |number: u32| format!("{protocol}-scan-{number}");
    for number in 0..500 {
        connection.set::<_, _, ()>(key(number), number).unwrap();
    }
    connection.del::<_, ()>(key(7)).unwrap();
    let pattern = format!("{protocol}-scan-*");
    let found: BTreeSet<String> =
        connection.scan_match(&pattern).unwrap().map(|found| found.unwrap()).collect();
    assert_eq!(found, (0..500).filter(|number| *number != 7).map(key).collect());
    let all: BTreeSet<String> = connection.scan().unwrap().map(|found| found.unwrap()).collect();
    assert!(all.is_superset(&found));
    let none = connection.scan_match::<_, String>("nothing-*").unwrap();
    assert_eq!(none.count(), 0);
}

fn values(connection: &mut Connection, protocol: &str) {
    let key = |name: &str| format!("{protocol}-{name}");
    assert_eq!(connection.get::<_, Option<String>>(key("a")).unwrap(), None);
    connection.set::<_, _, ()>(key("a"), "hello").unwrap();
    assert_eq!(connection.get::<_, Option<String>>(key("a")).unwrap().as_deref(), Some("hello"));
    assert_eq!(connection.strlen::<_, usize>(key("a")).unwrap(), 5);
    assert_eq!(connection.key_type::<_, String>(key("a")).unwrap(), "string");
    assert_eq!(connection.key_type::<_, String>(key("nothing")).unwrap(), "none");
    let replaced: Option<String> = ask(connection, &format!("SET {} again GET", key("a")));
    assert_eq!(replaced.as_deref(), Some("hello"));
    assert_eq!(ask::<Option<String>>(connection, &format!("SET {} b GET", key("b"))), None);

    // A number is what its digits say, and bytes come back as they are.
    connection.set::<_, _, ()>(key("number"), -42).unwrap();
    assert_eq!(connection.get::<_, i64>(key("number")).unwrap(), -42);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    connection.set::<_, _, ()>(key("bytes"), &bytes).unwrap();
    assert_eq!(connection.get::<_, Vec<u8>>(key("bytes")).unwrap(), bytes);
    connection.set::<_, _, ()>(key("empty"), "").unwrap();
    assert_eq!(connection.get::<_, Option<Vec<u8>>>(key("empty")).unwrap(), Some(Vec::new()));

    connection.mset::<_, _, ()>(&[(key("x"), 1), (key("y"), 2)]).unwrap();
    let many: Vec<Option<i64>> = connection.mget(&[key("x"), key("y"), key("z")]).unwrap();
    assert_eq!(many, [Some(1), Some(2), None]);
    assert!(connection.exists::<_, bool>(key("x")).unwrap());
    assert_eq!(connection.exists::<_, usize>(&[key("x"), key("y"), key("x"), key("z")]).unwrap(), 3);
    assert_eq!(connection.del::<_, usize>(&[key("x"), key("z")]).unwrap(), 1);
    assert_eq!(connection.unlink::<_, usize>(key("y")).unwrap(), 1);
    assert!(!connection.exists::<_, bool>(key("y")).unwrap());
}

fn expiries(connection: &mut Connection, protocol: &str) {
    let key = format!("{protocol}-expiring");
    let key = key.as_str();
    // Nothing there.
    assert_eq!(connection.ttl::<_, i64>(key).unwrap(), -2);
    assert_eq!(connection.pttl::<_, i64>(key).unwrap(), -2);
    assert_eq!(ask::<i64>(connection, &format!("EXPIRETIME {key}")), -2);
    assert!(!connection.expire::<_, bool>(key, 100).unwrap());
    assert!(!connection.persist::<_, bool>(key).unwrap());
    // There, and without an expiry.
    connection.set::<_, _, ()>(key, "v").unwrap();
    assert_eq!(connection.ttl::<_, i64>(key).unwrap(), -1);
    assert!(!connection.persist::<_, bool>(key).unwrap());
    assert!(connection.expire::<_, bool>(key, 100).unwrap());
    assert!((99..=100).contains(&connection.ttl::<_, i64>(key).unwrap()));
    assert!(connection.persist::<_, bool>(key).unwrap());
    assert_eq!(connection.pttl::<_, i64>(key).unwrap(), -1);
    assert!(connection.expire_at::<_, bool>(key, 4_102_444_800).unwrap());
    assert_eq!(ask::<i64>(connection, &format!("PEXPIRETIME {key}")), 4_102_444_800_000);
    // What is written anew lives for ever, unless it says otherwise.
    assert_eq!(ask::<String>(connection, &format!("SET {key} w KEEPTTL")), "OK");
    assert_eq!(ask::<i64>(connection, &format!("EXPIRETIME {key}")), 4_102_444_800);
    assert_eq!(ask::<String>(connection, &format!("SET {key} x KEEPTTL GET")), "w");
    assert_eq!(ask::<i64>(connection, &format!("EXPIRETIME {key}")), 4_102_444_800);
    assert_eq!(ask::<String>(connection, &format!("SET {key} y GET PX 900000")), "x");
    assert!((1..=900_000).contains(&connection.pttl::<_, i64>(key).unwrap()));
    connection.set::<_, _, ()>(key, "z").unwrap();
    assert_eq!(connection.ttl::<_, i64>(key).unwrap(), -1);
    assert_eq!(connection.get_ex::<_, String>(key, redis::Expiry::EX(50)).unwrap(), "z");
    assert!((49..=50).contains(&connection.ttl::<_, i64>(key).unwrap()));
    assert_eq!(connection.get_ex::<_, String>(key, redis::Expiry::PERSIST).unwrap(), "z");
    assert_eq!(connection.ttl::<_, i64>(key).unwrap(), -1);
    connection.set_ex::<_, _, ()>(key, "v", 100).unwrap();
    connection.pset_ex::<_, _, ()>(key, "v", 100_000).unwrap();
    assert!((99_000..=100_000).contains(&connection.pttl::<_, i64>(key).unwrap()));
    // A time that has passed deletes.
    assert!(connection.expire::<_, bool>(key, -1).unwrap());
    assert_eq!(connection.get::<_, Option<String>>(key).unwrap(), None);
    connection.set::<_, _, ()>(key, "v").unwrap();
    assert!(connection.pexpire_at::<_, bool>(key, 1).unwrap());
    assert!(!connection.exists::<_, bool>(key).unwrap());
    // Time passes.
    connection.pset_ex::<_, _, ()>(key, "v", 300).unwrap();
    assert_eq!(connection.get::<_, Option<String>>(key).unwrap().as_deref(), Some("v"));
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while connection.get::<_, Option<String>>(key).unwrap().is_some() {
        assert!(std::time::Instant::now() < end, "it never expires");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(connection.ttl::<_, i64>(key).unwrap(), -2);
    assert_eq!(connection.del::<_, usize>(key).unwrap(), 0);
    let found: Vec<String> = connection.scan_match(key).unwrap().map(|found| found.unwrap()).collect();
    assert!(found.is_empty());
}

fn about(connection: &mut Connection, protocol: &str) {
    assert_eq!(ask::<String>(connection, "PING"), "PONG");
    assert_eq!(ask::<String>(connection, "PING you"), "you");
    assert_eq!(ask::<String>(connection, "ECHO you"), "you");
    assert!(connection.client_id::<i64>().unwrap() > 0);
    assert_eq!(connection.client_getname::<Option<String>>().unwrap(), None);
    connection.client_setname::<_, ()>("me").unwrap();
    assert_eq!(connection.client_getname::<Option<String>>().unwrap().as_deref(), Some("me"));
    let listed: String = ask(connection, "CLIENT LIST");
    let version = &protocol[4..];
    let own = listed.lines().find(|line| line.contains("name=me ")).unwrap();
    assert!(own.contains(&format!(" resp={version} ")) && own.contains("lib-name=redis-rs"), "{own}");

    let info: InfoDict = ask(connection, "INFO");
    assert_eq!(info.get::<String>("redis_mode").as_deref(), Some("standalone"));
    assert!(info.get::<u64>("total_commands_processed").unwrap() > 0);
    assert!(ask::<u64>(connection, "DBSIZE") > 0);

    let names: BTreeSet<String> = ask(connection, "COMMAND LIST");
    assert_eq!(ask::<usize>(connection, "COMMAND COUNT"), names.len());
    assert_eq!(ask::<Vec<Value>>(connection, "COMMAND").len(), names.len());
    assert!(names.contains("get"));
    let documents: HashMap<String, HashMap<String, String>> = ask(connection, "COMMAND DOCS get");
    assert_eq!(documents["get"]["summary"], "Reads a value");
    let settings: HashMap<String, String> = ask(connection, "CONFIG GET databases");
    assert_eq!(settings["databases"], "1");
    let greeting: HashMap<String, Value> = ask(connection, &format!("HELLO {version}"));
    assert_eq!(greeting["proto"], Value::Int(version.parse().unwrap()));
}

fn buckets(connection: &mut Connection) {
    assert_eq!(ask::<String>(connection, "SET where redis"), "OK");
    assert_eq!(ask::<String>(connection, "SELECT default"), "OK");
    assert_eq!(ask::<String>(connection, "SET where default"), "OK");
    assert_eq!(ask::<String>(connection, "SELECT 0"), "OK");
    assert_eq!(ask::<String>(connection, "GET where"), "redis");
    assert_eq!(ask::<String>(connection, "SELECT default"), "OK");
    assert_eq!(ask::<String>(connection, "GET where"), "default");

    // Concurrent values are an error here, and a map of values and context in the command that is made for them.
    for value in ["a", "b"] {
        ask::<HashMap<String, Value>>(connection, &format!("KV.PUT siblings-of-this {value} BLIND"));
    }
    assert_eq!(refused(connection, "GET siblings-of-this").code(), Some("SIBLINGS"));
    let read: HashMap<String, Value> = ask(connection, "KV.GET siblings-of-this");
    let values: Vec<String> = redis::from_redis_value(read["values"].clone()).unwrap();
    assert_eq!(values, ["a", "b"]);
    let context: String = redis::from_redis_value(read["context"].clone()).unwrap();
    ask::<Value>(connection, &format!("KV.DEL siblings-of-this CONTEXT {context}"));
    assert_eq!(ask::<Option<String>>(connection, "GET siblings-of-this"), None);
}

fn errors(connection: &mut Connection) {
    for (line, says) in [
        ("NOSUCH a", "unknown command 'NOSUCH', with args beginning with: 'a'"),
        ("GET", "wrong number of arguments for 'get' command"),
        ("SET a b NX", "SET with NX or XX is refused"),
        ("SET a b EX 0", "invalid expire time in 'set' command"),
        ("EXPIRE a 1 GT", "EXPIRE with GT is refused"),
        ("INCR a", "INCR is refused: its purpose is atomicity"),
        ("SELECT 1", "DB index is out of range"),
    ] {
        let error = refused(connection, line);
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError), "{line}: {error}");
        assert!(error.detail().is_some_and(|detail| detail.starts_with(says)), "{line}: {error}");
    }
    assert_eq!(ask::<String>(connection, "PING"), "PONG", "the connection is as good as new");
}

fn pipelines(connection: &mut Connection) {
    let mut many = Pipeline::new();
    for number in 0..1_000 {
        many.set(format!("piped-{number}"), number).ignore();
        many.get(format!("piped-{number}"));
    }
    let numbers: Vec<u32> = many.query(connection).unwrap();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());

    // One command that is refused stops none of the others.
    let mut mixed = pipe();
    mixed.set("mixed", 1).cmd("INCR").arg("mixed").get("mixed");
    let error = mixed.query::<(String, Value, i64)>(connection).unwrap_err();
    assert!(error.to_string().contains("INCR is refused"), "{error}");
    assert_eq!(connection.get::<_, i64>("mixed").unwrap(), 1);
}

fn any_node_will_do(addresses: &[String], protocol: &str) {
    let mut connections: Vec<Connection> =
        addresses.iter().map(|address| connection(address, protocol)).collect();
    for turn in 0..30_usize {
        let key = format!("anywhere-{protocol}-{turn}");
        connections[turn % 3].set::<_, _, ()>(&key, turn).unwrap();
        assert_eq!(connections[(turn + 1) % 3].get::<_, usize>(&key).unwrap(), turn);
    }
}

// Transactions are not tried: this release of the client counts from the reply to MULTI, and overflows where that is an error.

/// Replies of a connection that many tasks use find the task that asked.
async fn many_tasks_share_a_connection(address: &str, protocol: &str) {
    let shared = client(address, protocol).get_multiplexed_async_connection().await.unwrap();
    let tasks = (0..64).map(|task| {
        let mut connection = shared.clone();
        let protocol = protocol.to_string();
        tokio::spawn(async move {
            for round in 0..50 {
                let key = format!("shared-{protocol}-{task}");
                let value = format!("{task}-{round}");
                redis::AsyncCommands::set::<_, _, ()>(&mut connection, &key, &value).await.unwrap();
                let read: String = redis::AsyncCommands::get(&mut connection, &key).await.unwrap();
                assert_eq!(read, value);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn the_client_for_rust_knows_which_errors_to_try_again() {
    within(AMPLE, async {
        let mut cluster = Cluster::start(3, &["--set", "limits.deadline_ms_default=300"]).await.unwrap();
        let address = cluster.resp(0).unwrap();
        let mut connection = connection(&address, "resp3");
        assert_eq!(ask::<String>(&mut connection, "SET k v"), "OK");
        cluster.kill(&[1, 2]);
        let error = refused(&mut connection, "GET k");
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::TryAgain), "{error}");
        // A write that one node took may still appear, and says so.
        let error = refused(&mut connection, "SET k w");
        assert_eq!(error.code(), Some("INDETERMINATE"), "{error}");
        for node in [1, 2] {
            cluster.spawn(node).unwrap();
        }
        for node in [1, 2] {
            cluster.ready(node).await.unwrap();
        }
        let read: String = ask(&mut connection, "GET k");
        assert!(["v", "w"].contains(&&*read), "{read}");
        cluster.check_logs().unwrap();
    })
    .await;
}
