//! DNS messages (RFC 1035 section 4): one question, and the records of its answer.
//!
//! Pure. Whatever a server sends, reading it ends, allocates no more than the message is long times a small factor, and
//! gives no name that a configuration could not have. Additional records are not looked at.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::types::dns_name::DnsName;

/// Bytes of a name on the wire (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 255;
const HEADER: usize = 12;
const CNAME: u16 = 5;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
    /// Services (RFC 2782).
    Srv,
    /// Who may issue certificates (RFC 8659).
    Caa,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
            Self::Caa => 257,
        }
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An address.
    Address(IpAddr),
    /// A service: priority, weight, port, target; no target where the service is not to be had.
    Service(u16, u16, u16, Option<DnsName>),
    /// Bytes, for whoever asked.
    Raw(Vec<u8>),
}

/// What came for a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It did not fit: to be asked for by TCP.
    Truncated,
    /// The records asked for, for so long; none when there are none, or no such name.
    Records(Vec<Data>, Option<Duration>),
    /// Another name stands for the one asked for, for so long, and its records are not there.
    Alias(DnsName, Duration),
    /// The server cannot or will not say: its code (RFC 1035 section 4.1.1).
    Refused(u8),
}

/// One question for the records of a name, recursion wanted; `None` when it is no name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(HEADER + name.len() + 6);
    out.extend(id.to_be_bytes());
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok();
        out.push(length.filter(|length| (1..64).contains(length))?);
        out.extend(label.as_bytes());
    }
    out.push(0);
    if out.len() > HEADER + LONGEST_NAME {
        return None;
    }
    out.extend(kind.code().to_be_bytes());
    out.extend([0, 1]);
    Some(out)
}

/// What `message` says to `question`; `None` when it is not an answer to it, or damaged.
pub(super) fn reply(message: &[u8], question: &[u8], kind: Kind) -> Option<Reply> {
    let header = message.first_chunk::<HEADER>()?;
    let is_answer = header[2] & 0xf8 == 0x80; // a response to a plain query
    if !is_answer || header[..2] != question[..2] {
        return None;
    }
    let asked = message.get(HEADER..question.len())?;
    // Names are the same in any case; the other bytes cannot be taken for letters.
    if !asked.eq_ignore_ascii_case(question.get(HEADER..)?) {
        return None;
    }
    match header[3] & 15 {
        _ if header[2] & 2 != 0 => return Some(Reply::Truncated),
        0 => {}
        3 => return Some(Reply::Records(Vec::new(), None)),
        code => return Some(Reply::Refused(code)),
    }
    let count = number(message, 6)?;
    let (mut found, mut ttl, mut alias) = (Vec::new(), None::<Duration>, None);
    let mut at = question.len();
    for _ in 0..count {
        at = after_name(message, at)?;
        let (is, class, seconds) = (number(message, at)?, number(message, at + 2)?, at + 4);
        let data = at + 10..at + 10 + usize::from(number(message, at + 8)?);
        message.get(data.clone())?;
        at = data.end;
        if class != 1 || (is != CNAME && is != kind.code()) {
            continue;
        }
        let seconds = u32::from_be_bytes(*message.get(seconds..)?.first_chunk()?);
        // The highest bit set is no time at all (RFC 2181 section 8).
        let holds =
            Duration::from_secs(i32::try_from(seconds).map_or(0, i32::cast_unsigned).into());
        ttl = Some(ttl.map_or(holds, |ttl| ttl.min(holds)));
        match is {
            CNAME => alias = Some(name(message, data.start)?),
            _ => found.push(self::data(message, data, kind)?),
        }
    }
    Some(match alias {
        Some(alias) if found.is_empty() => {
            Reply::Alias(DnsName::parse(&alias).ok()?, ttl.unwrap_or_default())
        }
        _ => Reply::Records(found, ttl),
    })
}

