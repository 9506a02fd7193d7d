use bytes::Bytes;
use kv_core::key::Key;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::text::{from_hex, to_hex};
use crate::transfer::{Entry, EntryValue};

/// An entry as a JSON object: text where it is text, hexadecimal digits where it is not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(default, deserialize_with = "any", skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<OneValue>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OneValue {
    #[serde(default, deserialize_with = "any", skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

/// Any JSON value, null too: that is one that is there.
fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// The entry as one line, without its end.
pub(crate) fn encode(entry: &Entry) -> Result<String, String> {
    let mut line = Line::default();
    match std::str::from_utf8(entry.key.as_bytes()) {
        Ok(text) => line.key = Some(text.into()),
        Err(_) => line.key_hex = Some(to_hex(entry.key.as_bytes())),
    }
    match entry.values.as_slice() {
        [] => {}
        [only] => {
            OneValue { value: line.value, value_hex: line.value_hex, expires_at_ms: line.expires_at_ms } =
                one(only)?;
        }
        several => line.values = Some(several.iter().map(one).collect::<Result<_, _>>()?),
    }
    serde_json::to_string(&line).map_err(|error| error.to_string())
}

fn one(value: &EntryValue) -> Result<OneValue, String> {
    let EntryValue { bytes, expires_at_ms } = value;
    let expires_at_ms = *expires_at_ms;
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let value = serde_json::value::to_raw_value(text).map_err(|error| error.to_string())?;
            Ok(OneValue { value: Some(value), value_hex: None, expires_at_ms })
        }
        Err(_) => Ok(OneValue { value: None, value_hex: Some(to_hex(bytes)), expires_at_ms }),
    }
}

/// The entry of one line. A value that is no string is kept as the JSON that it is.
pub(super) fn decode(line: &str) -> Result<Entry, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let key = match (line.key, line.key_hex) {
        (Some(key), None) => key.into_bytes(),
        (None, Some(digits)) => from_hex(&digits).map_err(|error| format!("key_hex {error}"))?,
        _ => return Err("there has to be either key or key_hex".into()),
    };
    let key = Key::new(key).map_err(|error| error.to_string())?;
    let single = OneValue { value: line.value, value_hex: line.value_hex, expires_at_ms: line.expires_at_ms };
    let values = match line.values {
        None => vec![value_of(single)?],
        Some(values) if single.is_empty() && !values.is_empty() => {
            values.into_iter().map(value_of).collect::<Result<_, _>>()?
        }
        Some(_) => return Err("values is a list of at least one value and stands alone".into()),
    };
    Ok(Entry { key, values })
}

impl OneValue {
    fn is_empty(&self) -> bool {
        self.value.is_none() && self.value_hex.is_none() && self.expires_at_ms.is_none()
    }
}

fn value_of(value: OneValue) -> Result<EntryValue, String> {
    let expires_at_ms = value.expires_at_ms;
    Ok(EntryValue { bytes: bytes_of(value)?, expires_at_ms })
}

fn bytes_of(value: OneValue) -> Result<Bytes, String> {
    match (value.value, value.value_hex) {
        (Some(raw), None) if raw.get().starts_with('"') => {
            let text: String = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
            Ok(text.into())
        }
        (Some(raw), None) => Ok(String::from(raw.get()).into()),
        (None, Some(digits)) => Ok(from_hex(&digits).map_err(|error| format!("value_hex {error}"))?.into()),
        _ => Err("there has to be either value, value_hex or values".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &[u8], values: &[&'static [u8]]) -> Entry {
        let values = values.iter().map(|value| Bytes::from_static(value).into()).collect();
        Entry { key: Key::new(key.to_vec()).unwrap(), values }
    }

    #[test]
    fn entries_come_back_as_they_went_out() {
        let cases = [
            (entry(b"k", &[b"v"]), r#"{"key":"k","value":"v"}"#),
            (entry(&[0xff], &[&[0, 0xfe]]), r#"{"key_hex":"ff","value_hex":"00fe"}"#),
            (entry("é\n\"".as_bytes(), &[b""]), r#"{"key":"é\n\"","value":""}"#),
            (entry(b"k", &[b"a", &[0xff]]), r#"{"key":"k","values":[{"value":"a"},{"value_hex":"ff"}]}"#),
        ];
        let expiring = |bytes, expires_at_ms| EntryValue { bytes: Bytes::from_static(bytes), expires_at_ms };
        let of = |values| Entry { values, ..entry(b"k", &[]) };
        let expiring = [
            (of(vec![expiring(b"v", Some(7))]), r#"{"key":"k","value":"v","expires_at_ms":7}"#),
            (
                of(vec![expiring(b"a", None), expiring(b"b", Some(7))]),
                r#"{"key":"k","values":[{"value":"a"},{"value":"b","expires_at_ms":7}]}"#,
            ),
        ];
        for (entry, line) in cases.into_iter().chain(expiring) {
            assert_eq!(encode(&entry).unwrap(), line);
            assert_eq!(decode(line).unwrap(), entry);
        }
    }

    #[test]
    fn values_that_are_no_strings_are_kept_as_json() {
        for json in ["17", "null", "[1, 2]", r#"{"b": 1, "a": [true]}"#] {
            let decoded = decode(&format!(r#"{{"key": "k", "value": {json}}}"#)).unwrap();
            assert_eq!(decoded.values, [Bytes::from(json.to_string()).into()]);
        }
    }

    #[test]
    fn what_is_no_entry_says_why() {
        for (line, why) in [
            ("", "EOF"),
            ("[]", "expected"),
            ("{}", "either key or key_hex"),
            (r#"{"key":"k"}"#, "either value"),
            (r#"{"key":"k","vlaue":"v"}"#, "unknown field `vlaue`"),
            (r#"{"key":"","value":"v"}"#, "a key has 1 to 1024 bytes"),
            (r#"{"key":"k","key_hex":"00","value":"v"}"#, "either key or key_hex"),
            (r#"{"key_hex":"0","value":"v"}"#, "odd number"),
            (r#"{"key":"k","values":[]}"#, "at least one value"),
            (r#"{"key":"k","value":"a","values":[{"value":"b"}]}"#, "stands alone"),
            (r#"{"key":"k","expires_at_ms":1,"values":[{"value":"b"}]}"#, "stands alone"),
            (r#"{"key":"k","value":"a","expires_at_ms":-1}"#, "invalid value"),
            (r#"{"key":"k","value":"v"} x"#, "trailing characters"),
        ] {
            let error = decode(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
