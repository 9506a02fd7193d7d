//! Random streams and pipelines for the front door for clients of Redis: short runs of what two programs of this package do for long.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use kv_tests::held::{Counting, held};
use kv_tests::process::within;
use kv_tests::resp::encode;
use kv_tests::resp::served::Served;
use kv_tests::scenario::resp_fuzz::{self, RespFuzz};
use kv_tests::scenario::resp_pipelines::{self, RespPipelines};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// However slow the machine is.
const AMPLE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_stream_means_the_same_however_it_is_cut_and_is_answered_request_by_request() {
    let options = RespFuzz { executions: 20_000, connect_each: 10, seed: 7, first: 0 };
    let seen = within(AMPLE, resp_fuzz::run(&options)).await.unwrap();
    assert!(seen.requests > 10_000 && seen.errors > 3_000 && seen.replies > 1_000, "{seen:?}");
}

#[tokio::test]
async fn a_pipeline_answers_as_if_each_command_had_waited_for_the_last() {
    let options = RespPipelines { commands: 20_000, seed: 7, first: 0 };
    within(AMPLE, resp_pipelines::run(&options)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_sent_and_got_much_keeps_no_room_for_it() {
    const CONNECTIONS: usize = 16;
    const BYTES: usize = 1_000_000;
    let served = Served::start(1, None).await.unwrap();
    let (mut set, mut get) = (Vec::new(), Vec::new());
    encode::array(&["SET".into(), "k".into(), vec![b'v'; BYTES].into()], &mut set);
    encode::array(&["GET".into(), "k".into()], &mut get);
    let mut reply = vec![0; "$1000000\r\n".len() + BYTES + 2];
    let mut connections = Vec::new();
    let before = held();
    for _ in 0..CONNECTIONS {
        let mut connection = TcpStream::connect(served.address(0)).await.unwrap();
        connection.write_all(&set).await.unwrap();
        within(AMPLE, connection.read_exact(&mut reply[..5])).await.unwrap();
        connection.write_all(&get).await.unwrap();
        within(AMPLE, connection.read_exact(&mut reply)).await.unwrap();
        connections.push(connection);
    }
    // The value itself is held, once for the store and once for what it replaces.
    let each = held().saturating_sub(before + 4 * BYTES) / CONNECTIONS;
    assert!(each < 100_000, "a connection holds {each} bytes");
}
