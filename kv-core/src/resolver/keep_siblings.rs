use crate::resolver::ConflictResolver;

/// Keeps every concurrent version; the reader resolves them and puts the result with the context. The default.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepSiblings;

impl ConflictResolver for KeepSiblings {
    fn name(&self) -> String {
        "siblings".into()
    }
}
