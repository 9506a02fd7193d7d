//! The server; called by the name `kv` it is the client.

fn main() -> std::process::ExitCode {
    kv_server::server_or_client()
}
