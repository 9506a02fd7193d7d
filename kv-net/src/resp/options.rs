use kv_core::limits::Limits;
use tokio::runtime::Handle;

use crate::resp::request::RequestLimits;

/// How a front door is run.
#[derive(Debug, Clone)]
pub struct RespOptions {
    /// Bounds of requests.
    pub limits: RequestLimits,
    /// Most connections at a time; more are closed at once, with an error.
    pub connections_max: usize,
    /// Most commands of one connection that run at a time.
    pub commands_max: usize,
    /// The runtimes on which connections are served in turn; the present one if there are none.
    pub runtimes: Vec<Handle>,
}

impl RespOptions {
    /// The options for a node with these limits.
    pub fn of(limits: &Limits) -> Self {
        let word_bytes_max = limits.value_bytes_max.max(limits.key_bytes_max) + 1;
        let limits = RequestLimits {
            words_max: limits.batch_keys_max * 2 + 1,
            word_bytes_max,
            request_bytes_max: limits.frame_bytes_max.max(word_bytes_max + (64 << 10)),
        };
        RespOptions { limits, connections_max: 16_384, commands_max: 1_024, runtimes: Vec::new() }
    }
}
