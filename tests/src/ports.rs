//! Ports that nobody uses.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// Ports that were given out by this process.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A free port that stays free while nobody listens on it.
///
/// A node that is restarted needs its port again, and one that the operating system chose may meanwhile become the near end of some
/// outgoing connection. So these lie below the range from which it chooses.
pub fn free() -> u16 {
    let mut given = GIVEN.lock().unwrap();
    let given = given.get_or_insert_default();
    loop {
        let port = rand::random_range(10_000..32_000);
        if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            return port;
        }
    }
}

/// A free address of this machine.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", free())
}
