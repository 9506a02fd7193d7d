//! The examples run, and show what they say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "as a program the example has a main of its own")]
#[path = "../examples/swapped_resolver.rs"]
mod swapped_resolver;
#[allow(dead_code, reason = "as a program the example has a main of its own")]
#[path = "../examples/three_nodes.rs"]
mod three_nodes;

#[tokio::test]
async fn three_nodes_go_on_without_one() {
    three_nodes::run().await.unwrap();
}

#[tokio::test]
async fn concurrent_sets_become_their_union() {
    swapped_resolver::run().await.unwrap();
}
