use kv_core::error::{Error, ErrorKind};
use kv_core::storage::{
    Batch, Change, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
    StorageStats,
};

use crate::vtable::{
    ABI_VERSION, CBytes, CCapabilities, CChange, CSink, CStats, CStorage, DELETE, DELETE_RANGE, OK, PUT,
    Receive,
};

/// A storage in C as Rust sees it.
#[derive(Debug)]
pub(crate) struct ImportedStorage {
    c: CStorage,
}

// SAFETY: whoever fills in a `CStorage` promises that its functions may be called by several threads at a time.
unsafe impl Send for ImportedStorage {}
// SAFETY: as above.
unsafe impl Sync for ImportedStorage {}

impl ImportedStorage {
    /// Takes over a vtable, or refuses one that it does not know; the user data is destroyed then, too.
    pub(crate) fn new(c: CStorage) -> Result<Self, Error> {
        let is_known = c.abi_version == ABI_VERSION && c.struct_size >= size_of::<CStorage>();
        let (version, size) = (c.abi_version, c.struct_size);
        let storage = ImportedStorage { c };
        is_known.then_some(storage).ok_or_else(|| {
            let message = format!("a storage of ABI version {version} and {size} bytes is not known");
            Error::new(ErrorKind::Unsupported, message)
        })
    }
}

impl Drop for ImportedStorage {
    fn drop(&mut self) {
        (self.c.destroy)(self.c.user_data);
    }
}

/// Calls a function with a sink for its error's message, and returns its status with that message.
fn with_error(call: impl FnOnce(CSink) -> i32) -> (i32, String) {
    let mut message = String::new();
    let mut receive = |_, _, text: CBytes| {
        // SAFETY: the text is borrowed for the call of the sink.
        message = String::from_utf8_lossy(unsafe { text.get() }.unwrap_or_default()).into_owned();
        true
    };
    let mut receive: Receive<'_> = &mut receive;
    let status = call(CSink::new(&mut receive));
    (status, message)
}

fn read(operation: &'static str, call: impl FnOnce(CSink) -> i32) -> Result<(), StorageError> {
    match with_error(call) {
        (OK, _) => Ok(()),
        (_, message) => Err(StorageError::new(operation, message)),
    }
}

fn commit(operation: &'static str, call: impl FnOnce(CSink) -> i32) -> Result<(), CommitError> {
    let (status, message) = with_error(call);
    let error = StorageError::new(operation, message);
    match u16::try_from(status).ok().and_then(ErrorKind::from_number) {
        _ if status == OK => Ok(()),
        Some(ErrorKind::NotWritten) => Err(CommitError::NotWritten(error)),
        // A number that is not known proves nothing.
        _ => Err(CommitError::Unknown(error)),
    }
}

impl Storage for ImportedStorage {
    fn capabilities(&self) -> StorageCapabilities {
        let mut out = CCapabilities::default();
        (self.c.capabilities)(self.c.user_data, &mut out);
        StorageCapabilities {
            durable: out.durable != 0,
            reads_may_block: out.reads_may_block != 0,
            writes_may_block: out.writes_may_block != 0,
            key_bytes_max: out.key_bytes_max,
        }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        value.clear();
        let mut is_found = false;
        let mut receive = |_, _, found: CBytes| {
            is_found = true;
            // SAFETY: the value is borrowed for the call of the sink.
            value.extend_from_slice(unsafe { found.get() }.unwrap_or_default());
            true
        };
        let mut receive: Receive<'_> = &mut receive;
        let found = CSink::new(&mut receive);
        read("get", |error| (self.c.get)(self.c.user_data, CBytes::new(key), found, error))?;
        Ok(is_found)
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError> {
        let keys: Vec<CBytes> = keys.iter().map(|key| CBytes::new(key)).collect();
        let mut receive = |index, _, value: CBytes| {
            // SAFETY: the value is borrowed for the call of the sink.
            visit(index, unsafe { value.get() });
            true
        };
        let mut receive: Receive<'_> = &mut receive;
        let visit = CSink::new(&mut receive);
        read("get_many", |error| (self.c.get_many)(self.c.user_data, keys.as_ptr(), keys.len(), visit, error))
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        let mut receive = |_, key: CBytes, value: CBytes| {
            // SAFETY: both are borrowed for the call of the sink.
            let (key, value) = unsafe { (key.get(), value.get()) };
            page.push(key.unwrap_or_default(), value.unwrap_or_default())
        };
        let mut receive: Receive<'_> = &mut receive;
        let entry = CSink::new(&mut receive);
        let (start, end) = (CBytes::new(range.start), CBytes::new(range.end));
        let after = range.after.map_or(CBytes::NONE, CBytes::new);
        read("scan", |error| (self.c.scan)(self.c.user_data, start, end, after, entry, error))
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
        let changes: Vec<CChange> = batch
            .changes()
            .map(|change| {
                let (kind, key, value) = match change {
                    Change::Put { key, value } => (PUT, key, value),
                    Change::Delete { key } => (DELETE, key, &[][..]),
                    Change::DeleteRange { start, end } => (DELETE_RANGE, start, end),
                };
                CChange { kind, key: CBytes::new(key), value: CBytes::new(value) }
            })
            .collect();
        let synced = u8::from(durability == Durability::Synced);
        commit("write", |error| {
            (self.c.write)(self.c.user_data, changes.as_ptr(), changes.len(), synced, error)
        })
    }

    fn sync(&self) -> Result<(), CommitError> {
        commit("sync", |error| (self.c.sync)(self.c.user_data, error))
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        let mut out = CStats::default();
        read("stats", |error| (self.c.stats)(self.c.user_data, &mut out, error))?;
        let bytes_free = (out.bytes_free != u64::MAX).then_some(out.bytes_free);
        let CStats { entries, bytes_used, syncs, batches, .. } = out;
        Ok(StorageStats { entries, bytes_used, bytes_free, syncs, batches })
    }
}
