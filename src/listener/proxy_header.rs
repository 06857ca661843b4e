//! Takes a PROXY header off a connection, where load balancers speak for their clients.
//!
//! Only who is configured is believed; the parsing is `transport`'s, the deadline the caller's. Nothing behind the
//! header is read: the bytes are looked at where they wait in the kernel, and only the header's are taken.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::peek::more;
use crate::config::ProxyProtocol;
use crate::transport::proxy_protocol::{Fault, LONGEST, Said, Verdict, parse};
use crate::transport::proxy_values::Values;
use crate::types::address::Address;

/// Nearly every header fits.
const USUAL: usize = 256;

/// Whether a header may come, or has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It may.
    Optional,
    /// It has to.
    Required,
}

/// Why a connection is ended.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The sender is not among the listener's `proxy_protocol_from`.
    #[error("its sender is not in `proxy_protocol_from`")]
    Untrusted,
    /// There is no header where one is required.
    #[error("there is none, and the listener requires one")]
    Missing,
    /// The header is not valid.
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// The connection ended, or failed, before it was known.
    #[error("the connection ended")]
    Gone(#[source] Option<io::Error>),
}

/// What holds for connections to `listener`; `None` where no header is expected.
pub fn policy(settings: &ProxyProtocol, listener: &Address) -> Option<Policy> {
    if settings.required.contains(listener) {
        Some(Policy::Required)
    } else if settings.optional.contains(listener) {
        Some(Policy::Optional)
    } else {
        None
    }
}

/// Whether `peer` may speak for others.
pub fn is_trusted(from: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    from.iter().any(|network| network.contains(&peer))
}

/// Takes the header off `tcp`, where its sender is `heard`, and says what is in it; `None` when the connection begins without
/// one and may.
pub async fn take(
    tcp: &mut TcpStream,
    heard: bool,
    policy: Policy,
) -> Result<Option<(Said, Values)>, Refusal> {
    let required = policy == Policy::Required;
    if required && !heard {
        return Err(Refusal::Untrusted);
    }
    let mut bytes = vec![0; USUAL];
    let mut seen = 0;
    loop {
        seen = more(tcp, seen, &mut bytes).await.map_err(Refusal::Gone)?;
        match parse(&bytes[..seen])? {
            Verdict::Partial if seen == bytes.len() => bytes.resize(LONGEST, 0),
            Verdict::Partial => {}
            Verdict::Absent if required => return Err(Refusal::Missing),
            Verdict::Absent => return Ok(None),
            Verdict::Complete(..) if !heard => return Err(Refusal::Untrusted),
            Verdict::Complete(size, said, values) => {
                let taken = tcp.read_exact(&mut bytes[..size]).await;
                taken.map_err(|error| Refusal::Gone(Some(error)))?;
                return Ok(Some((said, values)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\n";

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn a_header_in_single_bytes_is_taken_and_nothing_behind_it() {
        let (mut client, mut server) = pair().await;
        client.set_nodelay(true).unwrap();
        let sent = tokio::spawn(async move {
            for byte in HEADER {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.write_all(b"GET /").await.unwrap();
            client
        });
        let said = take(&mut server, true, Policy::Required).await.unwrap();
        assert!(matches!(said, Some((Said::Proxied { source, .. }, _)) if source.port() == 8080));
        let mut rest = [0; 5];
        server.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"GET /");
        drop(sent.await.unwrap());
    }

    #[tokio::test]
    async fn a_connection_without_a_header_keeps_its_bytes_where_it_may() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let said = take(&mut server, true, Policy::Optional).await.unwrap();
        assert_eq!(said, None);
        let mut first = [0; 5];
        server.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"GET /");
        let refused = take(&mut server, true, Policy::Required).await;
        assert!(matches!(refused, Err(Refusal::Missing)));
    }

    #[tokio::test]
    async fn a_header_from_anybody_else_is_refused_and_who_is_silent_is_not_believed_either() {
        let (mut client, mut server) = pair().await;
        client.write_all(HEADER).await.unwrap();
        for policy in [Policy::Optional, Policy::Required] {
            let refused = take(&mut server, false, policy).await;
            assert!(matches!(refused, Err(Refusal::Untrusted)));
        }
        let (client, mut server) = pair().await;
        drop(client);
        let gone = take(&mut server, true, Policy::Optional).await;
        assert!(matches!(gone, Err(Refusal::Gone(None))));
    }
}