fn data(message: &[u8], place: std::ops::Range<usize>, kind: Kind) -> Option<Data> {
    let bytes = message.get(place.clone())?;
    Some(match kind {
        Kind::A => Data::Address(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        Kind::Aaaa => Data::Address(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        Kind::Srv => {
            let field = |at: usize| number(message, place.start + at);
            let target = name(message, place.start + 6)?;
            let target = match &*target {
                "" => None,
                // Whole names, whatever they look like.
                name => Some(DnsName::parse(&format!("{name}.")).ok()?),
            };
            Data::Service(field(0)?, field(2)?, field(4)?, target)
        }
        Kind::Caa => Data::Raw(bytes.to_vec()),
    })
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?))
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

/// The name that begins at `at`, through pointers, each of which leads further back.
fn name(message: &[u8], mut at: usize) -> Option<String> {
    let mut out = String::new();
    let mut before = at;
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some(out),
            1..64 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                let label = str::from_utf8(label).ok()?;
                // A dot within a label would make another name of it.
                if label.contains('.') || out.len() + label.len() > LONGEST_NAME {
                    return None;
                }
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(label);
                at += usize::from(length) + 1;
            }
            0xc0.. => {
                at = usize::from(number(message, at)? & 0x3fff);
                if at >= before {
                    return None;
                }
                before = at;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer to `question` with these records after it: kind, time, data.
    fn answer(question: &[u8], flags: [u8; 2], records: &[(u16, u32, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (kind, ttl, data) in records {
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1]);
            message.extend(ttl.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    fn asked(kind: Kind, flags: [u8; 2], records: &[(u16, u32, &[u8])]) -> Option<Reply> {
        let question = question(7, "a.test", kind).unwrap();
        reply(&answer(&question, flags, records), &question, kind)
    }

    const FINE: [u8; 2] = [0x81, 0x80];

    #[test]
    fn addresses_are_read_with_the_shortest_time() {
        let seen = asked(
            Kind::A,
            FINE,
            &[
                (1, 30, &[192, 0, 2, 1]),
                (1, 9, &[192, 0, 2, 2]),
                (28, 1, &[0; 16]),
            ],
        );
        let address = |last| Data::Address(IpAddr::from([192, 0, 2, last]));
        let all = vec![address(1), address(2)];
        assert_eq!(
            seen,
            Some(Reply::Records(all, Some(Duration::from_secs(9))))
        );
        let none = Reply::Records(Vec::new(), None);
        assert_eq!(asked(Kind::Aaaa, FINE, &[]), Some(none.clone()));
        assert_eq!(
            asked(Kind::A, [0x81, 0x83], &[]),
            Some(none),
            "no such name"
        );
    }

    #[test]
    fn a_time_with_the_highest_bit_set_is_none_at_all() {
        for (ttl, secs) in [(1 << 31, 0), (u32::MAX, 0), ((1 << 31) - 1, (1 << 31) - 1)] {
            let seen = asked(Kind::A, FINE, &[(1, ttl, &[192, 0, 2, 1])]);
            let Some(Reply::Records(_, holds)) = seen else {
                panic!()
            };
            assert_eq!(holds, Some(Duration::from_secs(secs)));
        }
    }

    #[test]
    fn what_is_cut_refused_or_an_answer_to_something_else_is_told_apart() {
        assert_eq!(asked(Kind::A, [0x83, 0x80], &[]), Some(Reply::Truncated));
        assert_eq!(asked(Kind::A, [0x81, 0x82], &[]), Some(Reply::Refused(2)));
        assert_eq!(asked(Kind::A, [0x01, 0x80], &[]), None, "a question");
        let question = question(7, "a.test", Kind::A).unwrap();
        let other = super::question(8, "a.test", Kind::A).unwrap();
        assert_eq!(reply(&answer(&other, FINE, &[]), &question, Kind::A), None);
        let other = super::question(7, "b.test", Kind::A).unwrap();
        assert_eq!(reply(&answer(&other, FINE, &[]), &question, Kind::A), None);
        let upper = super::question(7, "A.tESt", Kind::A).unwrap();
        assert!(reply(&answer(&upper, FINE, &[]), &question, Kind::A).is_some());
    }

    #[test]
    fn an_alias_counts_for_the_time_and_is_told_when_its_records_are_missing() {
        let alias: (u16, u32, &[u8]) = (CNAME, 4, b"\x01b\xc0\x0e");
        let seen = asked(Kind::A, FINE, &[alias, (1, 30, &[192, 0, 2, 1])]);
        let Some(Reply::Records(found, Some(holds))) = seen else {
            panic!()
        };
        assert_eq!((found.len(), holds.as_secs()), (1, 4));
        let seen = asked(Kind::A, FINE, &[alias]);
        let name = DnsName::parse("b.test").unwrap();
        assert_eq!(seen, Some(Reply::Alias(name, Duration::from_secs(4))));
    }

    #[test]
    fn a_service_is_read_and_a_target_of_nothing_is_none() {
        let service = asked(
            Kind::Srv,
            FINE,
            &[(33, 5, b"\0\x01\0\x02\x1f\x90\x01n\xc0\x0c")],
        );
        let target = DnsName::parse("n.a.test.").unwrap();
        let expected = Data::Service(1, 2, 8080, Some(target));
        let holds = Some(Duration::from_secs(5));
        assert_eq!(service, Some(Reply::Records(vec![expected], holds)));
        let none = asked(Kind::Srv, FINE, &[(33, 5, b"\0\0\0\0\0\0\0")]);
        let Some(Reply::Records(found, _)) = none else {
            panic!()
        };
        assert_eq!(found, [Data::Service(0, 0, 0, None)]);
    }

    #[test]
    fn pointers_that_go_in_a_circle_and_names_that_lie_are_refused() {
        let own_place = (HEADER + 8 + 4 + 12 + 6) as u8;
        for target in [
            &[0xc0, own_place][..],
            b"\x03a.b\0",
            b"\x02\xff\xfe\0",
            b"\x7fx",
            b"\x05ab",
        ] {
            let data = [b"\0\x01\0\x02\x1f\x90".as_slice(), target].concat();
            assert_eq!(
                asked(Kind::Srv, FINE, &[(33, 5, &data)]),
                None,
                "{target:?}"
            );
        }
        assert_eq!(asked(Kind::A, FINE, &[(1, 5, &[1, 2, 3])]), None);
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(bytes: Vec<u8>, kind in 0..4_usize) {
            let kind = [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Caa][kind];
            let question = question(7, "a.test", kind).unwrap();
            let mut message = answer(&question, FINE, &[]);
            message[6] = 1;
            message.extend(&bytes);
            drop(reply(&message, &question, kind));
            drop(reply(&bytes, &question, kind));
        }

        #[test]
        fn a_damaged_answer_is_read_or_refused(at in 0..90_usize, to: u8) {
            let question = question(7, "a.test", Kind::Srv).unwrap();
            let record: (u16, u32, &[u8]) = (33, 5, b"\0\x01\0\x02\x1f\x90\x01n\xc0\x0c");
            let mut message = answer(&question, FINE, &[record, record]);
            if let Some(byte) = message.get_mut(at) {
                *byte = to;
            }
            drop(reply(&message, &question, Kind::Srv));
        }
    }
}
