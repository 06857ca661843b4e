//! The PROXY protocol's header, versions 1 and 2 (HAProxy's proxy-protocol.txt, 2020-03-05): where a connection came
//! from before a load balancer took it.
//!
//! Pure: bytes in, a verdict out, and the other way round. Whether a sender may say so is the listener's; what version 2 says
//! beside the addresses is `proxy_values`'. Invariants: the verdict does not depend on how the bytes were cut into
//! segments, and nothing behind the header is looked at.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::proxy_values::{Values, Wanted};

/// The longest header that is read, signature included. Version 1 has at most 107 bytes; load balancers send version 2
/// with a few hundred, certificates of clients included.
pub const LONGEST: usize = 4096;

const V1_PREFIX: &[u8] = b"PROXY ";
const V1_LONGEST: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const V2_FIXED: usize = 16;
/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The beginning of a header, perhaps.
    Partial,
    /// No header: these bytes are the client's.
    Absent,
    /// A header of so many bytes, what it says, and what else.
    Complete(usize, Said, Values),
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The connection is another one's, carried on.
    Proxied {
        /// Who connected.
        source: SocketAddr,
        /// Where to.
        destination: SocketAddr,
    },
    /// The sender's own connection, as for a health check, or one whose addresses it does not know: the addresses of
    /// the connection itself hold.
    Own,
}

/// A connection that is another one's, carried on, with all that its header says.
#[derive(Debug)]
pub struct Proxied {
    /// Who has sent the header.
    pub sender: SocketAddr,
    /// Who connected.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// What else is known of it.
    pub values: Values,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no valid header although it began like one.
    #[error("the PROXY header is malformed ({0})")]
    Malformed(&'static str),
    /// It is longer than [`LONGEST`].
    #[error("the PROXY header is longer than {LONGEST} bytes")]
    TooLong,
}

/// Version 1's header for a connection from `source` to `destination`. One by a unix socket has no ports, and is unknown.
pub fn write_v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    if source.port() == 0 && destination.port() == 0 {
        return b"PROXY UNKNOWN\r\n".to_vec();
    }
    let (from, to) = alike(source, destination);
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let (source, destination) = (source.port(), destination.port());
    format!("PROXY {family} {from} {to} {source} {destination}\r\n").into_bytes()
}

/// Version 2's.
pub fn write_v2(source: SocketAddr, destination: SocketAddr, wanted: Wanted<'_>) -> Vec<u8> {
    let mut header = V2_SIGNATURE.to_vec();
    let ports = [source.port(), destination.port()].map(u16::to_be_bytes);
    match alike(source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend([0x21, 0x11, 0, 12]);
            header.extend(from.octets());
            header.extend(to.octets());
        }
        (from, to) => {
            header.extend([0x21, 0x21, 0, 36]);
            header.extend(as_v6(from).octets());
            header.extend(as_v6(to).octets());
        }
    }
    header.extend(ports.concat());
    wanted.append(&mut header);
    let length = u16::try_from(header.len() - V2_FIXED).unwrap_or(u16::MAX);
    header[V2_FIXED - 2..V2_FIXED].copy_from_slice(&length.to_be_bytes());
    wanted.seal(&mut header);
    header
}

/// Both in one family: IPv6 if one is.
fn alike(source: SocketAddr, destination: SocketAddr) -> (IpAddr, IpAddr) {
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (from.into(), to.into()),
        (from, to) => (as_v6(from).into(), as_v6(to).into()),
    }
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// Looks at the first bytes of a connection; more of them can be given again after [`Verdict::Partial`].
pub fn parse(bytes: &[u8]) -> Result<Verdict, Fault> {
    if begins(bytes, V1_PREFIX) {
        return v1(bytes);
    }
    if begins(bytes, V2_SIGNATURE) {
        return v2(bytes);
    }
    Ok(Verdict::Absent)
}

/// Whether `bytes` are `prefix` as far as both go.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    let known = bytes.len().min(prefix.len());
    bytes[..known] == prefix[..known]
}

fn v1(bytes: &[u8]) -> Result<Verdict, Fault> {
    let seen = &bytes[..bytes.len().min(V1_LONGEST)];
    let Some(end) = seen.windows(2).position(|two| two == b"\r\n") else {
        return match bytes.len() < V1_LONGEST {
            true => Ok(Verdict::Partial),
            false => Err(Fault::Malformed("no end of line within 107 bytes")),
        };
    };
    let line = std::str::from_utf8(&bytes[V1_PREFIX.len()..end])
        .map_err(|_| Fault::Malformed("not text"))?;
    let mut words = line.split(' ');
    let said = match words.next() {
        // What follows UNKNOWN must be ignored (section 2.1).
        Some("UNKNOWN") => return Ok(complete(end + 2, Said::Own)),
        Some("TCP4") => v1_addresses::<Ipv4Addr>(&mut words),
        Some("TCP6") => v1_addresses::<Ipv6Addr>(&mut words),
        _ => None,
    };
    match (said, words.next()) {
        (Some(said), None) => Ok(complete(end + 2, said)),
        _ => Err(Fault::Malformed("not two addresses and two ports")),
    }
}

