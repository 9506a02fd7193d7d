//! Patterns as Redis has them: `*`, `?`, sets in brackets, and a backslash in front of what is meant literally.

/// A pattern for keys.
#[derive(Debug)]
pub(super) struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    /// Any one byte.
    Any,
    /// Any bytes, none too.
    Many,
    /// One byte of these, a bit for each.
    Set([u64; 4]),
}

impl Glob {
    pub(super) fn new(pattern: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let part = match byte {
                b'*' => Part::Many,
                b'?' => Part::Any,
                b'[' => {
                    let (set, behind) = set(rest);
                    rest = behind;
                    set
                }
                b'\\' => match rest.split_first() {
                    Some((&literal, behind)) => {
                        rest = behind;
                        Part::Byte(literal)
                    }
                    None => Part::Byte(byte),
                },
                _ => Part::Byte(byte),
            };
            if part != Part::Many || parts.last() != Some(&Part::Many) {
                parts.push(part);
            }
        }
        Glob { parts }
    }

    /// What every key that fits begins with.
    pub(super) fn prefix(&self) -> Vec<u8> {
        let bytes = self.parts.iter().map_while(|part| match part {
            Part::Byte(byte) => Some(*byte),
            _ => None,
        });
        bytes.collect()
    }

    /// Whether `text` fits. Costs at most pattern times text: behind a `*` only the last one is gone back to.
    pub(super) fn fits(&self, text: &[u8]) -> bool {
        let (mut part, mut byte) = (0, 0);
        // Behind the last `*`, and where in the text it was tried.
        let mut back: Option<(usize, usize)> = None;
        loop {
            match (self.parts.get(part), text.get(byte)) {
                (Some(Part::Many), _) => {
                    part += 1;
                    back = Some((part, byte));
                }
                (Some(wanted), Some(found)) if wanted.takes(*found) => {
                    part += 1;
                    byte += 1;
                }
                (None, None) => return true,
                _ => match &mut back {
                    Some((behind, tried)) if *tried < text.len() => {
                        *tried += 1;
                        (part, byte) = (*behind, *tried);
                    }
                    _ => return false,
                },
            }
        }
    }
}

impl Part {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Part::Byte(wanted) => *wanted == byte,
            Part::Any => true,
            Part::Many => false,
            Part::Set(bits) => {
                bits.get(usize::from(byte / 64)).is_some_and(|bits| bits >> (byte % 64) & 1 == 1)
            }
        }
    }
}

/// A set behind its opening bracket; one that is not closed goes on to the end, as in Redis.
fn set(pattern: &[u8]) -> (Part, &[u8]) {
    let (none_of, mut rest) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut bits = [0; 4];
    let mut add = |from: u8, to: u8| {
        for byte in from.min(to)..=from.max(to) {
            if let Some(bits) = bits.get_mut(usize::from(byte / 64)) {
                *bits |= 1 << (byte % 64);
            }
        }
    };
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, behind) {
            (b']', _) => break,
            (b'\\', [literal, behind @ ..]) => {
                add(*literal, *literal);
                rest = behind;
            }
            (from, [b'-', to, behind @ ..]) => {
                add(from, *to);
                rest = behind;
            }
            (byte, _) => add(byte, byte),
        }
    }
    (Part::Set(if none_of { bits.map(|bits: u64| !bits) } else { bits }), rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Glob::new(pattern.as_bytes()).fits(text.as_bytes())
    }

    #[test]
    fn patterns_mean_what_they_mean_in_redis() {
        let yes = [
            ("", ""),
            ("*", ""),
            ("*", "anything"),
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-c]llo", "hbllo"),
            ("h[c-a]llo", "hbllo"),
            (r"h\*llo", "h*llo"),
            (r"[\]]", "]"),
            ("*a*b*c", "xxaxxbxxc"),
            ("user:*:name", "user:17:name"),
        ];
        for (pattern, text) in yes {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        let no = [
            ("", "a"),
            ("?", ""),
            ("h?llo", "hllo"),
            ("h[ae]llo", "hillo"),
            ("h[^e]llo", "hello"),
            ("a*", "ba"),
            ("*a", "ab"),
            (r"h\*llo", "hello"),
            ("[", "["),
            ("a[", "a"),
        ];
        for (pattern, text) in no {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!fits(&pattern, &"a".repeat(1_000)));
        let set = Glob::new(format!("*[{}]", "a".repeat(1 << 20)).as_bytes());
        for _ in 0..1_000 {
            assert!(!set.fits(&[b'b'; 1_000]));
        }
    }

    /// The definition, which takes for ever.
    fn by_definition(parts: &[Part], text: &[u8]) -> bool {
        match (parts, text) {
            ([], []) => true,
            ([Part::Many, rest @ ..], _) => {
                (0..=text.len()).any(|skipped| by_definition(rest, &text[skipped..]))
            }
            ([part, rest @ ..], [byte, behind @ ..]) => part.takes(*byte) && by_definition(rest, behind),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn fitting_is_as_defined_and_begins_with_the_prefix(pattern in "[ab*?\\[\\]^\\\\-]{0,10}", text in "[ab]{0,8}") {
            let glob = Glob::new(pattern.as_bytes());
            let fits = glob.fits(text.as_bytes());
            prop_assert_eq!(fits, by_definition(&glob.parts, text.as_bytes()));
            if fits {
                prop_assert!(text.as_bytes().starts_with(&glob.prefix()));
            }
        }
    }
}
