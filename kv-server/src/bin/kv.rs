//! The command-line client.

fn main() -> std::process::ExitCode {
    kv_server::client()
}
