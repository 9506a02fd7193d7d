//! How values are written: each form reads text and writes TOML.

/// Numbers.
pub(super) mod number {
    use std::fmt::Display;
    use std::str::FromStr;

    pub(crate) fn read<T: FromStr>(text: &str) -> Result<T, String> {
        text.replace('_', "").parse().map_err(|_| format!("'{text}' is not a number that fits here"))
    }

    pub(crate) fn show(value: &impl Display) -> Option<String> {
        Some(value.to_string())
    }
}

/// A share of a whole.
pub(super) mod share {
    pub(crate) fn read(text: &str) -> Result<f64, String> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| format!("'{text}' is not a number from 0 to 1"))
    }

    pub(crate) fn show(value: &f64) -> Option<String> {
        super::number::show(value)
    }
}

/// The id of a node, or nothing.
pub(super) mod node {
    use kv_core::ids::NodeId;

    pub(crate) fn read(text: &str) -> Result<Option<NodeId>, String> {
        match super::number::read(text)? {
            0 => Err("a node's id is a number from 1".into()),
            id => Ok(Some(NodeId(id))),
        }
    }

    pub(crate) fn show(value: &Option<NodeId>) -> Option<String> {
        value.map(|id| id.to_string())
    }
}

/// `true` or `false`.
pub(super) mod truth {
    pub(crate) fn read(text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| format!("'{text}' is neither true nor false"))
    }

    pub(crate) fn show(value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

/// Text.
pub(super) mod text {
    pub(crate) fn read(text: &str) -> Result<String, String> {
        Ok(text.to_string())
    }

    pub(crate) fn show(value: &str) -> Option<String> {
        Some(toml::Value::from(value).to_string())
    }
}

/// A path.
pub(super) mod path {
    use std::path::{Path, PathBuf};

    pub(crate) fn read(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() { Err("the path is empty".into()) } else { Ok(text.into()) }
    }

    pub(crate) fn show(value: &Path) -> Option<String> {
        super::text::show(&value.to_string_lossy())
    }
}

/// `host:port`.
pub(super) mod address {
    pub(crate) fn read(text: &str) -> Result<String, String> {
        let good = text.rsplit_once(':').is_some_and(|(host, port)| {
            let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
            !host.is_empty() && !bare_v6 && port.parse::<u16>().is_ok()
        });
        if good {
            Ok(text.to_string())
        } else {
            Err(format!("'{text}' is not an address: write host:port, as in 127.0.0.1:7380 or [::1]:7380"))
        }
    }

    pub(crate) fn show(value: &str) -> Option<String> {
        super::text::show(value)
    }
}

/// `host:port`, or `off`.
pub(super) mod address_or_off {
    pub(crate) fn read(text: &str) -> Result<Option<String>, String> {
        if text == "off" { Ok(None) } else { super::address::read(text).map(Some) }
    }

    pub(crate) fn show(value: &Option<String>) -> Option<String> {
        super::text::show(value.as_deref().unwrap_or("off"))
    }
}

/// Bytes.
pub(super) mod size {
    use std::fmt::Display;

    use crate::text::{format_size, parse_size};

    pub(crate) fn read<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
        T::try_from(parse_size(text)?).map_err(|_| format!("{text} is too large"))
    }

    pub(crate) fn show(value: &impl Display) -> Option<String> {
        let text = value.to_string();
        super::text::show(&text.parse().map_or(text, format_size))
    }
}

/// A time.
pub(super) mod duration {
    use std::time::Duration;

    use crate::text::{format_duration, parse_duration};

    pub(crate) fn read(text: &str) -> Result<Duration, String> {
        parse_duration(text)
    }

    pub(crate) fn show(value: &Duration) -> Option<String> {
        super::text::show(&format_duration(*value))
    }
}

/// A time that is kept as milliseconds.
pub(super) mod millis {
    use std::time::Duration;

    use crate::text::{format_duration, parse_millis};

    pub(crate) fn read(text: &str) -> Result<u64, String> {
        parse_millis(text)
    }

    pub(crate) fn show(value: &u64) -> Option<String> {
        super::text::show(&format_duration(Duration::from_millis(*value)))
    }
}

/// One of a few words.
pub(super) mod word {
    use kv_core::storage::Durability;
    use kv_storage::Creation;

    use crate::config::{Engine, LogFormat, Strategy};
    use crate::text::nearest;

    /// A closed set of words.
    pub(crate) trait Word: Copy + PartialEq + 'static {
        const WORDS: &'static [(&'static str, Self)];
    }

    impl Word for LogFormat {
        const WORDS: &'static [(&'static str, Self)] =
            &[("text", LogFormat::Text), ("json", LogFormat::Json)];
    }

    impl Word for Engine {
        const WORDS: &'static [(&'static str, Self)] = &[("lmdb", Engine::Lmdb), ("memory", Engine::Memory)];
    }

    impl Word for Creation {
        const WORDS: &'static [(&'static str, Self)] =
            &[("if_missing", Creation::IfMissing), ("never", Creation::Never)];
    }

    impl Word for Durability {
        const WORDS: &'static [(&'static str, Self)] =
            &[("synced", Durability::Synced), ("buffered", Durability::Buffered)];
    }

    impl Word for Strategy {
        const WORDS: &'static [(&'static str, Self)] =
            &[("balanced", Strategy::Balanced), ("hash_ring", Strategy::HashRing)];
    }

    pub(crate) fn read<T: Word>(text: &str) -> Result<T, String> {
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
            let hint = nearest(text, words.iter().copied()).map(|word| format!(" (did you mean {word}?)"));
            format!("'{text}' is not one of {}{}", words.join(", "), hint.unwrap_or_default())
        })
    }

    pub(crate) fn show<T: Word>(value: &T) -> Option<String> {
        let found = T::WORDS.iter().find(|(_, known)| known == value);
        super::text::show(found.map_or("", |(word, _)| word))
    }
}
