/// What happened in a run: always a hash over it, and the lines themselves if they were asked for.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Trace {
    pub(super) fn new(keep_lines: bool) -> Self {
        Trace { hash: MULTIPLIER, lines: keep_lines.then(Vec::new) }
    }

    /// Takes a number into the hash.
    pub(super) fn add(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(23) ^ number).wrapping_mul(MULTIPLIER);
    }

    /// Notes a line, which is only made if lines are kept.
    pub(super) fn line(&mut self, now_us: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10} us  {}", now_us, line()));
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
