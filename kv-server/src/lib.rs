//! The reference server and the command-line client, as a library: the binaries `kv-server` and `kv` are one line each.
//!
//! Both programs are in both binaries: one that is called `kv` (by whatever link) is the client. So `cargo run -- dev`,
//! which builds `kv-server` alone, can give people a `kv` as well.
#![forbid(unsafe_code)]

pub mod exit;
pub mod text;
mod transfer;

mod console;

pub mod config;

mod logging;
mod runtime;
mod signals;

mod plugins;

mod admin;
mod data_directory;
mod set_aside;

mod server;

mod dev;

mod bench;
mod cli;

mod program;

pub use program::{client, server_or_client};
