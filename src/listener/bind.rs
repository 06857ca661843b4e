//! Listening sockets.
//!
//! Bound once by the process and shared by its workers: every worker holds a duplicate and takes what it can serve.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait for an accept; the system cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

impl BindError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => "another process listens there; `ss -ltnp` shows which",
            io::ErrorKind::AddrNotAvailable => {
                "this host does not have the address; `ip address` lists what it has"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need root or `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the service unit"
            }
            _ => "see [listen] in the configuration",
        }
    }
}

/// Listens on `address`. IPv6 sockets take IPv6 only, so that both families can be named side by side.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    open(address).map_err(|source| BindError { address, source })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted process must not wait for the old one's connections to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()));
        assert!(error.hint().contains("another process"));
    }

    #[test]
    fn both_families_can_have_the_same_port() {
        let v4 = bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = v4.local_addr().unwrap().port();
        match bind(SocketAddr::new("::".parse().unwrap(), port)) {
            Ok(_) => {}
            // A machine without IPv6 cannot show it.
            Err(error) => assert_ne!(error.source.kind(), io::ErrorKind::AddrInUse),
        }
    }
}
