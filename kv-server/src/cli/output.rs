//! Standard output: text for people or one JSON value for programs.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

/// Where a command prints.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Output { json }
    }

    /// Whether programs read the output.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints `text` for people or `value` for programs.
    pub(super) fn say(
        &mut self,
        text: impl FnOnce() -> String,
        value: impl FnOnce() -> Value,
    ) -> io::Result<()> {
        if self.json { self.json(&value()) } else { self.text(&text()) }
    }

    /// Prints text and ends the line.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        write(format!("{text}{end}").as_bytes())
    }

    /// Prints bytes as they are; on a terminal the line is ended.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        write(bytes)?;
        if io::stdout().is_terminal() && !bytes.ends_with(b"\n") { write(b"\n") } else { Ok(()) }
    }

    /// Ends the line after bytes that were printed as they are.
    pub(super) fn separate(&mut self) -> io::Result<()> {
        if io::stdout().is_terminal() { Ok(()) } else { write(b"\n") }
    }

    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        write(format!("{value:#}\n").as_bytes())
    }
}

/// Writes to standard output, which may be a pipe that nobody reads any more: that is an error and no panic.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
