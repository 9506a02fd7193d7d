//! TCP sockets with the options that a cluster needs.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;

use super::options::TarpcOptions;

const BACKLOG: i32 = 1_024;

/// Listens on the first address that `address` stands for. Port 0 lets the operating system choose.
pub(super) fn listen(address: &str) -> io::Result<TcpListener> {
    let address = address.to_socket_addrs()?.next().ok_or_else(|| no_address(address))?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted node gets its port back although connections of its earlier life linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connects to the first address of `address` that can be reached.
pub(super) async fn connect(address: &str, options: &TarpcOptions) -> io::Result<TcpStream> {
    // Most addresses are numeric, and resolving goes through a thread.
    let candidates: Vec<SocketAddr> = match address.parse() {
        Ok(numeric) => vec![numeric],
        Err(_) => tokio::net::lookup_host(address).await?.collect(),
    };
    let mut failure = no_address(address);
    for candidate in candidates {
        match TcpStream::connect(candidate).await {
            Ok(stream) => {
                tune(&stream, options)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Sets the options of a connected socket.
pub(super) fn tune(stream: &TcpStream, options: &TarpcOptions) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(options.keepalive).with_interval(options.keepalive / 3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(options.unacknowledged_max))?;
    Ok(())
}

fn no_address(address: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("'{address}' stands for no address"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn assert_tuned(stream: &TcpStream, options: &TarpcOptions) {
        let socket = SockRef::from(stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), options.keepalive);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), options.keepalive / 3);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(options.unacknowledged_max));
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_connection_that_is_half_open_is_given_up_by_the_operating_system() {
        let options = TarpcOptions {
            keepalive: Duration::from_secs(12),
            unacknowledged_max: Duration::from_millis(7_500),
            ..TarpcOptions::default()
        };
        let listener = tokio::net::TcpListener::from_std(listen("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (dialled, accepted) = tokio::join!(connect(&address, &options), listener.accept());
        assert_tuned(&dialled.unwrap(), &options);
        let (accepted, _) = accepted.unwrap();
        tune(&accepted, &options).unwrap();
        assert_tuned(&accepted, &options);
    }

    #[test]
    fn no_connection_stalls_for_minutes_unless_told_to() {
        let options = TarpcOptions::default();
        assert!(options.keepalive + options.unacknowledged_max <= Duration::from_secs(30));
        assert!(options.connect_timeout + options.handshake_timeout <= Duration::from_secs(10));
    }
}
