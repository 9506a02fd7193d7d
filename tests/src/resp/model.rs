//! A map that takes one command after the other, and says what each has to be answered with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kv_net::resp::table::{self, Support};
use kv_net::resp::{Protocol, Reply};

use crate::resp::client::{Received, pairs};

/// What a reply has to be.
#[derive(Debug)]
pub enum Expected {
    /// This.
    Is(Reply),
    /// An error that begins so.
    Error(String),
    /// Any number.
    Number,
    /// Any bytes.
    Text,
    /// Any list.
    List,
    /// Names and values, these names in order.
    Pairs(&'static [&'static str]),
    /// The concurrent values of a key, in any order, with their context.
    Values(BTreeSet<Bytes>),
    /// The first page of a scan over these keys: all of them, unless it says that there are more and may do so.
    Page(BTreeSet<Bytes>, bool),
}

impl Expected {
    /// Whether that reply will do, and is written in that protocol.
    pub fn fits(&self, received: &Received, protocol: Protocol) -> bool {
        received.is(protocol)
            && match (self, &received.reply) {
                (Expected::Is(expected), reply) => reply == expected,
                (Expected::Error(begins), Reply::Error(text)) => text.starts_with(begins),
                (Expected::Number, Reply::Integer(number)) => *number >= 0,
                (Expected::Text, Reply::Bulk(_)) => true,
                (Expected::List, Reply::Array(_)) => true,
                (Expected::Pairs(names), reply) => named(reply, protocol).is_some_and(|pairs| {
                    let found: Vec<&Reply> = pairs.iter().map(|(name, _)| name).collect();
                    let expected: Vec<Reply> = names.iter().map(|name| Reply::text(*name)).collect();
                    found.into_iter().eq(&expected)
                }),
                (Expected::Values(values), reply) => named(reply, protocol).is_some_and(|pairs| {
                    let [(_, Reply::Array(found)), (_, context)] = &pairs[..] else { return false };
                    let all: BTreeSet<Bytes> = found.iter().filter_map(bulk).collect();
                    matches!(context, Reply::Bulk(_) | Reply::Null)
                        && all == *values
                        && found.len() == all.len()
                }),
                (Expected::Page(keys, may_go_on), Reply::Array(parts)) => {
                    let [Reply::Bulk(cursor), Reply::Array(found)] = &parts[..] else { return false };
                    let all: BTreeSet<Bytes> = found.iter().filter_map(bulk).collect();
                    let fits = if cursor == "0" { all == *keys } else { *may_go_on && all.is_subset(keys) };
                    fits && found.len() == all.len()
                }
                _ => false,
            }
    }
}

