use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kv_core::key::Key;
use redis::{Commands, Connection, RedisError};

use crate::transfer::{Batch, Entry, EntryValue, Mark, Source, SourceError};

/// Longest that connecting, and an answer, may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Keys that are asked for at a time.
const COUNT: usize = 100;

/// A Redis whose strings are copied: keys by SCAN, values by MGET.
pub(crate) struct RedisSource {
    connection: Connection,
    mark: Mark,
    is_over: bool,
}

impl RedisSource {
    /// Connects to `redis://host:port/database` and goes on from `mark`.
    pub(crate) fn connect(url: &str, mark: Mark) -> Result<Self, String> {
        // Whoever reads the message need not know the password.
        let shown = match url.rsplit_once('@') {
            Some((_, place)) => format!("redis://...@{place}"),
            None => url.to_string(),
        };
        let client =
            redis::Client::open(url).map_err(|error| format!("{shown} is no address of a Redis: {error}"))?;
        let cannot = |error: RedisError| format!("cannot reach the Redis at {shown}: {error}");
        let connection = client.get_connection_with_timeout(CONNECT_MAX).map_err(cannot)?;
        connection.set_read_timeout(Some(ANSWER_MAX)).map_err(cannot)?;
        Ok(RedisSource { connection, mark, is_over: false })
    }

    /// Names this life of the Redis: in another one its cursors mean nothing.
    pub(crate) fn life(&mut self) -> Result<String, String> {
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query(&mut self.connection)
            .map_err(|error| format!("the Redis does not answer INFO: {error}"))?;
        let life = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        Ok(life.trim().to_string())
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) {
        self.mark = Mark::default();
    }

    fn page(&mut self) -> Result<Batch, RedisError> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(self.mark.position).arg("COUNT").arg(COUNT);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query(&mut self.connection)?;
        let mut entries = Vec::with_capacity(keys.len());
        if !keys.is_empty() {
            let values: Vec<Option<Vec<u8>>> = self.connection.mget(&keys)?;
            let mut details = redis::pipe();
            for key in &keys {
                details.cmd("TYPE").arg(key).cmd("PTTL").arg(key);
            }
            let details: Vec<redis::Value> = details.query(&mut self.connection)?;
            for ((key, value), detail) in keys.into_iter().zip(values).zip(details.chunks(2)) {
                let kind: String = detail.first().map_or(Ok(String::new()), redis::from_redis_value_ref)?;
                let expires: i64 = detail.get(1).map_or(Ok(-1), redis::from_redis_value_ref)?;
                self.take(key, value, &kind, expires, &mut entries);
            }
        }
        self.mark.position = next;
        self.is_over = next == 0;
        self.mark.entries += entries.len() as u64;
        Ok(Batch { entries, mark: self.mark.clone() })
    }

    fn take(
        &mut self,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
        kind: &str,
        expires: i64,
        entries: &mut Vec<Entry>,
    ) {
        let reason = match (value, kind) {
            (Some(value), _) => match Key::new(key) {
                Ok(key) => {
                    // From here on it is a moment, however long the way into the cluster takes.
                    let expires_at_ms = u64::try_from(expires).ok().map(|left_ms| now_ms() + left_ms);
                    self.mark.expiring += u64::from(expires_at_ms.is_some());
                    let value = EntryValue { bytes: Bytes::from(value), expires_at_ms };
                    return entries.push(Entry { key, values: vec![value] });
                }
                Err(_) => "keys that are empty or longer than 1,024 bytes".into(),
            },
            // It went away between one question and the next.
            (None, "none" | "string") => return,
            (None, kind) => format!("keys of type {kind}"),
        };
        *self.mark.skipped.entry(reason).or_default() += 1;
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

impl Source for RedisSource {
    fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        if self.is_over {
            return Ok(None);
        }
        self.page().map(Some).map_err(|error| SourceError::Broken(format!("the Redis: {error}")))
    }

    fn count(&mut self) -> Option<u64> {
        redis::cmd("DBSIZE").query(&mut self.connection).ok()
    }
}
