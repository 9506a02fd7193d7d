use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// Bytes that a process without privileges can still write to the device of `file`.
#[allow(unsafe_code)]
pub(super) fn free_space(file: &File) -> io::Result<u64> {
    let mut figures = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the descriptor is open as long as `file` is borrowed, and `figures` has room for what the call writes.
    let result = unsafe { libc::fstatvfs(file.as_raw_fd(), figures.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned 0, so it has filled in all of `figures`.
    let figures = unsafe { figures.assume_init() };
    // The types differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    Ok((figures.f_bavail as u64).saturating_mul(figures.f_frsize as u64))
}
