#[cfg(target_pointer_width = "64")]
const MAP_BYTES_DEFAULT: usize = 1 << 40;
#[cfg(not(target_pointer_width = "64"))]
const MAP_BYTES_DEFAULT: usize = 1 << 30;

/// How a store is opened. The defaults suit a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LmdbOptions {
    /// What to do where there is no store yet.
    pub creation: Creation,
    /// Address space of the map, in bytes: the store's largest size. Neither memory nor disk is taken before it is needed. May be
    /// raised between two openings. In a full map, what one batch frees can be used from the second batch after it. Default: 1 TiB, on 32-bit platforms 1 GiB.
    pub map_bytes: usize,
    /// Threads that may have read at one time, 1 or more; a thread gives its slot back when it ends. Default: 1,024.
    pub readers_max: u32,
    /// Bytes of the device that batches leave free. A batch that would eat into them is refused with `NotWritten`, before the
    /// disk is touched. They have to cover the pages that a batch rewrites besides its own bytes. Default: 64 MiB.
    pub reserve_bytes: u64,
    /// Whether the node should expect reads to wait for the device: say so if the data is larger than the memory. Default: no.
    pub reads_may_block: bool,
}

/// What to do where there is no store yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Creation {
    /// Make one. The directory is made too, but not its parent: a volume that is not mounted is an error.
    #[default]
    IfMissing,
    /// Fail.
    Never,
}

impl Default for LmdbOptions {
    fn default() -> Self {
        LmdbOptions {
            creation: Creation::default(),
            map_bytes: MAP_BYTES_DEFAULT,
            readers_max: 1_024,
            reserve_bytes: 64 << 20,
            reads_may_block: false,
        }
    }
}
