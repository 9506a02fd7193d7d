//! Every command that is known: what it is called, which words it takes, which of them are keys, and how near it is to Redis.

use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::resp::session::{Execution, Session};
use crate::resp::{expiry, keys, own, scan, server};

/// How near a command is to that of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As there.
    Works,
    /// As there, but for this.
    Differs(&'static str),
    /// Answered with an error, for this reason.
    Refused(&'static str),
    /// Only here.
    Own,
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its name, in capitals.
    pub name: &'static str,
    /// How many words it has, its name included; if negative, at least so many.
    pub arity: i32,
    /// Which words are keys: the first, the last (counted from the end if negative), and every how many; zeros for none, and 0, 0, 1 for a
    /// command on all the keys that there are.
    pub keys: (usize, i32, usize),
    /// Whether it changes anything.
    pub writes: bool,
    /// How near it is to that of Redis.
    pub support: Support,
    /// What it does.
    pub summary: &'static str,
    pub(super) run: fn(&mut Session, &Request) -> Execution,
}

impl Command {
    /// Whether a request with so many words is one of these.
    pub fn takes(&self, words: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { words >= arity } else { words == arity }
    }

    /// Whether it is about all keys, and so waits for every earlier command, and every later one for it.
    pub fn is_on_everything(&self) -> bool {
        self.keys == EVERY
    }

    /// The places of the keys of a request with so many words.
    pub fn keys(&self, words: usize) -> impl Iterator<Item = usize> {
        let (first, last, step) = self.keys;
        let end =
            if last < 0 { words.saturating_sub(last.unsigned_abs() as usize - 1) } else { last as usize + 1 };
        let end = if first == 0 { 0 } else { end.min(words) };
        (first..end).step_by(step.max(1))
    }
}

/// The command of that name, in letters of either case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    COMMANDS.get(place(name)?)
}

/// Where the command of that name stands in [`COMMANDS`].
pub(super) fn place(name: &[u8]) -> Option<usize> {
    let mut capitals = [0_u8; NAME_BYTES_MAX];
    let capitals = capitals.get_mut(..name.len())?;
    capitals.copy_from_slice(name);
    capitals.make_ascii_uppercase();
    let capitals = &*capitals;
    COMMANDS.binary_search_by(|command| command.name.as_bytes().cmp(capitals)).ok()
}

/// Longer names are not looked for.
const NAME_BYTES_MAX: usize = 32;

const NONE: (usize, i32, usize) = (0, 0, 0);
const EVERY: (usize, i32, usize) = (0, 0, 1);
const FIRST: (usize, i32, usize) = (1, 1, 1);
const ALL: (usize, i32, usize) = (1, -1, 1);
const PAIRS: (usize, i32, usize) = (1, -1, 2);

const ATOMIC: &str = "its purpose is atomicity, which a bucket with quorums does not have";
const LATE: &str = "NX, XX, GT and LT are refused; where a value is put at the same time, that stays";
const TYPED: &str = "values are strings in this release";

macro_rules! commands {
    ($($name:literal $arity:literal $keys:ident $writes:ident $support:expr, $summary:literal, $run:path;)*) => {
        /// All commands, ascending by name.
        pub static COMMANDS: &[Command] = &[$(Command {
            name: $name, arity: $arity, keys: $keys, writes: commands!(@ $writes), support: $support, summary: $summary, run: $run,
        }),*];
    };
    (@ reads) => { false };
    (@ writes) => { true };
}

