//! Commands about the connection and the server.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::resp::reply::{Protocol, Reply};
use crate::resp::request::{Request, integer};
use crate::resp::session::{BUCKET_0, ClientInfo, Execution, Session};

/// The release of Redis whose commands are meant, for clients that ask.
const REDIS_RELEASE: &str = "7.0.0";

pub(super) fn upper(word: &[u8]) -> Vec<u8> {
    word.to_ascii_uppercase()
}

/// Longest name of a client or its library.
const NAME_BYTES_MAX: usize = 256;

/// A name that others are shown.
fn printable(word: &[u8]) -> Result<String, Reply> {
    if word.len() > NAME_BYTES_MAX || !word.iter().all(u8::is_ascii_graphic) {
        return Err(Reply::error(format_args!(
            "Client names and library names cannot contain spaces, newlines or special characters, or have more than {NAME_BYTES_MAX} bytes."
        )));
    }
    Ok(text(word))
}

pub(super) fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

pub(super) fn unknown_subcommand(name: &str, request: &Request) -> Execution {
    let given = text(request.word(1));
    Reply::error(format_args!("unknown subcommand '{given}'. Try {name} HELP.")).into()
}

fn wrong_arity(name: &str) -> Execution {
    Reply::error(format_args!("wrong number of arguments for '{}' command", name.to_ascii_lowercase())).into()
}

pub(super) fn ping(_session: &mut Session, request: &Request) -> Execution {
    match request.len() {
        1 => Reply::Simple("PONG".into()).into(),
        2 => Reply::Bulk(request.bytes(1)).into(),
        _ => wrong_arity("PING"),
    }
}

pub(super) fn echo(_session: &mut Session, request: &Request) -> Execution {
    Reply::Bulk(request.bytes(1)).into()
}

pub(super) fn quit(_session: &mut Session, _request: &Request) -> Execution {
    Execution::Close(Reply::OK)
}

pub(super) fn reset(session: &mut Session, _request: &Request) -> Execution {
    choose(session, BUCKET_0);
    session.protocol = Protocol::Resp2;
    session.tell(|info| {
        info.name.clear();
        info.protocol = Protocol::Resp2;
    });
    Reply::Simple("RESET".into()).into()
}

pub(super) fn auth(_session: &mut Session, _request: &Request) -> Execution {
    Reply::error("AUTH <password> called without any password configured: this release has no credentials")
        .into()
}

pub(super) fn hello(session: &mut Session, request: &Request) -> Execution {
    let mut protocol = session.protocol;
    if request.len() > 1 {
        protocol = match integer(request.word(1)) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Reply::Error("NOPROTO unsupported protocol version".into()).into(),
            None => return Reply::error("Protocol version is not an integer or out of range").into(),
        };
    }
    let mut name = None;
    let mut place = 2;
    while place < request.len() {
        match &*upper(request.word(place)) {
            b"AUTH" => return auth(session, request),
            b"SETNAME" if place + 1 < request.len() => {
                match printable(request.word(place + 1)) {
                    Ok(given) => name = Some(given),
                    Err(reply) => return reply.into(),
                }
                place += 2;
            }
            _ => {
                let option = text(request.word(place));
                return Reply::error(format_args!("Syntax error in HELLO option '{option}'")).into();
            }
        }
    }
    session.protocol = protocol;
    session.tell(|info| {
        info.protocol = protocol;
        if let Some(name) = name {
            info.name = name;
        }
    });
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    Reply::Map(vec![
        (Reply::text("server"), Reply::text("kv-server")),
        (Reply::text("version"), Reply::text(env!("CARGO_PKG_VERSION"))),
        (Reply::text("proto"), Reply::Integer(version)),
        (Reply::text("id"), Reply::Integer(session.id as i64)),
        (Reply::text("mode"), Reply::text("standalone")),
        (Reply::text("role"), Reply::text("master")),
        (Reply::text("modules"), Reply::Array(Vec::new())),
    ])
    .into()
}

pub(super) fn select(session: &mut Session, request: &Request) -> Execution {
    let name = text(request.word(1));
    let bucket = if name == "0" { BUCKET_0 } else { &*name };
    if !session.door.node.has_bucket(bucket) {
        return Reply::error(format_args!(
            "DB index is out of range: there is no bucket '{bucket}'; database 0 is the bucket {BUCKET_0}, others go by their names"
        ))
        .into();
    }
    choose(session, bucket);
    Reply::OK.into()
}

fn choose(session: &mut Session, bucket: &str) {
    session.bucket = bucket.into();
    let bucket = session.bucket.clone();
    session.tell(|info| info.bucket = bucket);
}

pub(super) fn dbsize(session: &mut Session, _request: &Request) -> Execution {
    Reply::Integer(session.door.node.status().storage.entries as i64).into()
}

