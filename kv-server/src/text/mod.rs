//! Small things about text: quantities as people write them, bytes as text, tables, the nearest of known names.

mod bytes;
mod nearest;
mod quantity;
mod table;

pub use bytes::{from_hex, printable, to_hex};
pub use nearest::nearest;
pub use quantity::{
    format_count, format_duration, format_micros, format_size, parse_duration, parse_millis, parse_size,
};
pub use table::Table;