commands! {
    "APPEND" 3 FIRST writes Support::Refused(ATOMIC), "Adds to a value", refused;
    "AUTH" -2 NONE reads Support::Refused("this release has no credentials"), "Says who the client is", server::auth;
    "BGSAVE" -1 NONE reads Support::Refused("what is acknowledged is stored already"), "Stores everything", refused;
    "CLIENT" -2 NONE reads Support::Differs("GETNAME, ID, INFO, LIST, SETINFO, SETNAME and HELP alone"), "About connections", server::client;
    "COMMAND" -1 NONE reads Support::Differs("without tips and key specifications of Redis 7"), "About commands", command;
    "CONFIG" -2 NONE reads Support::Differs("GET alone, of a few settings that clients ask for"), "About settings", server::config;
    "DBSIZE" 1 EVERY reads Support::Differs("the entries of this node's store: of all buckets, tombstones included"), "Counts keys", server::dbsize;
    "DECR" 2 FIRST writes Support::Refused(ATOMIC), "Takes one from a number", refused;
    "DECRBY" 3 FIRST writes Support::Refused(ATOMIC), "Takes from a number", refused;
    "DEL" -2 ALL writes Support::Differs("each key for itself; what is counted was there at a read before"), "Deletes keys", keys::del;
    "DISCARD" 1 NONE reads Support::Refused(ATOMIC), "Ends a transaction", refused;
    "ECHO" 2 NONE reads Support::Works, "Says what it was told", server::echo;
    "EVAL" -3 NONE writes Support::Refused(ATOMIC), "Runs a script", refused;
    "EXEC" 1 NONE writes Support::Refused(ATOMIC), "Runs a transaction", refused;
    "EXISTS" -2 ALL reads Support::Works, "Counts those keys that are there", keys::exists;
    "EXPIRE" -3 FIRST writes Support::Differs(LATE), "Lets a key expire after seconds", expiry::expire;
    "EXPIREAT" -3 FIRST writes Support::Differs(LATE), "Lets a key expire at a time, in seconds", expiry::expireat;
    "EXPIRETIME" 2 FIRST reads Support::Works, "Says at what time a key expires, in seconds", expiry::expiretime;
    "FLUSHALL" -1 NONE writes Support::Refused("delete the bucket: kv bucket delete"), "Deletes everything", refused;
    "FLUSHDB" -1 NONE writes Support::Refused("delete the bucket: kv bucket delete"), "Deletes a database", refused;
    "GET" 2 FIRST reads Support::Differs("an error where a bucket keeps several concurrent values"), "Reads a value", keys::get;
    "GETDEL" 2 FIRST writes Support::Refused(ATOMIC), "Reads and deletes", refused;
    "GETEX" -2 FIRST writes Support::Differs("the value and the change are not one: what it shows may be older"), "Reads a value and changes when it expires", expiry::getex;
    "GETSET" 3 FIRST writes Support::Refused("use SET with GET, which says what it replaced"), "Reads and writes", refused;
    "HELLO" -1 NONE reads Support::Differs("AUTH is refused"), "Chooses the protocol", server::hello;
    "INCR" 2 FIRST writes Support::Refused(ATOMIC), "Adds one to a number", refused;
    "INCRBY" 3 FIRST writes Support::Refused(ATOMIC), "Adds to a number", refused;
    "INFO" -1 NONE reads Support::Differs("sections server, clients, stats, keyspace"), "About the server", server::info;
    "KEYS" 2 NONE reads Support::Refused("it would read everything at once"), "Lists keys", refused;
    "KV.DEL" -2 FIRST writes Support::Own, "Deletes: key [CONTEXT c] [W n] [R n] [TIMEOUT ms]", own::del;
    "KV.GET" -2 FIRST reads Support::Own, "Reads all concurrent values and their context: key [R n] [TIMEOUT ms]", own::get;
    "KV.PUT" -3 FIRST writes Support::Own, "Writes: key value [CONTEXT c | BLIND] [W n] [R n] [TIMEOUT ms]", own::put;
    "LPUSH" -3 FIRST writes Support::Refused(TYPED), "Adds to a list", refused;
    "MGET" -2 ALL reads Support::Differs("each key for itself; fails if one cannot be read"), "Reads values", keys::mget;
    "MSET" -3 PAIRS writes Support::Differs("each key for itself, not all at once"), "Writes values", keys::mset;
    "MULTI" 1 NONE reads Support::Refused(ATOMIC), "Begins a transaction", refused;
    "PERSIST" 2 FIRST writes Support::Differs("reads first whether there is an expiry"), "Takes the expiry away", expiry::persist;
    "PEXPIRE" -3 FIRST writes Support::Differs(LATE), "Lets a key expire after milliseconds", expiry::pexpire;
    "PEXPIREAT" -3 FIRST writes Support::Differs(LATE), "Lets a key expire at a time, in milliseconds", expiry::pexpireat;
    "PEXPIRETIME" 2 FIRST reads Support::Works, "Says at what time a key expires, in milliseconds", expiry::pexpiretime;
    "PING" -1 NONE reads Support::Works, "Says that it is there", server::ping;
    "PSETEX" 4 FIRST writes Support::Works, "Writes a value that expires after milliseconds", expiry::psetex;
    "PTTL" 2 FIRST reads Support::Works, "Says when a key expires, in milliseconds", expiry::pttl;
    "QUIT" -1 NONE reads Support::Works, "Ends the connection", server::quit;
    "RESET" 1 NONE reads Support::Works, "Makes the connection as new", server::reset;
    "SADD" -3 FIRST writes Support::Refused(TYPED), "Adds to a set", refused;
    "SCAN" -2 EVERY reads Support::Differs("cursors are places in the hash space and work at every node; any TYPE but string finds nothing"), "Lists keys, page by page", scan::scan;
    "SELECT" 2 NONE reads Support::Differs("database 0 is the bucket redis; a name chooses another bucket"), "Chooses a bucket", server::select;
    "SET" -3 FIRST writes Support::Differs("NX and XX are refused"), "Writes a value", keys::set;
    "SETEX" 4 FIRST writes Support::Works, "Writes a value that expires after seconds", expiry::setex;
    "SETNX" 3 FIRST writes Support::Refused(ATOMIC), "Writes if there is nothing", refused;
    "STRLEN" 2 FIRST reads Support::Works, "Counts the bytes of a value", keys::strlen;
    "SUBSCRIBE" -2 NONE reads Support::Refused("there are no channels here"), "Listens to a channel", refused;
    "TTL" 2 FIRST reads Support::Works, "Says when a key expires, in seconds", expiry::ttl;
    "TYPE" 2 FIRST reads Support::Differs("string or none"), "Says what a value is", keys::kind;
    "UNLINK" -2 ALL writes Support::Differs("as DEL"), "Deletes keys", keys::del;
    "UNWATCH" 1 NONE reads Support::Refused(ATOMIC), "Forgets watched keys", refused;
    "WATCH" -2 ALL reads Support::Refused(ATOMIC), "Watches keys", refused;
}

