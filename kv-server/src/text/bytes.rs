/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
///
/// # Errors
///
/// A message for people if there is an odd number of digits or anything else between them.
pub fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let digits = digits.ok_or("has characters that are not hexadecimal digits")?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("has an odd number of hexadecimal digits: was it cut?".into());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Bytes for the eyes: text as it is, everything else escaped.
pub fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_string(),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_come_back_as_the_bytes_they_were() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)).unwrap(), bytes);
        assert!(from_hex("abc").unwrap_err().contains("odd"));
        assert!(from_hex("xy").unwrap_err().contains("not hexadecimal"));
    }

    #[test]
    fn only_what_cannot_be_shown_is_escaped() {
        assert_eq!(printable("grüß dich".as_bytes()), "grüß dich");
        assert_eq!(printable(b"a\nb"), "a\\nb");
        assert_eq!(printable(&[0xff, b'a']), "\\xffa");
    }
}
