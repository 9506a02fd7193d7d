use std::fmt;

use bytes::Bytes;

use crate::resolver::ConflictResolver;

type Combine = dyn Fn(&[&[u8]]) -> Option<Bytes> + Send + Sync;

/// A resolver made of a closure that combines values, for example the union of sets.
///
/// # Examples
///
/// ```
/// use kv_core::resolver::{CombineWith, ConflictResolver};
///
/// let longest = CombineWith::new("longest", |values| {
///     values.iter().max_by_key(|value| (value.len(), **value)).map(|value| value.to_vec().into())
/// });
/// assert_eq!(longest.combine(&[b"a", b"abc"]).as_deref(), Some(&b"abc"[..]));
/// ```
pub struct CombineWith {
    name: String,
    combine: Box<Combine>,
}

impl CombineWith {
    /// A resolver with that name and closure. The closure is held to contract bullet `R-04`.
    pub fn new(
        name: impl Into<String>,
        combine: impl Fn(&[&[u8]]) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        CombineWith { name: name.into(), combine: Box::new(combine) }
    }
}

impl fmt::Debug for CombineWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CombineWith").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ConflictResolver for CombineWith {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn combine(&self, values: &[&[u8]]) -> Option<Bytes> {
        (self.combine)(values)
    }
}