/// Answers COMMAND.
fn command(_session: &mut Session, request: &Request) -> Execution {
    let named = |names: &mut dyn Iterator<Item = &[u8]>| -> Vec<Option<&'static Command>> {
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            COMMANDS.iter().map(Some).collect()
        } else {
            names.into_iter().map(find).collect()
        }
    };
    match &*server::upper(request.word(1)) {
        b"" => Reply::Array(COMMANDS.iter().map(details).collect()).into(),
        b"COUNT" => Reply::Integer(COMMANDS.len() as i64).into(),
        b"LIST" => Reply::Array(COMMANDS.iter().map(|command| lower(command.name)).collect()).into(),
        b"INFO" => {
            let commands = named(&mut request.words_from(2));
            Reply::Array(commands.into_iter().map(|command| command.map_or(Reply::Null, details)).collect())
                .into()
        }
        b"DOCS" => {
            let commands = named(&mut request.words_from(2)).into_iter().flatten();
            let documents = commands.map(|command| {
                let mut about = vec![(Reply::text("summary"), Reply::text(command.summary))];
                if let Support::Differs(note) | Support::Refused(note) = command.support {
                    about.push((Reply::text("note"), Reply::text(note)));
                }
                (lower(command.name), Reply::Map(about))
            });
            Reply::Map(documents.collect()).into()
        }
        _ => server::unknown_subcommand("COMMAND", request),
    }
}

fn lower(name: &str) -> Reply {
    Reply::text(name.to_ascii_lowercase())
}

fn details(command: &Command) -> Reply {
    let (first, last, step) = command.keys;
    let (flag, category) = if command.writes { ("write", "@write") } else { ("readonly", "@read") };
    let none = || Reply::Array(Vec::new());
    Reply::Array(vec![
        lower(command.name),
        Reply::Integer(command.arity.into()),
        Reply::Array(vec![Reply::Simple(flag.into())]),
        Reply::Integer(first as i64),
        Reply::Integer(last.into()),
        Reply::Integer(if first == 0 { 0 } else { step as i64 }),
        Reply::Array(vec![Reply::Simple(category.into())]),
        // Tips, key specifications and subcommands, which clients look for in their places.
        none(),
        none(),
        none(),
    ])
}

/// Answers a command that is refused, with the reason.
fn refused(_session: &mut Session, request: &Request) -> Execution {
    let (name, reason) = match find(request.word(0)) {
        Some(Command { name, support: Support::Refused(reason), .. }) => (*name, *reason),
        _ => ("the command", "it is not in this release"),
    };
    Reply::error(format_args!("{name} is refused: {reason}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ascend_so_that_each_is_found() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for command in COMMANDS {
            assert!(std::ptr::eq(find(command.name.to_lowercase().as_bytes()).unwrap(), command));
            assert!(command.name.len() <= NAME_BYTES_MAX);
        }
        assert!(find(b"NOSUCH").is_none() && find(&[b'x'; 100]).is_none() && find(b"").is_none());
    }

    #[test]
    fn keys_are_where_the_table_says() {
        let places = |name: &str, words| find(name.as_bytes()).unwrap().keys(words).collect::<Vec<_>>();
        assert_eq!(places("GET", 2), [1]);
        assert_eq!(places("SET", 5), [1]);
        assert_eq!(places("DEL", 4), [1, 2, 3]);
        assert_eq!(places("MSET", 5), [1, 3]);
        assert!(places("PING", 2).is_empty());
    }
}
