//! Listening sockets: one for every worker, in one `SO_REUSEPORT` group.
//!
//! The kernel spreads connections over the group, so no two workers wake for one connection and none takes more than
//! its share; docs/decisions says what was measured. A group would also let a second process in by mistake, so an
//! address is first tried alone.

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

/// Listens on `address` with `count` sockets, at least one. IPv6 sockets take IPv6 only, so that both families can be
/// named side by side. Port 0 becomes one free port for all of them.
pub fn bind(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, BindError> {
    open_all(address, count).map_err(|source| BindError { address, source })
}

fn open_all(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Without the option this fails where anybody listens, one of our own kind included.
    let alone = open(address, false)?;
    drop(alone);
    let first = open(address, true)?;
    first.listen(BACKLOG)?;
    let address = first
        .local_addr()?
        .as_socket()
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut sockets = vec![first.into()];
    while sockets.len() < count {
        let next = open(address, true)?;
        next.listen(BACKLOG)?;
        sockets.push(next.into());
    }
    Ok(sockets)
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted process must not wait for the old one's connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        let error = bind(address, 2).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()));
        assert!(error.hint().contains("another process"));
    }

    #[test]
    fn all_sockets_of_a_group_have_one_port() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap().port())
            .collect();
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[test]
    fn both_families_can_have_the_same_port() {
        let v4 = bind("0.0.0.0:0".parse().unwrap(), 1).unwrap();
        let port = v4[0].local_addr().unwrap().port();
        match bind(SocketAddr::new("::".parse().unwrap(), port), 1) {
            Ok(_) => {}
            // A machine without IPv6 cannot show it.
            Err(error) => assert_ne!(error.source.kind(), io::ErrorKind::AddrInUse),
        }
    }
}
