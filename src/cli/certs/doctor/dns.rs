//! The few DNS questions that `certs doctor` has: A, AAAA and CAA (RFC 8659), over UDP, over TCP when cut.
//!
//! Asks one server, the system's first unless told otherwise, and leaves walking the tree to it. Every question ends
//! within [`DEADLINE`] for each of two tries.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(3);
/// Longer names are none.
const LONGEST_NAME: usize = 255;

const A: u16 = 1;
const AAAA: u16 = 28;
const CAA: u16 = 257;

/// A server to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver(pub(super) SocketAddr);

/// A record that says who may issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaaRecord {
    /// Whoever does not know the tag must not issue.
    pub(super) critical: bool,
    /// In lower case.
    pub(super) tag: String,
    /// As it is.
    pub(super) value: String,
}

impl Resolver {
    /// The first server that the system asks.
    pub(super) fn of_system() -> Option<Self> {
        let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
        let server = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("nameserver"))
            .find_map(|rest| rest.trim().parse::<IpAddr>().ok())?;
        Some(Self(SocketAddr::new(server, 53)))
    }

    /// The host's addresses, IPv4 first.
    pub(super) fn addresses(self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for data in self.ask(host, A)? {
            if let Ok(bytes) = <[u8; 4]>::try_from(data) {
                found.push(Ipv4Addr::from(bytes).into());
            }
        }
        for data in self.ask(host, AAAA)? {
            if let Ok(bytes) = <[u8; 16]>::try_from(data) {
                found.push(Ipv6Addr::from(bytes).into());
            }
        }
        Ok(found)
    }

    /// The records that count for the host: its own, or those of the nearest name above that has any.
    pub(super) fn caa(self, host: &str) -> io::Result<Vec<CaaRecord>> {
        let mut name = host;
        loop {
            let found: Vec<_> = self
                .ask(name, CAA)?
                .iter()
                .filter_map(|data| caa(data))
                .collect();
            match name.split_once('.') {
                Some((_, above)) if found.is_empty() => name = above,
                _ => return Ok(found),
            }
        }
    }

    /// The data of all records of this type; none when the name does not exist.
    fn ask(self, name: &str, kind: u16) -> io::Result<Vec<Vec<u8>>> {
        let id = fastrand::u16(..);
        let question = question(id, name, kind).ok_or(io::ErrorKind::InvalidInput)?;
        let mut answer = self
            .by_udp(&question, id)
            .or_else(|_| self.by_udp(&question, id))?;
        if answer.get(2).is_some_and(|flags| flags & 2 != 0) {
            answer = self.by_tcp(&question)?;
        }
        records(&answer, kind)
            .ok_or_else(|| io::Error::other("the name server's answer is malformed"))?
    }

    fn by_udp(self, question: &[u8], id: u16) -> io::Result<Vec<u8>> {
        let local: IpAddr = match self.0 {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((local, 0))?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.connect(self.0)?;
        socket.send(question)?;
        let mut answer = vec![0; 4096];
        let length = socket.recv(&mut answer)?;
        answer.truncate(length);
        match answer.starts_with(&id.to_be_bytes()) {
            true => Ok(answer),
            false => Err(io::Error::other("somebody else's answer came")),
        }
    }

    fn by_tcp(self, question: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.0, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(question)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

fn question(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    // One question, recursion wanted.
    let mut out = id.to_be_bytes().to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        out.push(
            u8::try_from(label.len())
                .ok()
                .filter(|length| (1..64).contains(length))?,
        );
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    (out.len() <= LONGEST_NAME + 17).then_some(out)
}

/// The data of the answer's records of this type; `None` when it is malformed, an error when the server refuses.
fn records(answer: &[u8], kind: u16) -> Option<io::Result<Vec<Vec<u8>>>> {
    let number = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    match answer.get(3)? & 15 {
        0 => {}
        3 => return Some(Ok(Vec::new())),
        code => {
            let text = format!("the name server answers with error {code}");
            return Some(Err(io::Error::other(text)));
        }
    }
    let mut at = 12;
    for _ in 0..number(4)? {
        at = after_name(answer, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..number(6)? {
        at = after_name(answer, at)?;
        let length = usize::from(number(at + 8)?);
        let data = answer.get(at + 10..at + 10 + length)?;
        if number(at)? == kind {
            found.push(data.to_vec());
        }
        at += 10 + length;
    }
    Some(Ok(found))
}

/// Where a name that begins at `at` ends; a pointer ends it.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}

fn caa(data: &[u8]) -> Option<CaaRecord> {
    let length = usize::from(*data.get(1)?);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Some(CaaRecord {
        critical: data.first()? & 0x80 != 0,
        tag: text(data.get(2..2 + length)?).to_ascii_lowercase(),
        value: text(data.get(2 + length..)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_and_an_answer_with_a_pointer_are_read() {
        let mut message = question(7, "a.test", A).unwrap();
        message[3] = 0;
        message[7] = 1; // one answer
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        assert_eq!(records(&message, A).unwrap().unwrap(), [[192, 0, 2, 1]]);
        assert!(records(&message, AAAA).unwrap().unwrap().is_empty());
        message[3] = 2;
        assert!(records(&message, A).unwrap().is_err());
    }

    #[test]
    fn a_caa_record_is_read() {
        let record = caa(b"\x00\x05issueLetsEncrypt.org").unwrap();
        assert_eq!((&*record.tag, &*record.value), ("issue", "LetsEncrypt.org"));
        assert!(!record.critical && caa(b"\x80\x05issueX").unwrap().critical);
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(bytes: Vec<u8>) {
            drop(records(&bytes, CAA));
            drop(caa(&bytes));
        }
    }
}
