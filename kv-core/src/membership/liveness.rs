use serde::{Deserialize, Serialize};

/// What is known of whether a member can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It answers.
    Up,
    /// Nothing was heard of it since this node started.
    #[default]
    Unheard,
    /// It did not answer somebody lately and has not objected yet.
    Suspected,
    /// It did not object in time, or said that it leaves.
    Down,
}

impl Liveness {
    /// Its name in metrics and for people.
    pub fn name(self) -> &'static str {
        match self {
            Liveness::Up => "up",
            Liveness::Unheard => "unheard",
            Liveness::Suspected => "suspected",
            Liveness::Down => "down",
        }
    }
}
