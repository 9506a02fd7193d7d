//! The front door for clients of Redis, over real sockets. Random pipelines and streams are in `tests/tests/resp_streams.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use kv_core::command::{GetMany, ReadOptions};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::limits::Limits;
use kv_core::partitioner::{OrderedPartitioner, Xxh3Partitioner};
use kv_core::storage::MemoryStorage;
use kv_core::view::Plugins;
use kv_net::resp::{RespListener, RespOptions, RespServer};
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Node, NodeConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

struct Served {
    address: String,
    server: RespServer,
    nodes: Vec<Arc<Node>>,
}

async fn serve(count: u64) -> Served {
    serve_with(count, Plugins::new(Xxh3Partitioner)).await
}

async fn serve_with(count: u64, plugins: Plugins) -> Served {
    let network = LocalNetwork::new();
    let members: Vec<Member> = (1..=count).map(|id| Member::new(NodeId(id), id.to_string())).collect();
    let mut nodes = Vec::new();
    for member in &members {
        let (members, plugins) = (members.clone(), plugins.clone());
        let config = NodeConfig { members, plugins, ..NodeConfig::new(member.id, MemoryStorage::new()) };
        let identity = Arc::new(Identity::node(member.id, None));
        let transport = network.join(member.id);
        let node = Node::start(config, transport, identity, Arc::new(AddressBook::new())).await.unwrap();
        nodes.push(Arc::new(node));
    }
    nodes[0].init().await.unwrap();
    let listener = RespListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_address().unwrap().to_string();
    let server = listener.serve(nodes[0].clone(), RespOptions::of(&Limits::default())).unwrap();
    Served { address, server, nodes }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn to(served: &Served) -> Connection {
        Connection(BufReader::new(TcpStream::connect(&served.address).await.unwrap()))
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    /// One reply, as people write it: `$` strings as they are, lists in brackets.
    async fn reply(&mut self) -> String {
        let reply = tokio::time::timeout(Duration::from_secs(10), self.read()).await;
        reply.expect("a reply comes")
    }

    fn read(&mut self) -> std::pin::Pin<Box<dyn Future<Output = String> + '_>> {
        Box::pin(async move {
            let line = self.line().await;
            let (kind, rest) = line.split_at(1);
            match kind {
                "$" if rest == "-1" => "nil".into(),
                "_" => "nil".into(),
                "$" => {
                    let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                    self.0.read_exact(&mut bytes).await.unwrap();
                    String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned()
                }
                "*" | "%" => {
                    let each = if kind == "%" { 2 } else { 1 };
                    let mut items = Vec::new();
                    for _ in 0..rest.parse::<usize>().unwrap() * each {
                        items.push(self.read().await);
                    }
                    format!("[{}]", items.join(" "))
                }
                _ => line,
            }
        })
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            match self.0.read_u8().await {
                Ok(b'\n') => break,
                Ok(byte) => line.push(byte),
                Err(_) => return "closed".into(),
            }
        }
        line.pop();
        String::from_utf8_lossy(&line).into_owned()
    }

    async fn ask(&mut self, words: &[&str]) -> String {
        self.send(&request(words)).await;
        self.reply().await
    }

    /// Sends a line and reads one reply.
    async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }
}

