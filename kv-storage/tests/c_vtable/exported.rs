use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Arc;

use kv_core::error::ErrorKind;
use kv_core::storage::{Batch, Durability, Page, ScanRange, Storage, StorageError};

use crate::vtable::{
    ABI_VERSION, CBytes, CCapabilities, CChange, CSink, CStats, CStorage, DELETE, DELETE_RANGE, OK, PUT,
};

/// What `user_data` points to.
type Exported = Arc<dyn Storage>;

/// A storage as C sees it. Whoever gets the struct calls `destroy` once.
pub(crate) fn export(storage: Arc<dyn Storage>) -> CStorage {
    CStorage {
        struct_size: size_of::<CStorage>(),
        abi_version: ABI_VERSION,
        user_data: Box::into_raw(Box::new(storage)).cast(),
        destroy,
        capabilities,
        get,
        get_many,
        scan,
        write,
        sync,
        stats,
    }
}

extern "C" fn destroy(user_data: *mut c_void) {
    // SAFETY: `export` made the pointer of a box, and this function is called once.
    drop(unsafe { Box::from_raw(user_data.cast::<Exported>()) });
}

/// The storage behind `user_data`.
///
/// # Safety
///
/// The pointer is of `export`, and `destroy` was not called.
unsafe fn storage<'a>(user_data: *const c_void) -> &'a dyn Storage {
    // SAFETY: as the caller promises.
    unsafe { &**user_data.cast::<Exported>() }
}

/// Runs `call`, hands an error's message to `error` and returns its number. No panic goes on into C.
fn status<E: ToString>(
    error: CSink,
    number: impl Fn(&E) -> ErrorKind,
    call: impl FnOnce() -> Result<(), E>,
) -> i32 {
    let (kind, message) = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return OK,
        Ok(Err(failure)) => (number(&failure), failure.to_string()),
        Err(_) => (ErrorKind::Internal, "panicked".to_owned()),
    };
    error.send(0, CBytes::NONE, CBytes::new(message.as_bytes()));
    kind as i32
}

fn read_status(error: CSink, call: impl FnOnce() -> Result<(), StorageError>) -> i32 {
    status(error, |_| ErrorKind::StorageFailed, call)
}

extern "C" fn capabilities(user_data: *const c_void, out: *mut CCapabilities) {
    // SAFETY: the pointers are of `export` and of the caller's own struct.
    let (storage, out) = unsafe { (storage(user_data), &mut *out) };
    let capabilities = storage.capabilities();
    *out = CCapabilities {
        durable: capabilities.durable.into(),
        reads_may_block: capabilities.reads_may_block.into(),
        writes_may_block: capabilities.writes_may_block.into(),
        key_bytes_max: capabilities.key_bytes_max,
    };
}

extern "C" fn get(user_data: *const c_void, key: CBytes, found: CSink, error: CSink) -> i32 {
    // SAFETY: `user_data` is of `export`, the key is borrowed for the call.
    let (storage, key) = unsafe { (storage(user_data), key.get().unwrap_or_default()) };
    read_status(error, || {
        let mut value = Vec::new();
        if storage.get(key, &mut value)? {
            found.send(0, CBytes::NONE, CBytes::new(&value));
        }
        Ok(())
    })
}

extern "C" fn get_many(
    user_data: *const c_void,
    keys: *const CBytes,
    keys_len: usize,
    visit: CSink,
    error: CSink,
) -> i32 {
    // SAFETY: `user_data` is of `export`, the keys are borrowed for the call.
    let (storage, keys) = unsafe { (storage(user_data), slice::from_raw_parts(keys, keys_len)) };
    // SAFETY: each key is borrowed for the call too.
    let keys: Vec<&[u8]> = keys.iter().map(|key| unsafe { key.get() }.unwrap_or_default()).collect();
    read_status(error, || {
        storage.get_many(&keys, &mut |index, value| {
            visit.send(index, CBytes::NONE, value.map_or(CBytes::NONE, CBytes::new));
        })
    })
}

extern "C" fn scan(
    user_data: *const c_void,
    start: CBytes,
    end: CBytes,
    after: CBytes,
    entry: CSink,
    error: CSink,
) -> i32 {
    // SAFETY: `user_data` is of `export`, the keys are borrowed for the call.
    let (storage, range) = unsafe {
        let (start, end) = (start.get().unwrap_or_default(), end.get().unwrap_or_default());
        (storage(user_data), ScanRange { start, end, after: after.get() })
    };
    read_status(error, || {
        let mut after = range.after.map(<[u8]>::to_vec);
        loop {
            let mut page = Page::new(16, 64 << 10);
            storage.scan(ScanRange { after: after.as_deref(), ..range }, &mut page)?;
            for (key, value) in page.entries() {
                if !entry.send(0, CBytes::new(key), CBytes::new(value)) {
                    return Ok(());
                }
            }
            if !page.is_full() {
                return Ok(());
            }
            after = page.last_key().map(<[u8]>::to_vec);
        }
    })
}

extern "C" fn write(
    user_data: *const c_void,
    changes: *const CChange,
    changes_len: usize,
    synced: u8,
    error: CSink,
) -> i32 {
    // SAFETY: `user_data` is of `export`, the changes are borrowed for the call.
    let (storage, changes) = unsafe { (storage(user_data), slice::from_raw_parts(changes, changes_len)) };
    let mut batch = Batch::new();
    for change in changes {
        // SAFETY: the bytes of each change are borrowed for the call too.
        let (key, value) =
            unsafe { (change.key.get().unwrap_or_default(), change.value.get().unwrap_or_default()) };
        match change.kind {
            PUT => batch.put(key, &[value]),
            DELETE => batch.delete(key),
            DELETE_RANGE => batch.delete_range(key, value),
            _ => return ErrorKind::NotWritten as i32,
        }
    }
    let durability = if synced == 0 { Durability::Buffered } else { Durability::Synced };
    status(
        error,
        |failure: &kv_core::storage::CommitError| failure.kind(),
        || storage.write(&batch, durability),
    )
}

extern "C" fn sync(user_data: *const c_void, error: CSink) -> i32 {
    // SAFETY: the pointer is of `export`.
    let storage = unsafe { storage(user_data) };
    status(error, |failure: &kv_core::storage::CommitError| failure.kind(), || storage.sync())
}

extern "C" fn stats(user_data: *const c_void, out: *mut CStats, error: CSink) -> i32 {
    // SAFETY: the pointers are of `export` and of the caller's own struct.
    let (storage, out) = unsafe { (storage(user_data), &mut *out) };
    read_status(error, || {
        let stats = storage.stats()?;
        *out = CStats {
            entries: stats.entries,
            bytes_used: stats.bytes_used,
            bytes_free: stats.bytes_free.unwrap_or(u64::MAX),
            syncs: stats.syncs,
            batches: stats.batches,
        };
        Ok(())
    })
}
