//! What the tests of the front door for clients of Redis share: nodes with one, a client, random pipelines and streams, and what has to come
//! of them.

pub mod client;
pub mod encode;
pub mod model;
pub mod parsed;
pub mod pipeline;
pub mod served;
pub mod stream;
