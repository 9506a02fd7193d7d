//! What has to be found at a key that has one writer, whose operations follow one another.

use std::collections::BTreeSet;

/// A value, by the number that its writer gave it.
pub type Number = u64;

/// What the history of a key's one writer allows to be found there.
///
/// Every acknowledged value has to be there, or be replaced by a later put that was acknowledged or whose end is unknown. What was never
/// written, was refused or was replaced by an acknowledged put must not be there.
#[derive(Debug, Default, Clone)]
pub struct Expected {
    /// Whether the bucket keeps the version with the highest stamp instead of siblings: then a put of unknown end may win over any other
    /// that did not read it.
    by_stamp: bool,
    required: Vec<Required>,
    /// Puts whose end is unknown: they may appear at any time.
    unknown: BTreeSet<Number>,
    /// Those of them that read what they replace themselves and may not have done so yet.
    running: Vec<Number>,
}

/// An acknowledged value, and the puts of unknown end that may have replaced it.
#[derive(Debug, Clone)]
struct Required {
    value: Number,
    or: Vec<Number>,
}

/// What a put replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// What it finds itself.
    Found,
    /// What was read before.
    These(Vec<Number>),
}

impl Expected {
    /// A key that was never written, in a bucket where the highest stamp wins or in one that keeps siblings.
    pub fn new(by_stamp: bool) -> Self {
        Expected { by_stamp, ..Expected::default() }
    }

    /// Whether the highest stamp wins.
    pub fn is_by_stamp(&self) -> bool {
        self.by_stamp
    }

    /// A put was acknowledged.
    pub fn applied(&mut self, value: Number, replaced: &Replaced) {
        match replaced {
            Replaced::Found => self.required.clear(),
            Replaced::These(values) => {
                self.required.retain(|required| !required.touches(values));
                self.unknown.retain(|unknown| !values.contains(unknown));
            }
        }
        let or = if self.by_stamp { self.unknown.iter().copied().collect() } else { self.running.clone() };
        self.required.push(Required { value, or });
    }

    /// Whether a put was applied is unknown.
    pub fn indeterminate(&mut self, value: Number, replaced: &Replaced) {
        for required in &mut self.required {
            let touched = match replaced {
                Replaced::Found => true,
                Replaced::These(values) => required.touches(values),
            };
            if touched {
                required.or.push(value);
            }
        }
        self.unknown.insert(value);
        if *replaced == Replaced::Found {
            self.running.push(value);
        }
    }

    /// No operation is under way any more: the processes that ran them have ended.
    pub fn quiet(&mut self) {
        self.running.clear();
    }

    /// How many values may be found side by side.
    pub fn siblings(&self) -> usize {
        self.required.len() + self.unknown.len()
    }

    /// Checks what was found.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn judge(&self, found: &[Number]) -> Result<(), String> {
        if self.by_stamp && found.len() > 1 {
            return Err(format!(
                "several values where the last write wins: found {found:?}, expected {self:?}"
            ));
        }
        for required in &self.required {
            if !found.contains(&required.value) && !found.iter().any(|value| required.or.contains(value)) {
                return Err(format!("lost {}: found {found:?}, expected {self:?}", required.value));
            }
        }
        let allowed = |value: &Number| {
            self.unknown.contains(value) || self.required.iter().any(|required| required.value == *value)
        };
        match found.iter().find(|value| !allowed(value)) {
            Some(value) => Err(format!("{value} must not be there: found {found:?}, expected {self:?}")),
            None => Ok(()),
        }
    }
}

impl Required {
    fn touches(&self, values: &[Number]) -> bool {
        values.contains(&self.value) || values.iter().any(|value| self.or.contains(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_value_is_missed_and_a_replaced_one_refused() {
        let mut expected = Expected::default();
        expected.applied(1, &Replaced::Found);
        assert!(expected.judge(&[]).is_err());
        assert!(expected.judge(&[1]).is_ok());
        expected.applied(2, &Replaced::Found);
        assert!(expected.judge(&[1]).is_err() && expected.judge(&[1, 2]).is_err());
        assert!(expected.judge(&[2]).is_ok());
    }

    #[test]
    fn blind_values_stay_until_they_are_replaced() {
        let mut expected = Expected::default();
        expected.applied(1, &Replaced::These(vec![]));
        expected.applied(2, &Replaced::These(vec![]));
        assert!(expected.judge(&[2]).is_err());
        assert!(expected.judge(&[2, 1]).is_ok());
        expected.applied(3, &Replaced::These(vec![1]));
        assert!(expected.judge(&[2, 3]).is_ok());
        assert!(expected.judge(&[1, 2, 3]).is_err());
    }

    #[test]
    fn what_ended_unknown_may_be_there_or_not_and_may_have_replaced() {
        let mut expected = Expected::default();
        expected.applied(1, &Replaced::Found);
        expected.indeterminate(2, &Replaced::Found);
        for found in [&[1][..], &[2], &[1, 2]] {
            assert!(expected.judge(found).is_ok());
        }
        assert!(expected.judge(&[]).is_err());
        expected.quiet();
        expected.applied(3, &Replaced::Found);
        assert!(expected.judge(&[2]).is_err());
        assert!(expected.judge(&[2, 3]).is_ok());
    }
}