pub(super) fn client(session: &mut Session, request: &Request) -> Execution {
    match (&*upper(request.word(1)), request.len()) {
        (b"ID", 2) => Reply::Integer(session.id as i64).into(),
        (b"GETNAME", 2) => {
            let clients = session.door.clients.read();
            let name = clients.get(&session.id).map(|info| info.name.clone()).unwrap_or_default();
            if name.is_empty() { Reply::Null.into() } else { Reply::text(name).into() }
        }
        (b"SETNAME", 3) => {
            let name = match printable(request.word(2)) {
                Ok(name) => name,
                Err(reply) => return reply.into(),
            };
            session.tell(|info| info.name = name);
            Reply::OK.into()
        }
        (b"SETINFO", 4) => {
            let value = match printable(request.word(3)) {
                Ok(value) => value,
                Err(reply) => return reply.into(),
            };
            match &*upper(request.word(2)) {
                b"LIB-NAME" => session.tell(|info| info.library.0 = value),
                b"LIB-VER" => session.tell(|info| info.library.1 = value),
                _ => {
                    return Reply::error(format_args!("Unrecognized option '{}'", text(request.word(2))))
                        .into();
                }
            }
            Reply::OK.into()
        }
        (b"INFO", 2) => {
            let clients = session.door.clients.read();
            Reply::text(clients.get(&session.id).map(|info| described(session.id, info)).unwrap_or_default())
                .into()
        }
        (b"LIST", _) => {
            let clients = session.door.clients.read();
            Reply::text(clients.iter().map(|(id, info)| described(*id, info)).collect::<String>()).into()
        }
        (b"HELP", 2) => {
            let lines =
                ["CLIENT GETNAME | ID | INFO | LIST | SETINFO LIB-NAME|LIB-VER <value> | SETNAME <name>"];
            Reply::Array(lines.map(|line| Reply::Simple(line.into())).into()).into()
        }
        (b"ID" | b"GETNAME" | b"SETNAME" | b"SETINFO" | b"INFO" | b"HELP", _) => {
            wrong_arity(&format!("client|{}", text(request.word(1))))
        }
        _ => unknown_subcommand("CLIENT", request),
    }
}

fn described(id: u64, info: &ClientInfo) -> String {
    let ClientInfo { address, name, library, since, bucket, protocol } = info;
    let age = since.elapsed().as_secs();
    let resp = if *protocol == Protocol::Resp3 { 3 } else { 2 };
    let (library, version) = library;
    // Clients expect the number of a database, and buckets have none but the first.
    format!(
        "id={id} addr={address} name={name} age={age} db=0 bucket={bucket} resp={resp} lib-name={library} lib-ver={version}\n"
    )
}

pub(super) fn config(_session: &mut Session, request: &Request) -> Execution {
    if upper(request.word(1)) != b"GET" {
        return Reply::error(
            "CONFIG GET alone is answered: settings are those of the server, see kv-server --help",
        )
        .into();
    }
    if request.len() < 3 {
        return wrong_arity("config|get");
    }
    let settings =
        [("appendonly", "yes"), ("databases", "1"), ("maxmemory", "0"), ("save", ""), ("timeout", "0")];
    let wanted: Vec<String> = request.words_from(2).map(|word| text(word).to_ascii_lowercase()).collect();
    let asked =
        settings.iter().filter(|(name, _)| wanted.iter().any(|wanted| wanted == "*" || wanted == name));
    Reply::Map(asked.map(|(name, value)| (Reply::text(*name), Reply::text(*value))).collect()).into()
}

pub(super) fn info(session: &mut Session, request: &Request) -> Execution {
    let door = &session.door;
    let status = door.node.status();
    let wanted: Vec<String> = request.words_from(1).map(|word| text(word).to_ascii_lowercase()).collect();
    let counter =
        |name: &str| status.counters.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count);
    let sections = [
        (
            "Server",
            vec![
                ("redis_version", REDIS_RELEASE.to_string()),
                ("kv_version", status.release.clone()),
                ("redis_mode", "standalone".into()),
                ("process_id", std::process::id().to_string()),
                ("tcp_port", door.port.to_string()),
                ("node_id", status.node.to_string()),
                ("uptime_in_seconds", door.started.elapsed().as_secs().to_string()),
            ],
        ),
        ("Clients", vec![("connected_clients", door.clients.read().len().to_string())]),
        (
            "Stats",
            vec![
                ("total_connections_received", door.counts.connections.load(Ordering::Relaxed).to_string()),
                ("total_commands_processed", door.counts.commands().sum::<u64>().to_string()),
                ("gets_answered", counter("gets_answered").to_string()),
                ("gets_failed", counter("gets_failed").to_string()),
                ("puts_applied", counter("puts_applied").to_string()),
                ("puts_not_applied", counter("puts_not_applied").to_string()),
                ("puts_indeterminate", counter("puts_indeterminate").to_string()),
            ],
        ),
        ("Replication", vec![("role", "master".to_string()), ("connected_slaves", "0".into())]),
        ("Keyspace", vec![("db0", format!("keys={},expires=0,avg_ttl=0", status.storage.entries))]),
    ];
    let mut out = String::new();
    for (name, lines) in sections {
        let is_wanted = |wanted: &String| {
            ["all", "default", "everything"].contains(&&**wanted) || wanted.eq_ignore_ascii_case(name)
        };
        if !wanted.is_empty() && !wanted.iter().any(is_wanted) {
            continue;
        }
        let gap = if out.is_empty() { "" } else { "\r\n" };
        let _ = write!(out, "{gap}# {name}\r\n");
        for (key, value) in lines {
            let _ = write!(out, "{key}:{value}\r\n");
        }
    }
    Reply::text(out).into()
}
