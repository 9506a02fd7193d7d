//! The client: finds the owners of a key by itself, keeps connections, routes around nodes that fail, and retries what may be retried.

pub mod blocking;
mod builder;
mod calls;
mod health;
mod puts;
mod routing;
mod value;

pub use builder::ClientBuilder;
pub use value::Client;
