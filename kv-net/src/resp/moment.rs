//! How commands name the moment at which a key expires.

use kv_core::command::{Expires, GetAnswer};
use kv_core::limits::EXPIRY_MS_MAX;

use crate::node::wall_ms;
use crate::resp::reply::Reply;
use crate::resp::request::{Request, integer};

/// How a command names a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Milliseconds of one unit.
    unit_ms: i64,
    /// Whether it is a time since 1970, or one from now.
    is_absolute: bool,
}

pub(super) const EX: Form = Form { unit_ms: 1_000, is_absolute: false };
pub(super) const PX: Form = Form { unit_ms: 1, is_absolute: false };
pub(super) const EXAT: Form = Form { unit_ms: 1_000, is_absolute: true };
pub(super) const PXAT: Form = Form { unit_ms: 1, is_absolute: true };

impl Form {
    /// The form that an option of `SET` or `GETEX` stands for.
    pub(super) fn of(option: &[u8]) -> Option<Form> {
        match option {
            b"EX" => Some(EX),
            b"PX" => Some(PX),
            b"EXAT" => Some(EXAT),
            b"PXAT" => Some(PXAT),
            _ => None,
        }
    }

    /// The moment that `word` names for `command`, if it can be one.
    fn moment(self, word: &[u8], command: &str) -> Result<i64, Reply> {
        let number = integer(word).ok_or_else(|| Reply::error("value is not an integer or out of range"))?;
        let end_ms = number.checked_mul(self.unit_ms).filter(|ms| {
            let from_ms = if self.is_absolute { 0 } else { wall_ms() as i64 };
            ms.checked_add(from_ms).is_some_and(|ms| ms <= EXPIRY_MS_MAX as i64)
        });
        end_ms.ok_or_else(|| invalid(command))
    }

    /// For a value that is written: a moment that has passed cannot be, unless it is an absolute one.
    pub(super) fn of_value(self, word: &[u8], command: &str) -> Result<Expires, Reply> {
        let ms = self.moment(word, command)?;
        if ms <= 0 { Err(invalid(command)) } else { Ok(self.expires(ms)) }
    }

    /// For a value that is there: a moment that has passed deletes it.
    pub(super) fn of_key(self, word: &[u8], command: &str) -> Result<Expires, Reply> {
        Ok(self.expires(self.moment(word, command)?))
    }

    fn expires(self, ms: i64) -> Expires {
        match u64::try_from(ms) {
            Ok(ms) if self.is_absolute => Expires::AtMs(ms),
            Ok(ms) => Expires::AfterMs(ms),
            Err(_) => Expires::AtMs(0),
        }
    }
}

fn invalid(command: &str) -> Reply {
    Reply::error(format_args!("invalid expire time in '{command}' command"))
}

/// When the one value of an answer expires.
pub(super) fn expires_at_ms(answer: &GetAnswer) -> Option<u64> {
    answer.values.first().and_then(|sibling| sibling.expires_at_ms)
}

/// The options of `SET`.
#[derive(Debug, Default)]
pub(super) struct SetOptions {
    /// Whether the old value is wanted.
    pub(super) wants_old: bool,
    expires: Option<Expires>,
}

impl SetOptions {
    pub(super) fn read(request: &Request) -> Result<SetOptions, Reply> {
        let mut options = SetOptions::default();
        let syntax = || Reply::error("syntax error");
        let mut words = request.words_from(3);
        while let Some(word) = words.next() {
            let option = word.to_ascii_uppercase();
            let expires = match &*option {
                b"GET" => {
                    options.wants_old = true;
                    continue;
                }
                b"NX" | b"XX" => {
                    return Err(Reply::error(
                        "SET with NX or XX is refused: a bucket with quorums does not have atomicity",
                    ));
                }
                b"KEEPTTL" => Expires::Keep,
                name => {
                    let form = Form::of(name).ok_or_else(syntax)?;
                    form.of_value(words.next().ok_or_else(syntax)?, "set")?
                }
            };
            if options.expires.replace(expires).is_some() {
                return Err(syntax());
            }
        }
        Ok(options)
    }

    /// When the value expires.
    pub(super) fn expires(&self) -> Expires {
        self.expires.unwrap_or_default()
    }

    /// When it expires, beside what was read before.
    pub(super) fn expires_after(&self, old: &GetAnswer) -> Expires {
        match self.expires() {
            Expires::Keep => expires_at_ms(old).map_or(Expires::Never, Expires::AtMs),
            expires => expires,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_what_redis_takes_for_them() {
        for (form, word, expected) in [
            (EX, "10", Expires::AfterMs(10_000)),
            (PX, "10", Expires::AfterMs(10)),
            (EXAT, "10", Expires::AtMs(10_000)),
            (PXAT, "10", Expires::AtMs(10)),
        ] {
            assert_eq!(form.of_value(word.as_bytes(), "set"), Ok(expected));
            assert_eq!(form.of_key(word.as_bytes(), "expire"), Ok(expected));
            assert_eq!(form.of_value(b"0", "set"), Err(invalid("set")));
            assert_eq!(form.of_key(b"-5", "expire"), Ok(Expires::AtMs(0)));
            assert_eq!(form.of_value(b"9223372036854775807", "set"), Err(invalid("set")));
            assert_eq!(form.of_key(b"x", "e"), Err(Reply::error("value is not an integer or out of range")));
        }
        assert_eq!(EX.of_key(b"9223372036854775", "e"), Err(invalid("e")));
        let last = EXPIRY_MS_MAX.to_string();
        assert_eq!(PXAT.of_key(last.as_bytes(), "e"), Ok(Expires::AtMs(EXPIRY_MS_MAX)));
        assert_eq!(PX.of_key(last.as_bytes(), "e"), Err(invalid("e")), "counted from now");
    }
}
