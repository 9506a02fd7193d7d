//! Records: the versions of one key, how they merge, and how they are stored and sent.

mod cell;
mod draft;
mod encoding;
mod names;
mod provenance;
mod shown;
mod value;
mod version;

pub use cell::{Cell, CellError, CellView, OwnActor, RecoveringMark, damage_number};
pub use draft::Draft;
pub use encoding::{EncodedRecord, RecordError};
pub use names::PastNames;
pub use provenance::{Provenance, Sinces};
pub use value::Record;
pub use version::{Expiry, Version, WriteId};