fn request(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

#[tokio::test]
async fn values_are_written_read_and_deleted() {
    for nodes in [1, 3] {
        let served = serve(nodes).await;
        let mut client = Connection::to(&served).await;
        for (said, answered) in [
            ("GET k", "nil"),
            ("SET k hello", "+OK"),
            ("get k", "hello"),
            ("STRLEN k", ":5"),
            ("TYPE k", "+string"),
            ("TYPE nothing", "+none"),
            ("SET k 'two words' GET", "hello"),
            ("GET k", "two words"),
            ("MSET a 1 b 2 a 3", "+OK"),
            ("MGET a b c", "[3 2 nil]"),
            ("EXISTS a b c a", ":3"),
            ("DEL a a c", ":1"),
            ("UNLINK b k", ":2"),
            ("EXISTS a b k", ":0"),
            ("SET empty ''", "+OK"),
            ("GET empty", ""),
        ] {
            assert_eq!(client.say(said).await, answered, "{said} with {nodes} nodes");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_as_redis_does() {
    let served = serve(1).await;
    let mut client = Connection::to(&served).await;
    for (said, begins) in [
        ("NOSUCH a b", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b'"),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("GET a b", "-ERR wrong number of arguments for 'get' command"),
        ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("SET a 1 NX", "-ERR SET with NX or XX is refused"),
        ("SET a 1 EX 0", "-ERR invalid expire time in 'set' command"),
        ("SET a 1 EX x", "-ERR value is not an integer or out of range"),
        ("SET a 1 EX", "-ERR syntax error"),
        ("SET a 1 EX 5 KEEPTTL", "-ERR syntax error"),
        ("SET a 1 EX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
        ("SETEX a -1 v", "-ERR invalid expire time in 'setex' command"),
        ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("EXPIRE a 5 SOON", "-ERR Unsupported option SOON"),
        ("EXPIRE a 5 NX", "-ERR EXPIRE with NX is refused: a bucket with quorums does not have atomicity"),
        ("GETEX a EX", "-ERR syntax error"),
        ("SET a 1 WHAT", "-ERR syntax error"),
        ("INCR a", "-ERR INCR is refused: its purpose is atomicity"),
        ("KEYS *", "-ERR KEYS is refused"),
        ("SELECT 1", "-ERR DB index is out of range"),
        ("AUTH secret", "-ERR AUTH <password> called without any password"),
        ("HELLO 4", "-NOPROTO"),
        ("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'"),
        ("CONFIG SET a b", "-ERR CONFIG GET alone"),
        ("GET ''", "-ERR a key has 1 to"),
    ] {
        let reply = client.say(said).await;
        assert!(reply.starts_with(begins), "{said}: {reply}");
    }
    // Nothing of that was written, and the connection is as good as new.
    assert_eq!(client.say("EXISTS a b").await, ":0");
    let large = "x".repeat((1 << 20) + 1);
    assert!(client.ask(&["SET", "large", &large]).await.starts_with("-ERR the value has 1048577 bytes"));
}

#[tokio::test]
async fn a_client_that_does_not_speak_the_protocol_is_told_and_hung_up_on() {
    let served = serve(1).await;
    for (sent, told) in [
        ("*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'"),
        ("*x\r\n", "-ERR Protocol error: invalid multibulk length"),
        ("*2\r\n$3\r\nGET\r\n$999999999\r\n", "-ERR Protocol error: invalid bulk length"),
        ("GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    ] {
        let mut client = Connection::to(&served).await;
        client.send(format!("PING\r\n{sent}PING\r\n").as_bytes()).await;
        assert_eq!(client.reply().await, "+PONG");
        assert_eq!(client.reply().await, told);
        assert_eq!(client.line().await, "closed");
    }
}

#[tokio::test]
async fn connections_have_names_protocols_and_buckets() {
    let served = serve(1).await;
    let mut client = Connection::to(&served).await;
    assert_eq!(client.say("CLIENT GETNAME").await, "nil");
    assert_eq!(client.say("CLIENT SETNAME me").await, "+OK");
    assert_eq!(client.say("CLIENT SETINFO LIB-NAME test").await, "+OK");
    assert_eq!(client.say("CLIENT GETNAME").await, "me");
    assert!(client.say("HELLO 3 SETNAME you").await.contains("proto :3"));
    client.send(b"HELLO\r\n").await;
    assert!(client.line().await.starts_with('%'), "a map in RESP3");
    for _ in 0..14 {
        client.read().await;
    }
    assert!(client.say("CLIENT LIST").await.contains("name=you age=0 db=0 bucket=redis"));
    assert_eq!(client.say("SET k 0").await, "+OK");
    assert_eq!(client.say("SELECT default").await, "+OK");
    assert_eq!(client.say("GET k").await, "nil", "another bucket");
    assert_eq!(client.say("SELECT 0").await, "+OK");
    assert_eq!(client.say("GET k").await, "0");
    assert_eq!(client.say("RESET").await, "+RESET");
    assert!(client.say("INFO").await.contains("redis_version:"));
    assert!(client.say("COMMAND COUNT").await.starts_with(':'));
    assert!(
        client
            .say("COMMAND INFO get nosuch")
            .await
            .starts_with("[[get :2 [+readonly] :1 :1 :1 [+@read] [] [] []] nil]")
    );
    assert_eq!(client.say("CONFIG GET save").await, "[save ]");
    assert_eq!(client.say("QUIT").await, "+OK");
    assert_eq!(client.line().await, "closed");
}

#[tokio::test]
async fn concurrent_values_and_contexts_have_commands_of_their_own() {
    let served = serve(3).await;
    let mut client = Connection::to(&served).await;
    client.say("SELECT default").await;
    for value in ["a", "b"] {
        assert!(client.say(&format!("KV.PUT k {value} BLIND W all")).await.contains("acknowledged :3"));
    }
    assert!(client.say("GET k").await.starts_with("-SIBLINGS the key has 2 concurrent values"));
    let read = client.say("KV.GET k R all").await;
    let context = read.strip_prefix("[values [a b] context ").unwrap().strip_suffix(']').unwrap();
    assert!(client.say(&format!("KV.PUT k c CONTEXT {context}")).await.starts_with("[context "));
    assert_eq!(client.say("GET k").await, "c");
    assert!(client.say("KV.PUT k d CONTEXT 00ff").await.starts_with("-ERR the context"));
    assert!(client.say("KV.PUT k d CONTEXT xyz").await.starts_with("-ERR a context is"));
    assert!(client.say("KV.GET k W 2").await.starts_with("-ERR unknown option 'W'"));
    assert!(client.say("KV.DEL k").await.starts_with("[context "));
    assert!(client.say("KV.GET k").await.starts_with("[values [] context "));
}

#[tokio::test]
async fn a_client_may_send_a_whole_pipeline_before_it_reads_a_reply() {
    const GETS: usize = 100_000;
    let served = serve(1).await;
    // Little fits into the sockets, so that most of the replies have to wait.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4_096).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(served.address.parse().unwrap()).await.unwrap();
    let mut client = Connection(BufReader::with_capacity(1 << 16, stream));
    let value = "v".repeat(100);
    assert_eq!(client.ask(&["SET", "k", &value]).await, "+OK");
    let pipeline = request(&["GET", "k"]).repeat(GETS);
    let sent = tokio::time::timeout(Duration::from_secs(20), client.send(&pipeline)).await;
    assert!(sent.is_ok(), "the server reads on although nobody takes its replies");
    // What was sent is answered although nothing more comes.
    client.0.get_mut().shutdown().await.unwrap();
    for _ in 0..GETS {
        assert_eq!(client.reply().await, value);
    }
    assert_eq!(client.line().await, "closed");
}

#[tokio::test]
async fn what_was_begun_is_answered_when_the_server_stops() {
    let served = serve(3).await;
    let mut client = Connection::to(&served).await;
    let mut pipeline = Vec::new();
    for number in 0..100 {
        pipeline.extend(request(&["SET", &format!("k{number}"), "v"]));
    }
    client.send(&pipeline).await;
    assert_eq!(client.reply().await, "+OK");
    served.server.shut_down(Duration::from_secs(5)).await;
    let mut answered = 1;
    while client.line().await == "+OK" {
        answered += 1;
    }
    assert!(TcpStream::connect(&served.address).await.is_err(), "nobody is let in");
    // What was begun was answered, and no more was begun.
    let keys = (0..100).map(|number| Key::try_from(&*format!("k{number}")).unwrap()).collect();
    let get = GetMany { bucket: "redis".into(), keys, options: ReadOptions::default() };
    let found = served.nodes[1].get_many(get).await.unwrap();
    let there: Vec<bool> = found.into_iter().map(|found| !found.unwrap().values.is_empty()).collect();
    assert_eq!(there, (0..100).map(|number| number < answered).collect::<Vec<_>>());
}

#[tokio::test]
async fn large_replies_are_refused_and_many_keys_are_not() {
    let served = serve(1).await;
    let mut client = Connection::to(&served).await;
    let value = "v".repeat(1 << 20);
    assert_eq!(client.ask(&["SET", "large", &value]).await, "+OK");
    let all = format!("MGET{}", " large".repeat(1_000));
    let refused = client.say(&all).await;
    assert!(refused.starts_with("-ERR the values have more than "), "{}", &refused[..60]);
    let some = client.say(&format!("MGET{}", " large".repeat(10))).await;
    assert_eq!(some.len(), 10 * (value.len() + 1) + 1);
    let most = client.say(&format!("EXISTS{}", " large".repeat(2_000))).await;
    assert_eq!(most, ":2000");
    assert_eq!(client.say(&format!("DEL large{}", " none".repeat(1_500))).await, ":1");
}

#[tokio::test]
async fn what_is_no_command_costs_no_more_than_what_is() {
    let served = serve(1).await;
    let mut client = Connection::to(&served).await;
    // Nobody takes the replies to these, which are larger than they.
    let nonsense = b"x\n".repeat(2 << 20);
    let sent = tokio::time::timeout(Duration::from_secs(2), client.send(&nonsense)).await;
    let mut other = Connection::to(&served).await;
    assert_eq!(other.say("PING").await, "+PONG", "others are served meanwhile");
    drop((sent.is_ok(), client));
    for said in ["POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v", "GET /\r\nHost: localhost\r\n\r\nSET k v"] {
        let mut page = Connection::to(&served).await;
        page.send(format!("{said}\r\n").as_bytes()).await;
        while page.line().await != "closed" {}
    }
    assert_eq!(other.say("EXISTS k").await, ":0", "a web page has written");
}

#[tokio::test]
async fn names_that_would_forge_what_others_are_shown_are_refused() {
    let served = serve(1).await;
    let mut client = Connection::to(&served).await;
    let long = "n".repeat(300);
    for name in ["two words", "two\nlines", "\u{e9}", &long] {
        for said in [
            &["CLIENT", "SETNAME", name][..],
            &["CLIENT", "SETINFO", "LIB-NAME", name],
            &["CLIENT", "SETINFO", "LIB-VER", name],
            &["HELLO", "3", "SETNAME", name],
        ] {
            assert!(client.ask(said).await.starts_with("-ERR Client names"), "{said:?}");
        }
    }
    assert!(client.ask(&["HELLO", "2", "SETNAME", "me"]).await.contains("proto :2"));
    assert_eq!(client.say("CLIENT GETNAME").await, "me");
}

/// All pages of a SCAN with these options: the keys, and how many pages there were.
async fn scan_all(client: &mut Connection, options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut keys) = ("0".to_string(), Vec::new());
    for pages in 1.. {
        let page = client.say(&format!("SCAN {cursor} {options}")).await;
        let (next, found) =
            page.strip_prefix('[').unwrap().strip_suffix("]]").unwrap().split_once(" [").unwrap();
        keys.extend(found.split_whitespace().map(str::to_string));
        cursor = next.into();
        if cursor == "0" {
            keys.sort();
            return (keys, pages);
        }
        assert!(cursor.parse::<u64>().unwrap() < 1 << 53, "a cursor that not every client can hold");
    }
    unreachable!()
}

#[tokio::test]
async fn scan_goes_through_all_keys_and_no_others() {
    for nodes in [1, 3, 5] {
        let served = serve(nodes).await;
        let mut client = Connection::to(&served).await;
        assert_eq!(scan_all(&mut client, "").await.0, [""; 0]);
        let mut expected: Vec<String> = (0..150).map(|number| format!("user:{number}")).collect();
        expected.sort();
        for key in &expected {
            client.say(&format!("SET {key} value")).await;
        }
        client.say("MSET other 1 gone 2").await;
        client.say("DEL gone").await;
        client.say("KV.PUT elsewhere v").await;
        let by_tens = scan_all(&mut client, "MATCH user:*").await;
        assert_eq!(by_tens.0, expected);
        assert!(by_tens.1 >= 15, "{} pages", by_tens.1);
        assert_eq!(scan_all(&mut client, "COUNT 1000 MATCH us?r:1[0-3]").await.0.len(), 4);
        assert_eq!(scan_all(&mut client, "COUNT 1000000000000 TYPE string").await.0.len(), 152);
        assert_eq!(scan_all(&mut client, "COUNT 1000 TYPE hash").await.0, [""; 0]);
    }
}

#[tokio::test]
async fn a_scan_for_more_than_a_page_may_have_gets_on() {
    let served = serve(1).await;
    let mut client = Connection::to(&served).await;
    for thousand in 0..101 {
        let pairs: String = (0..1_000).map(|number| format!(" {thousand}-{number} v")).collect();
        assert_eq!(client.say(&format!("MSET{pairs}")).await, "+OK");
    }
    let (keys, pages) = scan_all(&mut client, "COUNT 1000000000").await;
    assert_eq!((keys.len(), pages), (101_000, 2));
}

#[tokio::test]
async fn keys_in_their_order_are_scanned_although_many_share_a_cursor() {
    // Keys that begin with the same seven bytes share a cursor, here a third of all.
    let served = serve_with(3, Plugins::new(OrderedPartitioner::new::<&[u8]>([]).unwrap())).await;
    let mut client = Connection::to(&served).await;
    for name in ["client:", "user:", "zebra:"] {
        let pairs: String = (0..700).map(|number| format!(" {name}{number:03} v")).collect();
        assert_eq!(client.say(&format!("MSET{pairs}")).await, "+OK");
    }
    for options in ["MATCH client:*", "MATCH client:* COUNT 1000", "COUNT 1 MATCH client:*"] {
        let (mut keys, pages) = scan_all(&mut client, options).await;
        keys.dedup();
        assert_eq!(keys.len(), 700, "{options}");
        assert!(pages <= 3, "{options}: {pages} pages");
    }
    for (options, count) in [("MATCH *5", 210), ("MATCH nothing:*", 0), ("COUNT 10", 2_100)] {
        let (mut keys, _) = scan_all(&mut client, options).await;
        keys.dedup();
        assert_eq!(keys.len(), count, "{options}");
    }
}

#[tokio::test]
async fn scan_refuses_what_redis_refuses() {
    let served = serve(1).await;
    let mut client = Connection::to(&served).await;
    for (said, answered) in [
        ("SCAN x", "-ERR invalid cursor"),
        ("SCAN 18446744073709551615", "-ERR invalid cursor"),
        ("SCAN -1", "-ERR invalid cursor"),
        ("SCAN 0 COUNT", "-ERR syntax error"),
        ("SCAN 0 COUNT 0", "-ERR syntax error"),
        ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range"),
        ("SCAN 0 NOSUCH 1", "-ERR syntax error"),
        ("SCAN", "-ERR wrong number of arguments for 'scan' command"),
        ("SCAN 9007199254740991", "[0 []]"),
    ] {
        assert_eq!(client.say(said).await, answered, "{said}");
    }
}

#[tokio::test]
async fn a_scan_waits_for_earlier_commands_and_later_ones_for_it() {
    let served = serve(3).await;
    let mut client = Connection::to(&served).await;
    for round in 0..50 {
        let line = format!("SET k{round} v\r\nSCAN 0 COUNT 1000 MATCH k{round}\r\nDEL k{round}\r\n");
        client.send(line.as_bytes()).await;
        assert_eq!(client.reply().await, "+OK");
        assert_eq!(client.reply().await, format!("[0 [k{round}]]"));
        assert_eq!(client.reply().await, ":1");
    }
}

/// The table of docs/redis.md, as the code has it.
fn table() -> String {
    use kv_net::resp::table::{COMMANDS, Support};
    let mut table = String::from("| command | | what it does | beside Redis |\n|---|---|---|---|\n");
    for command in COMMANDS {
        let (word, note) = match command.support {
            Support::Works => ("works", ""),
            Support::Differs(note) => ("differs", note),
            Support::Refused(note) => ("refused", note),
            Support::Own => ("own", "there is none"),
        };
        table +=
            &format!("| `{}` | {word} | {} | {note} |\n", command.name, command.summary.replace('|', "\\|"));
    }
    table
}

#[test]
fn the_documented_commands_are_those_of_the_code() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/redis.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once("| command |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let expected = format!("{before}{}\n{after}", table());
    if std::env::var_os("KV_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(document, expected, "write it with KV_WRITE_DOCS=1");
}
