//! The server; called by the name `kv` it is the client.

// Measured: a tenth of the processor time of an operation was the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kv_server::server_or_client()
}
