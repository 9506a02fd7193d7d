//! The command-line client.

// Measured: a tenth of the processor time of an operation was the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kv_server::client()
}
