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

/// An error and what caused it, each said once: some errors name their cause already.
pub(crate) fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(|cause| cause.to_string()) {
        if !words.contains(&cause) {
            let joint = match words.chars().last() {
                None => "",
                Some('?' | '.') => " ",
                Some(_) => ": ",
            };
            words += joint;
            words += &cause;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cause_is_said_twice() {
        let error = anyhow::anyhow!("in use").context("cannot listen: in use").context("cannot start");
        assert_eq!(in_words(&error), "cannot start: cannot listen: in use");
    }
}
