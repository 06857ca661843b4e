//! Looks at the first bytes of a connection where they wait in the kernel.
//!
//! Nothing is taken, so whoever serves the connection reads it from its beginning. The deadline is the caller's.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Waits until more than `seen` bytes wait, and copies as many as fit. What does not change wakes nobody. Fails when the
/// connection has ended, with the error if there was one; an end behind bytes that were seen shows in the deadline only.
pub(super) async fn more(
    tcp: &TcpStream,
    seen: usize,
    bytes: &mut [u8],
) -> Result<usize, Option<io::Error>> {
    let look = || match recv(tcp, &mut *bytes, RecvFlags::PEEK)?.0 {
        same if same > 0 && same <= seen => Err(io::ErrorKind::WouldBlock.into()),
        count => Ok(count),
    };
    match tcp.async_io(Interest::READABLE, look).await {
        Ok(0) => Err(None),
        Ok(count) => Ok(count),
        Err(error) => Err(Some(error)),
    }
}
