//! New connections to endpoints: within a time limit, with `TCP_NODELAY`.
//!
//! What a failed connect means for the endpoint is `group`'s and `proxy`'s matter.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::http1::Connection;
use crate::transport::Socket;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint refused, or there is no way to it.
    #[error("cannot connect to `{address}`")]
    Refused {
        /// The endpoint.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The endpoint did not answer.
    #[error("`{address}` did not accept a connection within {limit:?}")]
    TimedOut {
        /// The endpoint.
        address: SocketAddr,
        /// The limit.
        limit: Duration,
    },
}

/// Connects to `address` within `limit`. `TCP_NODELAY` is set: heads and small chunks must not wait for an ACK.
pub async fn connect(
    address: SocketAddr,
    limit: Duration,
) -> Result<Box<Connection>, ConnectError> {
    let refused = |source| ConnectError::Refused { address, source };
    let tcp = tokio::time::timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::TimedOut { address, limit })?
        .map_err(refused)?;
    tcp.set_nodelay(true).map_err(refused)?;
    Ok(Box::new(Connection::new(Socket::Plain(tcp))))
}