fn complete(size: usize, said: Said) -> Verdict {
    Verdict::Complete(size, said, Values::default())
}

fn v1_addresses<'a, A>(words: &mut impl Iterator<Item = &'a str>) -> Option<Said>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (source, destination): (IpAddr, IpAddr) = (address()?, address()?);
    let mut port = || {
        let text = words.next()?;
        // Decimal without sign or leading zeros.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| plain)
    };
    Some(Said::Proxied {
        source: (source, port()?).into(),
        destination: (destination, port()?).into(),
    })
}

fn v2(bytes: &[u8]) -> Result<Verdict, Fault> {
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else {
        return Ok(Verdict::Partial);
    };
    let size = V2_FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if fixed[12] >> 4 != 2 {
        return Err(Fault::Malformed("a version that is not 2"));
    }
    let local = match fixed[12] & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(Fault::Malformed("an unknown command")),
    };
    if size > LONGEST {
        return Err(Fault::TooLong);
    }
    let Some(header) = bytes.get(..size) else {
        return Ok(Verdict::Partial);
    };
    let (addresses, taken) = v2_addresses(fixed[13], &header[V2_FIXED..])?;
    let values = Values::checked(header, V2_FIXED + taken)?;
    let said = match addresses {
        Some(said) if !local => said,
        _ => Said::Own,
    };
    Ok(Verdict::Complete(size, said, values))
}

/// The addresses and how many bytes they take. Families without IP addresses stand for the connection itself.
fn v2_addresses(family: u8, block: &[u8]) -> Result<(Option<Said>, usize), Fault> {
    const SHORT: Fault = Fault::Malformed("shorter than its addresses");
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    match family {
        // TCP over IPv4.
        0x11 => {
            let block: &[u8; 12] = block.first_chunk().ok_or(SHORT)?;
            let ip =
                |at: usize| Ipv4Addr::new(block[at], block[at + 1], block[at + 2], block[at + 3]);
            Ok((Some(proxied(ip(0), port(8), ip(4), port(10))), 12))
        }
        // TCP over IPv6.
        0x21 => {
            let block: &[u8; 36] = block.first_chunk().ok_or(SHORT)?;
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&block[at..at + 16]);
                Ipv6Addr::from(octets)
            };
            Ok((Some(proxied(ip(0), port(32), ip(16), port(34))), 36))
        }
        // Datagrams over either, and unix sockets: nothing that a client of ours can be.
        0x12 if block.len() >= 12 => Ok((None, 12)),
        0x22 if block.len() >= 36 => Ok((None, 36)),
        0x31 | 0x32 if block.len() >= 216 => Ok((None, 216)),
        // Unspecified: the rest is the sender's own affair.
        0x12 | 0x22 | 0x31 | 0x32 => Err(SHORT),
        // Of no family, or one that is not known here: nothing is believed of it, as of `UNKNOWN` in version 1.
        _ => Ok((None, block.len())),
    }
}

