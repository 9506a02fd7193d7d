//! The programs as people meet them: what they print, what they return, what they survive.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod exposition;
mod support;

mod bad_input;
mod client;
mod dev;
mod metrics;
mod server;
mod set_aside;
mod shell;
mod space;
mod transfer;
