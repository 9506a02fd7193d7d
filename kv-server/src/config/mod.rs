//! The configuration of `kv-server`: a file, then the environment, then flags; each may set everything, the later wins.
//!
//! `settings` is the table of all settings. Every source hands text to it, so that what is accepted, refused and
//! suggested is the same everywhere, and everything that is wrong is said at once.

mod server_config;

mod forms;
mod members;
mod settings;

mod problem;
mod sources;

mod check;
mod print;

pub use problem::{Problem, Problems};
pub use server_config::{Engine, LogFormat, ServerConfig, Strategy};
pub use sources::{Flags, Loaded, load};

#[cfg(test)]
mod tests;
