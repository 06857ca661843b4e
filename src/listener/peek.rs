//! Looks at the first bytes of a connection where they wait in the kernel.
//!
//! Nothing is taken, so whoever serves the connection reads it from its beginning. The deadline is the caller's.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Waits until more than `seen` bytes wait, and copies as many as fit. What does not change wakes nobody. Fails when the
/// connection has ended, with the error if there was one, also behind bytes that were seen.
pub(super) async fn more(
    tcp: &TcpStream,
    seen: usize,
    bytes: &mut [u8],
) -> Result<usize, Option<io::Error>> {
    let mut look = || match recv(tcp, &mut *bytes, RecvFlags::PEEK)?.0 {
        same if same > 0 && same <= seen => Err(io::ErrorKind::WouldBlock.into()),
        count => Ok(count),
    };
    loop {
        let ready = tcp.ready(Interest::READABLE).await.map_err(Some)?;
        match tcp.try_io(Interest::READABLE, &mut look) {
            Ok(0) => return Err(None),
            Ok(count) => return Ok(count),
            // Where the end has come nothing more will, and the connection stays ready for ever.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if ready.is_read_closed() {
                    return Err(None);
                }
            }
            Err(error) => return Err(Some(error)),
        }
    }
}
