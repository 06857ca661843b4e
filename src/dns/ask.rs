//! Puts one question to one name server: by UDP, and by TCP when the answer does not fit (RFC 7766).
//!
//! A socket of its own for each question, so that its port and its id are chance; what is not an answer to the question
//! is not looked at. Ends within the time it is given. At most 64 KiB are read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

pub use super::message::{Data, Kind, Reply};
use super::message::{question, reply};

/// A datagram without EDNS has at most 512 bytes; servers that send more are read too.
const DATAGRAM: usize = 4096;

/// Why a server said nothing of use.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The text is no name.
    #[error("it is not a name that can be asked for")]
    Name,
    /// It cannot be reached.
    #[error("name server {0} cannot be asked")]
    Unreachable(SocketAddr, #[source] io::Error),
    /// It did not answer in time.
    #[error("name server {0} does not answer")]
    Silent(SocketAddr),
    /// Its answer cannot be read.
    #[error("the answer of name server {0} is damaged")]
    Damaged(SocketAddr),
    /// It cannot or will not say.
    #[error("name server {server} answers {}", word(*code))]
    Refused {
        /// Which.
        server: SocketAddr,
        /// Its code (RFC 1035 section 4.1.1).
        code: u8,
    },
}

/// The name of a code, as tools for DNS print it.
fn word(code: u8) -> String {
    let word = match code {
        1 => "FORMERR",
        2 => "SERVFAIL",
        4 => "NOTIMP",
        5 => "REFUSED",
        code => return format!("with error {code}"),
    };
    word.to_owned()
}

/// Asks `server` for the records of `name`: never [`Reply::Truncated`] nor [`Reply::Refused`].
pub async fn ask(
    server: SocketAddr,
    name: &str,
    kind: Kind,
    patience: Duration,
) -> Result<Reply, AskError> {
    let question = question(fastrand::u16(..), name, kind).ok_or(AskError::Name)?;
    let unreachable = |error| AskError::Unreachable(server, error);
    let asking = async {
        let mut answer = by_udp(server, &question, kind).await.map_err(unreachable)?;
        if answer == Reply::Truncated {
            let read = by_tcp(server, &question).await.map_err(unreachable)?;
            let whole = reply(&read, &question, kind);
            answer = whole.ok_or(AskError::Damaged(server))?;
        }
        match answer {
            // What does not fit into TCP either is not for us.
            Reply::Truncated => Err(AskError::Damaged(server)),
            Reply::Refused(code) => Err(AskError::Refused { server, code }),
            answer => Ok(answer),
        }
    };
    let answered = timeout(patience, asking).await;
    answered.unwrap_or(Err(AskError::Silent(server)))
}

/// The answer that comes; anything else that comes is passed over.
async fn by_udp(server: SocketAddr, question: &[u8], kind: Kind) -> io::Result<Reply> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut datagram).await?;
        if let Some(reply) = reply(&datagram[..length], question, kind) {
            return Ok(reply);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), question].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
