//! Notices that a client leaves while its connection waits and nothing of it may be read.
//!
//! Bytes that came early stay in the kernel for whoever serves the connection. TCP does not tell half-closed from closed:
//! an end behind bytes may be all that the client has to say and is no leaving, but nobody ends TLS before its handshake.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Ready when the client has left: its side has failed, or has ended with nothing said, or, `in_tls`, has ended at all.
pub(super) async fn left(tcp: &TcpStream, in_tls: bool) {
    // Whoever serves it learns it then.
    if watched(tcp, in_tls).await.is_err() {
        pending().await
    }
}

async fn watched(tcp: &TcpStream, in_tls: bool) -> io::Result<()> {
    // A descriptor of its own: what this clears would be missed by whoever reads.
    let own = std::net::TcpStream::from(tcp.as_fd().try_clone_to_owned()?);
    let own = TcpStream::from_std(own)?;
    loop {
        let ready = own.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() || ready.is_write_closed() {
            return Ok(());
        }
        if ready.is_read_closed() {
            let mut byte = [MaybeUninit::uninit()];
            if in_tls || SockRef::from(tcp).peek(&mut byte)? == 0 {
                return Ok(());
            }
            break;
        }
        // Nothing is read: this makes the next wait one for more.
        let unread: io::Result<()> =
            own.try_io(Interest::READABLE, || Err(ErrorKind::WouldBlock.into()));
        drop(unread);
    }
    own.ready(Interest::ERROR).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn a_client_that_ends_without_a_word_or_fails_after_one_has_left() {
        let (client, near) = pair().await;
        assert!(timeout(SHORT, left(&near, false)).await.is_err(), "there");
        drop(client);
        timeout(LONG, left(&near, false)).await.unwrap();

        let (mut client, near) = pair().await;
        client.write_all(b"early").await.unwrap();
        assert!(timeout(SHORT, left(&near, false)).await.is_err(), "there");
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        timeout(LONG, left(&near, false)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_has_said_all_has_left_in_tls_only_and_may_still_fail() {
        let (mut client, near) = pair().await;
        client.write_all(b"early").await.unwrap();
        client.shutdown().await.unwrap();
        timeout(LONG, left(&near, true)).await.unwrap();
        let leaving = left(&near, false);
        tokio::pin!(leaving);
        assert!(timeout(SHORT, &mut leaving).await.is_err(), "half-closed");
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        timeout(LONG, leaving).await.unwrap();
    }

    #[tokio::test]
    async fn what_came_early_can_be_read_after_the_watch() {
        let (mut client, mut near) = pair().await;
        client.write_all(b"early").await.unwrap();
        assert!(timeout(SHORT, left(&near, true)).await.is_err(), "there");
        client.shutdown().await.unwrap();
        let mut all = Vec::new();
        timeout(LONG, near.read_to_end(&mut all))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(all, b"early");
    }
}