fn proxied(source: impl Into<IpAddr>, from: u16, destination: impl Into<IpAddr>, to: u16) -> Said {
    Said::Proxied {
        source: (source.into(), from).into(),
        destination: (destination.into(), to).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::proxy_values::AUTHORITY;
    use super::*;
    use proptest::prelude::*;

    fn proxied_from(source: &str, destination: &str) -> Said {
        Said::Proxied {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn v2_header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        header.extend(block);
        header
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x1f, 0x90, 0x01, 0xbb];

    #[test]
    fn version_1_says_who_connected_where() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\nGET / HTTP/1.1\r\n";
        let said = proxied_from("192.0.2.7:8080", "198.51.100.1:443");
        assert_eq!(parse(line), Ok(complete(44, said)));
        let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n";
        let said = proxied_from("[2001:db8::7]:1", "[2001:db8::1]:65535");
        assert_eq!(parse(line), Ok(complete(line.len(), said)));
        let line = b"PROXY UNKNOWN ffff::1 what ever\r\n";
        assert_eq!(parse(line), Ok(complete(line.len(), Said::Own)));
    }

    #[test]
    fn version_1_is_refused_when_anything_in_it_is_odd() {
        for line in [
            "PROXY TCP4 192.0.2.7 198.51.100.1 8080\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 8080 443 1\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 8080 65536\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +80 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 080 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
            "PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
            "PROXY \r\n",
        ] {
            assert!(
                matches!(parse(line.as_bytes()), Err(Fault::Malformed(_))),
                "{line}"
            );
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        assert!(matches!(parse(&endless), Err(Fault::Malformed(_))));
    }

    #[test]
    fn version_2_says_who_connected_where_and_more() {
        let with_values = [&V4[..], &[0x02, 0, 3, b'h', b'u', b'b'], &[0x04, 0, 0]].concat();
        let header = v2_header(0x21, 0x11, &with_values);
        let said = proxied_from("192.0.2.7:8080", "198.51.100.1:443");
        let Ok(Verdict::Complete(size, found, values)) = parse(&header) else {
            unreachable!("it is whole");
        };
        assert_eq!((size, found), (header.len(), said));
        assert_eq!(values.get(AUTHORITY), Some(&b"hub"[..]));
        let mut block = [0; 36];
        (block[15], block[31], block[33], block[35]) = (7, 1, 80, 81);
        let header = v2_header(0x21, 0x21, &block);
        let said = proxied_from("[::7]:80", "[::1]:81");
        assert_eq!(parse(&header), Ok(complete(52, said)));
    }

    #[test]
    fn version_2_of_the_sender_itself_or_without_ip_addresses_changes_nothing() {
        for header in [
            v2_header(0x20, 0x00, &[]),
            v2_header(0x20, 0x11, &V4),
            v2_header(0x21, 0x00, b"anything"),
            v2_header(0x21, 0x01, b""),
            v2_header(0x21, 0x41, b"1234"),
            v2_header(0x21, 0x31, &[0; 216]),
        ] {
            assert!(matches!(
                parse(&header),
                Ok(Verdict::Complete(size, Said::Own, _)) if size == header.len()
            ));
        }
    }

    #[test]
    fn a_connection_by_a_unix_socket_is_an_unknown_one() {
        let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert_eq!(write_v1(here, here), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_refused_when_its_lengths_do_not_agree() {
        for header in [
            v2_header(0x21, 0x11, &V4[..11]),
            v2_header(0x21, 0x21, &V4),
            v2_header(0x21, 0x11, &[&V4[..], &[0x02, 0]].concat()),
            v2_header(0x21, 0x11, &[&V4[..], &[0x02, 0, 9, 1]].concat()),
            v2_header(0x22, 0x11, &V4),
            v2_header(0x11, 0x11, &V4),
        ] {
            assert!(matches!(parse(&header), Err(Fault::Malformed(_))));
        }
        let mut long = v2_header(0x21, 0x11, &V4);
        long[14] = 0xff;
        assert_eq!(parse(&long), Err(Fault::TooLong));
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for (source, destination) in [
            ("192.0.2.7:8080", "198.51.100.1:443"),
            ("[2001:db8::7]:8080", "[2001:db8::1]:443"),
            ("[2001:db8::7]:1", "[::ffff:198.51.100.1]:2"),
        ] {
            let said = proxied_from(source, destination);
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let wanted = Wanted {
                authority: Some(b"hub.example"),
                unique_id: Some(b"0123456789abcdef"),
                checksum: true,
                ..Wanted::default()
            };
            let plain = write_v2(source, destination, Wanted::default());
            let full = write_v2(source, destination, wanted);
            assert!(full.len() == plain.len() + (3 + 11) + (3 + 16) + (3 + 4));
            for header in [write_v1(source, destination), plain, full] {
                assert!(matches!(
                    parse(&header),
                    Ok(Verdict::Complete(size, found, _)) if (size, found) == (header.len(), said)
                ));
            }
        }
    }

    #[test]
    fn what_clients_send_is_no_header() {
        for bytes in [
            b"GET / HTTP/1.1\r\n".as_slice(),
            b"PROPFIND / HTTP/1.1\r\n",
            b"PROXY/1",
            b"\x16\x03\x01",
            b"\r\n\r\nGET /",
        ] {
            assert_eq!(parse(bytes), Ok(Verdict::Absent));
        }
        for bytes in [b"".as_slice(), b"P", b"PROXY", b"\r\n\r\n"] {
            assert_eq!(parse(bytes), Ok(Verdict::Partial));
        }
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_what_has_not_come_yet(
            header in prop_oneof![
                Just(b"PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\nrest".to_vec()),
                Just([v2_header(0x21, 0x11, &V4), b"rest".to_vec()].concat()),
                proptest::collection::vec(any::<u8>(), 0..60).prop_map(|values| {
                    let block = [&V4[..], &[0x20, 0, 30, 1, 0, 0, 0, 0], &values].concat();
                    [v2_header(0x21, 0x11, &block), b"rest".to_vec()].concat()
                }),
                proptest::collection::vec(any::<u8>(), 0..64),
                proptest::collection::vec(any::<u8>(), 0..64)
                    .prop_map(|tail| [V2_SIGNATURE.as_slice(), &tail].concat()),
                "PROXY [ TCP46UNKNOWN.:0-9]{0,60}\r\n".prop_map(String::into_bytes),
            ],
        ) {
            let whole = parse(&header);
            for cut in 0..header.len() {
                match parse(&header[..cut]) {
                    Ok(Verdict::Partial) => {}
                    early => prop_assert_eq!(&early, &whole),
                }
            }
        }
    }
}