fn bulk(reply: &Reply) -> Option<Bytes> {
    match reply {
        Reply::Bulk(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

/// A reply as names and values, if it is written as that protocol has them.
fn named(reply: &Reply, protocol: Protocol) -> Option<Vec<(Reply, Reply)>> {
    match (reply, protocol) {
        (Reply::Map(pairs), Protocol::Resp3) => Some(pairs.clone()),
        (Reply::Array(items), Protocol::Resp2) => Some(pairs(items.clone())),
        _ => None,
    }
}

/// What a connection's commands come to, one after the other.
#[derive(Debug)]
pub struct Model {
    /// The concurrent values of every key, by bucket and key.
    values: BTreeMap<(Bytes, Bytes), Vec<Bytes>>,
    /// The keys that expire, some time after the end.
    expiring: BTreeSet<(Bytes, Bytes)>,
    bucket: Bytes,
    name: Bytes,
    protocol: Protocol,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            values: BTreeMap::new(),
            expiring: BTreeSet::new(),
            bucket: Bytes::from_static(b"redis"),
            name: Bytes::new(),
            protocol: Protocol::Resp2,
        }
    }
}

fn ok() -> Expected {
    Expected::Is(Reply::OK)
}

fn integer(number: usize) -> Expected {
    Expected::Is(Reply::Integer(number as i64))
}

fn simple(text: &'static str) -> Expected {
    Expected::Is(Reply::Simple(text.into()))
}

fn error(begins: &str) -> Expected {
    Expected::Error(format!("ERR {begins}"))
}

fn maybe(value: Option<Bytes>) -> Reply {
    value.map_or(Reply::Null, Reply::Bulk)
}

const WRITTEN: Expected = Expected::Pairs(&["context", "acknowledged"]);

impl Model {
    /// Takes a command and says what the reply has to be, and in which protocol.
    pub fn take(&mut self, words: &[Bytes]) -> (Expected, Protocol) {
        let expected = self.answer(words).unwrap_or_else(|siblings| siblings);
        (expected, self.protocol)
    }

    /// Goes on with a new connection.
    pub fn reconnect(&mut self) {
        let (values, expiring) = (std::mem::take(&mut self.values), std::mem::take(&mut self.expiring));
        *self = Model { values, expiring, ..Model::default() };
    }

    /// The values that are there at the end, of every key that was ever written.
    pub fn values(&self) -> impl Iterator<Item = (&Bytes, &Bytes, &[Bytes])> {
        self.values.iter().map(|((bucket, key), values)| (bucket, key, &values[..]))
    }

    fn answer(&mut self, words: &[Bytes]) -> Result<Expected, Expected> {
        let name = words[0].to_ascii_uppercase();
        let lower = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
        let Some(command) = table::find(&name) else { return Ok(error("unknown command '")) };
        if !command.takes(words.len()) || name == b"MSET" && words.len().is_multiple_of(2) {
            return Ok(error(&format!("wrong number of arguments for '{lower}' command")));
        }
        if let Support::Refused(reason) = command.support
            && name != b"AUTH"
        {
            return Ok(error(&format!("{} is refused: {reason}", command.name)));
        }
        let keys = &words[1..];
        Ok(match &name[..] {
            b"GET" => Expected::Is(maybe(self.single(&words[1])?)),
            b"STRLEN" => integer(self.single(&words[1])?.map_or(0, |value| value.len())),
            b"TYPE" => simple(if self.single(&words[1])?.is_some() { "string" } else { "none" }),
            b"SET" if words.len() == 3 => {
                self.put(&words[1], vec![words[2].clone()]);
                ok()
            }
            b"SET" if words[3].eq_ignore_ascii_case(b"PX") => {
                self.put(&words[1], vec![words[2].clone()]);
                self.expire(&words[1]);
                ok()
            }
            b"SETEX" => {
                self.put(&words[1], vec![words[3].clone()]);
                self.expire(&words[1]);
                ok()
            }
            b"EXPIRE" | b"PEXPIREAT" => {
                let is_there = match self.all(&words[1]) {
                    [] => false,
                    [_] => true,
                    several => {
                        return Err(error(&format!("the key has {} concurrent values", several.len())));
                    }
                };
                if is_there && words[2].starts_with(b"-") {
                    self.put(&words[1], Vec::new());
                } else if is_there {
                    self.expire(&words[1]);
                }
                integer(is_there.into())
            }
            b"PERSIST" => {
                let is_there = self.single(&words[1])?.is_some();
                let expires = self.expiring.remove(&(self.bucket.clone(), words[1].clone()));
                integer((is_there && expires).into())
            }
            b"TTL" | b"PEXPIRETIME" => match self.single(&words[1])? {
                None => Expected::Is(Reply::Integer(-2)),
                Some(_) if self.expiring.contains(&(self.bucket.clone(), words[1].clone())) => {
                    Expected::Number
                }
                Some(_) => Expected::Is(Reply::Integer(-1)),
            },
            b"GETEX" => {
                let value = self.single(&words[1])?;
                if value.is_some() {
                    self.expire(&words[1]);
                }
                Expected::Is(maybe(value))
            }
            b"SET" => {
                let old = self.single(&words[1])?;
                self.put(&words[1], vec![words[2].clone()]);
                Expected::Is(maybe(old))
            }
            b"MGET" => {
                let values: Result<Vec<Reply>, Expected> =
                    keys.iter().map(|key| Ok(maybe(self.single(key)?))).collect();
                Expected::Is(Reply::Array(values?))
            }
            b"MSET" => {
                for pair in keys.chunks(2) {
                    self.put(&pair[0], vec![pair[1].clone()]);
                }
                ok()
            }
            b"EXISTS" => integer(keys.iter().filter(|key| !self.all(key).is_empty()).count()),
            b"DEL" | b"UNLINK" => {
                integer(keys.iter().filter(|key| !self.put(key, Vec::new()).is_empty()).count())
            }
            b"KV.GET" => Expected::Values(self.all(&words[1]).iter().cloned().collect()),
            b"KV.DEL" => {
                self.put(&words[1], Vec::new());
                WRITTEN
            }
            b"KV.PUT" => {
                // Of concurrent values the bucket `default` keeps all, and `redis` the last.
                let is_blind = words.get(3).is_some_and(|word| word.eq_ignore_ascii_case(b"BLIND"));
                let mut values = match is_blind && self.bucket == "default" {
                    true => self.all(&words[1]).to_vec(),
                    false => Vec::new(),
                };
                values.push(words[2].clone());
                self.put(&words[1], values);
                WRITTEN
            }
            b"PING" if words.len() == 1 => simple("PONG"),
            b"PING" | b"ECHO" => Expected::Is(Reply::Bulk(words[1].clone())),
            b"SELECT" => match &words[1][..] {
                b"0" | b"redis" => {
                    self.bucket = Bytes::from_static(b"redis");
                    ok()
                }
                b"default" => {
                    self.bucket = words[1].clone();
                    ok()
                }
                _ => error("DB index is out of range"),
            },
            b"HELLO" => {
                self.protocol = match words.get(1).map(|version| &version[..]) {
                    Some(b"2") => Protocol::Resp2,
                    Some(b"3") => Protocol::Resp3,
                    Some(_) => return Ok(Expected::Error("NOPROTO ".into())),
                    None => self.protocol,
                };
                Expected::Pairs(&["server", "version", "proto", "id", "mode", "role", "modules"])
            }
            b"RESET" => {
                self.reconnect();
                simple("RESET")
            }
            b"QUIT" => ok(),
            b"CLIENT" => self.client(&words[1..]),
            b"COMMAND" if words.len() == 1 => Expected::List,
            b"COMMAND" => Expected::Number,
            b"DBSIZE" => Expected::Number,
            b"SCAN" => {
                let prefix = words[3].strip_suffix(b"*").unwrap_or_default();
                let there = self.values.iter().filter(|((bucket, key), values)| {
                    *bucket == self.bucket && key.starts_with(prefix) && !values.is_empty()
                });
                let count = words.last().is_some_and(|count| count.len() < 2);
                Expected::Page(there.map(|((_, key), _)| key.clone()).collect(), count)
            }
            b"CONFIG" => Expected::Pairs(&["save"]),
            b"INFO" => Expected::Text,
            _ => panic!("the model does not know {lower}"),
        })
    }

    fn client(&mut self, words: &[Bytes]) -> Expected {
        match &words[0].to_ascii_uppercase()[..] {
            b"SETNAME" => {
                self.name = words[1].clone();
                ok()
            }
            b"GETNAME" => Expected::Is(maybe(Some(self.name.clone()).filter(|name| !name.is_empty()))),
            b"ID" => Expected::Number,
            b"INFO" | b"LIST" => Expected::Text,
            _ => error("unknown subcommand '"),
        }
    }

    fn all(&self, key: &Bytes) -> &[Bytes] {
        self.values.get(&(self.bucket.clone(), key.clone())).map(Vec::as_slice).unwrap_or_default()
    }

    /// The one value of a key; with several, the error that says so.
    fn single(&self, key: &Bytes) -> Result<Option<Bytes>, Expected> {
        match self.all(key) {
            [] => Ok(None),
            [value] => Ok(Some(value.clone())),
            values => {
                Err(Expected::Error(format!("SIBLINGS the key has {} concurrent values", values.len())))
            }
        }
    }

    /// Lets a key expire.
    fn expire(&mut self, key: &Bytes) {
        self.expiring.insert((self.bucket.clone(), key.clone()));
    }

    /// Gives a key these values, and returns those that it had.
    fn put(&mut self, key: &Bytes, values: Vec<Bytes>) -> Vec<Bytes> {
        self.expiring.remove(&(self.bucket.clone(), key.clone()));
        self.values.insert((self.bucket.clone(), key.clone()), values).unwrap_or_default()
    }
}
