//! Standard output and standard error, either of which may be a pipe that nobody reads any more. The macros of the standard
//! library panic then.

use std::io::{self, Write};

/// Writes to standard output.
pub(crate) fn say(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a line to standard error. If nobody reads it, nobody misses it.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
