//! DNS messages (RFC 1035 section 4): one question, and the records of its answer.
//!
//! Pure. `domain` reads and writes the bytes; what of an answer counts is decided here: it belongs to the question, and
//! gives no name that a configuration could not have. One damaged record makes all of it useless. Additional records are
//! not looked at.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;
use std::time::Duration;

use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::message_builder::MessageBuilder;
use domain::base::record::{ParsedRecord, Record};
use domain::base::{Message, Name, ParseRecordData, ParsedName, Rtype};
use domain::rdata::{A, Aaaa, Caa, Cname, Srv};

use crate::types::dns_name::DnsName;

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
    fn code(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
            Self::Srv => Rtype::SRV,
            Self::Caa => Rtype::CAA,
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
    /// Who may issue certificates: flags, tag in lower case, value.
    Issue(u8, String, String),
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
    let name = Name::vec_from_str(name).ok()?;
    if name.is_root() {
        return None;
    }
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((name, kind.code())).ok()?;
    Some(message.finish())
}

/// What `message` says to `question`; `None` when it is not an answer to it, or damaged.
pub(super) fn reply(message: &[u8], question: &[u8], kind: Kind) -> Option<Reply> {
    let question = Message::from_octets(question).ok()?;
    let message = Message::from_octets(message).ok()?;
    let header = message.header();
    if header.opcode() != Opcode::QUERY || !message.is_answer(&question) {
        return None;
    }
    match header.rcode() {
        _ if header.tc() => return Some(Reply::Truncated),
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Some(Reply::Records(Vec::new(), None)),
        code => return Some(Reply::Refused(code.to_int())),
    }
    let (mut found, mut ttl, mut alias) = (Vec::new(), None::<Duration>, None);
    for record in message.answer().ok()? {
        let record = record.ok()?;
        let is = record.rtype();
        if record.class() != Class::IN || (is != Rtype::CNAME && is != kind.code()) {
            continue;
        }
        // The highest bit set is no time at all (RFC 2181 section 8).
        let seconds = i32::try_from(record.ttl().as_secs()).map_or(0, i32::cast_unsigned);
        let holds = Duration::from_secs(seconds.into());
        ttl = Some(ttl.map_or(holds, |ttl| ttl.min(holds)));
        if is == Rtype::CNAME {
            let name = read::<Cname<_>>(record)?.into_cname();
            alias = Some(DnsName::parse(&name.to_string()).ok()?);
        } else {
            found.push(data(record, kind)?);
        }
    }
    Some(match alias {
        Some(alias) if found.is_empty() => Reply::Alias(alias, ttl.unwrap_or_default()),
        _ => Reply::Records(found, ttl),
    })
}

type Bytes<'a> = &'a [u8];

fn data(record: ParsedRecord<'_, Bytes<'_>>, kind: Kind) -> Option<Data> {
    Some(match kind {
        Kind::A => Data::Address(read::<A>(record)?.addr().into()),
        Kind::Aaaa => Data::Address(read::<Aaaa>(record)?.addr().into()),
        Kind::Srv => {
            let srv = read::<Srv<ParsedName<_>>>(record)?;
            let target = match srv.target().is_root() {
                true => None,
                // Whole names, whatever they look like.
                false => Some(DnsName::parse(&format!("{}.", srv.target())).ok()?),
            };
            Data::Service(srv.priority(), srv.weight(), srv.port(), target)
        }
        Kind::Caa => {
            let caa = read::<Caa<_>>(record)?;
            let value = String::from_utf8_lossy(caa.value());
            Data::Issue(
                caa.flags().bits(),
                caa.tag().to_string().to_ascii_lowercase(),
                value.into_owned(),
            )
        }
    })
}

fn read<'a, D>(record: ParsedRecord<'a, Bytes<'a>>) -> Option<D>
where
    D: ParseRecordData<'a, Bytes<'a>>,
{
    record.into_record().ok()?.map(Record::into_data)
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
    fn a_question_is_as_rfc_1035_has_it_and_what_is_no_name_is_not_asked_for() {
        let asked = question(0x1234, "Hub.Test", Kind::Srv).unwrap();
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03Hub\x04Test\0\0\x21\0\x01";
        assert_eq!(asked, expected);
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert!(question(7, &longest, Kind::A).is_some());
        for name in ["", ".", "a..b", &"a".repeat(64), &format!("{longest}a")] {
            assert_eq!(question(7, name, Kind::A), None, "{name:?}");
        }
    }

    #[test]
    fn who_may_issue_is_read_with_flags_and_a_tag_in_lower_case() {
        let seen = asked(Kind::Caa, FINE, &[(257, 5, b"\x80\x05isSueca.test; x=y")]);
        let issue = Data::Issue(0x80, "issue".to_owned(), "ca.test; x=y".to_owned());
        let holds = Some(Duration::from_secs(5));
        assert_eq!(seen, Some(Reply::Records(vec![issue], holds)));
    }

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
        let alias: (u16, u32, &[u8]) = (5, 4, b"\x01b\xc0\x0e");
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
        let own_place = 12 + 8 + 4 + 12 + 6; // the header, the question, the record up to its target
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
