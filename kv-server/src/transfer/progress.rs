use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::complain;
use crate::text::{format_count, format_duration};

/// Between two lines where there is no terminal.
const LINES_EVERY: Duration = Duration::from_secs(10);

/// Says on standard error how far something came: as a bar on a terminal, as a line now and then anywhere else.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    begun: Instant,
    said: Instant,
    is_quiet: bool,
}

impl Progress {
    /// Progress towards `total` (bytes, or keys, as `in_bytes` says) if that is known, of which `done` were done before.
    pub(crate) fn new(what: &'static str, total: Option<u64>, in_bytes: bool, is_quiet: bool) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        bar.set_draw_target(if is_quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        let amount = if in_bytes { "{bytes}/{total_bytes}" } else { "{human_pos}/{human_len}" };
        let template = match total {
            Some(_) => format!("{{bar:30}} {{percent}} % {amount} {{msg}} {{eta}} left"),
            None => "{spinner} {msg}".into(),
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Progress { bar, what, begun: now, said: now, is_quiet }
    }

    /// `done` of the total are done, with which `keys` came along since the beginning.
    pub(crate) fn set(&mut self, done: u64, keys: u64) {
        let message = format!("{} {} keys, {} a second", self.what, format_count(keys), self.rate(keys));
        if self.bar.is_hidden() && !self.is_quiet && self.said.elapsed() >= LINES_EVERY {
            self.said = Instant::now();
            complain(&message);
        }
        self.bar.set_position(done);
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// How long it took, and at which rate `keys` came: `in 2s, 1,000 keys a second`.
    pub(crate) fn pace(&self, keys: u64) -> String {
        let whole = Duration::from_millis(self.begun.elapsed().as_millis() as u64);
        format!("in {}, {} keys a second", format_duration(whole), self.rate(keys))
    }

    fn rate(&self, keys: u64) -> String {
        format_count((keys as f64 / self.begun.elapsed().as_secs_f64().max(0.001)) as u64)
    }
}
