/// How a log is kept. The defaults suit a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of a segment, and of the memory table that goes with it: up to three segments lie on the device, and up to two tables in memory
    /// with about as much again for finding what is in them. At least 16 KiB. Default: 64 MiB.
    pub segment_bytes: usize,
    /// Bytes of keys and values that reach the storage below in one transaction, roughly. Default: 4 MiB.
    pub transaction_bytes: usize,
    /// Whether tables are given to the storage below by a thread of their own, while the next one is filled; otherwise by whoever
    /// writes when a table is full. Default: yes.
    pub in_background: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: 64 << 20, transaction_bytes: 4 << 20, in_background: true }
    }
}
