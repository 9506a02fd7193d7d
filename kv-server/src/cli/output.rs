//! Standard output: text for people or one JSON value for programs.

use std::io::{self, IsTerminal};

use serde_json::Value;

use crate::console;

/// Where a command prints.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    ends_lines: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Output { json, ends_lines: io::stdout().is_terminal() }
    }

    /// For several commands one after the other: what each prints ends its line.
    pub(super) fn in_lines(json: bool) -> Self {
        Output { json, ends_lines: true }
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
        console::say(format!("{text}{end}").as_bytes())
    }

    /// Prints bytes as they are; on a terminal, and between commands, the line is ended.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        console::say(bytes)?;
        if self.ends_lines && !bytes.ends_with(b"\n") { console::say(b"\n") } else { Ok(()) }
    }

    /// Ends the line after bytes that were printed as they are.
    pub(super) fn separate(&mut self) -> io::Result<()> {
        if self.ends_lines { Ok(()) } else { console::say(b"\n") }
    }

    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        console::say(format!("{value:#}\n").as_bytes())
    }
}
