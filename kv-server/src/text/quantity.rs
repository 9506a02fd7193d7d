use std::time::Duration;

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A size in bytes: a number, alone or with a unit (`4096`, `64 KiB`, `1MiB`, `10 GB`).
///
/// # Errors
///
/// A message for people that names the units.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is not a size: write 4096, 64KiB, 1MiB or 1GiB");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).ok_or_else(bad)?;
    let number: u64 = number.replace('_', "").parse().map_err(|_| bad())?;
    let unit = unit.trim();
    let factor = if unit.is_empty() {
        1
    } else {
        let known = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        known.map(|(_, factor)| *factor).ok_or_else(bad)?
    };
    number.checked_mul(factor).ok_or_else(|| format!("{text} is too large"))
}

/// A size as [`parse_size`] reads it: in the largest binary unit that divides it.
pub fn format_size(bytes: u64) -> String {
    let binary = SIZES.iter().take(4).find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    binary.map_or_else(|| bytes.to_string(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// A time with a unit: `500ms`, `2s`, `1m 30s`.
///
/// # Errors
///
/// A message for people that names the units.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("'{text}' has no unit: write {text}ms or {text}s"));
    }
    humantime::parse_duration(text).map_err(|_| format!("'{text}' is not a time: write 500ms, 2s or 1m"))
}

/// A time in milliseconds: as [`parse_duration`], or a bare number of milliseconds.
///
/// # Errors
///
/// As [`parse_duration`]; or the time is no whole number of milliseconds.
pub fn parse_millis(text: &str) -> Result<u64, String> {
    if let Ok(millis) = text.replace('_', "").parse() {
        return Ok(millis);
    }
    let duration = parse_duration(text)?;
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(format!("'{text}' is finer than a millisecond"));
    }
    u64::try_from(duration.as_millis()).map_err(|_| format!("'{text}' is too long"))
}

/// A time as [`parse_duration`] reads it.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Microseconds in a unit that keeps three digits: `87 µs`, `1.25 ms`, `2.10 s`.
pub fn format_micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.2} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// A number with its thousands set apart.
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let sizes =
            [("0", 0), ("4_096", 4096), ("1MiB", 1 << 20), ("64 kib", 64 << 10), ("10 GB", 10_000_000_000)];
        for (text, bytes) in sizes {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1 parsec", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_need_a_unit_unless_they_are_milliseconds() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("5").unwrap_err().contains("5ms or 5s"));
        assert_eq!(parse_millis("2s"), Ok(2_000));
        assert_eq!(parse_millis("20"), Ok(20));
        assert!(parse_millis("1us").is_err() && parse_millis("soon").is_err());
    }

    #[test]
    fn quantities_are_shown_with_three_digits() {
        assert_eq!(
            [format_micros(87), format_micros(1_250), format_micros(2_100_000)],
            ["87 µs", "1.25 ms", "2.10 s"]
        );
        assert_eq!(
            [format_count(7), format_count(1_000), format_count(1_234_567)],
            ["7", "1,000", "1,234,567"]
        );
    }
}
