//! Where settings come from.

mod environment;
mod file;
mod flags;

use std::collections::BTreeMap;
use std::ffi::OsString;

use kv_core::layout::Member;

pub use self::flags::Flags;
use super::settings::{self, MEMBERS};
use super::{Problems, ServerConfig, check};

/// A configuration and where each value in it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: ServerConfig,
    places: BTreeMap<&'static str, String>,
}

/// Puts the configuration together from a file, the environment and flags, and checks it.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Problems> {
    let mut gathered = Gathered::default();
    let variables: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let named = variables.iter().find(|(name, _)| name == environment::CONFIG_FILE);
    let file = flags.config.clone().or_else(|| named.map(|(_, path)| path.into()));
    if let Some(file) = file {
        file::gather(&file, &mut gathered);
    }
    environment::gather(&variables, &mut gathered);
    flags::gather(flags, &mut gathered);
    let Gathered { loaded, mut problems } = gathered;
    // What follows from a value that could not be read would only confuse.
    if problems.0.is_empty() {
        check::check(&loaded, &mut problems);
    }
    if problems.0.is_empty() { Ok(loaded) } else { Err(problems) }
}

impl Loaded {
    /// Where the value of a setting came from; none for its default.
    pub(super) fn place(&self, key: &str) -> Option<&str> {
        self.places.get(key).map(String::as_str)
    }
}

/// What was gathered so far, and what was wrong with it.
#[derive(Debug)]
struct Gathered {
    loaded: Loaded,
    problems: Problems,
}

impl Default for Gathered {
    fn default() -> Self {
        let loaded = Loaded { config: ServerConfig::default(), places: BTreeMap::new() };
        Gathered { loaded, problems: Problems::default() }
    }
}

impl Gathered {
    /// Sets what has that name; false if nothing has.
    fn set(&mut self, key: &str, text: &str, place: String) -> bool {
        let Some(setting) = settings::find(key) else { return false };
        match (setting.set)(&mut self.loaded.config, text) {
            Ok(()) => {
                self.loaded.places.insert(setting.key, place);
            }
            Err(message) => self.problems.add(place, format!("{}: {message}", setting.key)),
        }
        true
    }

    fn set_members(&mut self, members: Result<Vec<Member>, String>, place: String) {
        match members {
            Ok(members) => {
                self.loaded.config.members = members;
                self.loaded.places.insert(MEMBERS, place);
            }
            Err(message) => self.problems.add(place, format!("{MEMBERS}: {message}")),
        }
    }

    /// Says that nothing has that name, and what it may have been meant to be.
    fn unknown(&mut self, what: &str, name: &str, nearest: Option<String>, place: String) {
        let hint = nearest.map_or_else(
            || "kv-server --print-config shows all".to_string(),
            |nearest| format!("did you mean '{nearest}'?"),
        );
        self.problems.add(place, format!("unknown {what} '{name}': {hint}"));
    }
}
