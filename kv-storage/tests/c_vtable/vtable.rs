use std::ffi::c_void;
use std::ptr;
use std::slice;

/// The layout below. Fields are only ever appended.
pub(crate) const ABI_VERSION: u32 = 1;

/// Results of the functions; the others are numbers of `ErrorKind`.
pub(crate) const OK: i32 = 0;

/// Kinds of [`CChange`].
pub(crate) const PUT: u32 = 1;
pub(crate) const DELETE: u32 = 2;
pub(crate) const DELETE_RANGE: u32 = 3;

/// Bytes that are borrowed for a call; a null pointer means that there are none.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct CBytes {
    pub(crate) data: *const u8,
    pub(crate) len: usize,
}

/// Receives bytes: of a value, of an entry, or of an error's message. Returns 0 to stop.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct CSink {
    pub(crate) context: *mut c_void,
    pub(crate) receive: extern "C" fn(context: *mut c_void, index: usize, key: CBytes, value: CBytes) -> i32,
}

/// One change of a batch. `value` is the value of a put and the end of a range.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct CChange {
    pub(crate) kind: u32,
    pub(crate) key: CBytes,
    pub(crate) value: CBytes,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CCapabilities {
    pub(crate) durable: u8,
    pub(crate) reads_may_block: u8,
    pub(crate) writes_may_block: u8,
    pub(crate) key_bytes_max: usize,
}

/// `bytes_free` is `UINT64_MAX` where it is not known.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CStats {
    pub(crate) entries: u64,
    pub(crate) bytes_used: u64,
    pub(crate) bytes_free: u64,
    pub(crate) syncs: u64,
    pub(crate) batches: u64,
}

/// A storage in C. Every function but `destroy` may be called by several threads at a time.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct CStorage {
    pub(crate) struct_size: usize,
    pub(crate) abi_version: u32,
    pub(crate) user_data: *mut c_void,
    /// Called once, after every other call has returned.
    pub(crate) destroy: extern "C" fn(user_data: *mut c_void),
    pub(crate) capabilities: extern "C" fn(user_data: *const c_void, out: *mut CCapabilities),
    /// Calls `found` once if there is a value. Index and key of the sink mean nothing.
    pub(crate) get: extern "C" fn(user_data: *const c_void, key: CBytes, found: CSink, error: CSink) -> i32,
    /// Calls `visit` once for each key, with its index; the value is null if there is none.
    pub(crate) get_many: extern "C" fn(
        user_data: *const c_void,
        keys: *const CBytes,
        keys_len: usize,
        visit: CSink,
        error: CSink,
    ) -> i32,
    /// Calls `entry` for each entry until the range ends or the sink says stop. `after` may be null.
    pub(crate) scan: extern "C" fn(
        user_data: *const c_void,
        start: CBytes,
        end: CBytes,
        after: CBytes,
        entry: CSink,
        error: CSink,
    ) -> i32,
    /// `synced` is 1 for a batch that has to survive a crash of the machine, else 0.
    pub(crate) write: extern "C" fn(
        user_data: *const c_void,
        changes: *const CChange,
        changes_len: usize,
        synced: u8,
        error: CSink,
    ) -> i32,
    pub(crate) sync: extern "C" fn(user_data: *const c_void, error: CSink) -> i32,
    pub(crate) stats: extern "C" fn(user_data: *const c_void, out: *mut CStats, error: CSink) -> i32,
}

impl CBytes {
    pub(crate) const NONE: CBytes = CBytes { data: ptr::null(), len: 0 };

    pub(crate) fn new(bytes: &[u8]) -> Self {
        CBytes { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes, or nothing for a null pointer.
    ///
    /// # Safety
    ///
    /// `data` is null or points to `len` bytes that outlive `'a`.
    pub(crate) unsafe fn get<'a>(self) -> Option<&'a [u8]> {
        // SAFETY: as the caller promises.
        (!self.data.is_null()).then(|| unsafe { slice::from_raw_parts(self.data, self.len) })
    }
}

impl CSink {
    /// A sink that calls `receive`, which must be alive as long as the sink is used.
    pub(crate) fn new(receive: &mut Receive<'_>) -> Self {
        CSink { context: ptr::from_mut(receive).cast(), receive: call }
    }

    /// Hands bytes to the sink and says whether it wants more.
    pub(crate) fn send(self, index: usize, key: CBytes, value: CBytes) -> bool {
        (self.receive)(self.context, index, key, value) != 0
    }
}

/// What a sink made in Rust calls.
pub(crate) type Receive<'a> = &'a mut dyn FnMut(usize, CBytes, CBytes) -> bool;

extern "C" fn call(context: *mut c_void, index: usize, key: CBytes, value: CBytes) -> i32 {
    // SAFETY: `CSink::new` made the pointer of what is alive as long as the sink, and no two calls run at a time.
    let receive = unsafe { &mut *context.cast::<Receive<'_>>() };
    i32::from(receive(index, key, value))
}
