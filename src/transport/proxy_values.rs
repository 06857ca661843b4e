//! The values behind the addresses of a PROXY header, version 2 (section 2.2 of HAProxy's proxy-protocol.txt): checked,
//! found and written.
//!
//! Pure. They are kept as they came, at most a header long, and looked through when one is asked for. Invariant: what
//! [`Values::checked`] let through has whole values, and whole ones inside that about TLS.
#![deny(clippy::disallowed_methods)]

use super::proxy_protocol::Fault;

/// The protocol inside, as TLS names it (section 2.2.1).
pub const ALPN: u8 = 0x01;
/// The name that the client asked for (section 2.2.2).
pub const AUTHORITY: u8 = 0x02;
/// A checksum over the whole header (section 2.2.3).
const CRC32C: u8 = 0x03;
/// An id of the connection (section 2.2.5).
pub const UNIQUE_ID: u8 = 0x05;
/// What is known of the client's TLS (section 2.2.6).
pub const TLS: u8 = 0x20;
/// Inside that: the version, as text.
pub const TLS_VERSION: u8 = 0x21;
/// Inside that: the common name of the client's certificate.
pub const TLS_CN: u8 = 0x22;
/// Inside that: the cipher suite.
pub const TLS_CIPHER: u8 = 0x23;
/// Inside that: what the server's certificate is signed with.
pub const TLS_SIGNATURE: u8 = 0x24;
/// Inside that: what its key is.
pub const TLS_KEY: u8 = 0x25;
/// The namespace of the connection (section 2.2.7).
pub const NAMESPACE: u8 = 0x30;

/// Of a name.
const AUTHORITY_LONGEST: usize = 255;
/// Of an id.
const UNIQUE_ID_LONGEST: usize = 128;
/// Kind and length.
const HEAD: usize = 3;
/// What the value about TLS has before those inside it: what there was, and whether the certificate is good.
const TLS_HEAD: usize = 5;
/// What there was: TLS, a certificate in this connection, one in its session.
const CLIENT_SPEAKS_TLS: u8 = 0x01;
const CERTIFICATE_IN_CONNECTION: u8 = 0x02;
const CERTIFICATE_IN_SESSION: u8 = 0x04;

/// The values of one header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Box<[u8]>);

impl Values {
    /// Those that begin at `from` in a whole header, each of a length it may have, with the right checksum where there is one.
    pub(super) fn checked(header: &[u8], from: usize) -> Result<Self, Fault> {
        let mut at = from;
        while at < header.len() {
            let (kind, value) = first(&header[at..]).ok_or(Fault::Malformed("a cut value"))?;
            let begin = at + HEAD;
            at = begin + value.len();
            match kind {
                CRC32C => check_sum(header, begin, value)?,
                AUTHORITY if value.len() > AUTHORITY_LONGEST => {
                    return Err(Fault::Malformed("a name of more than 255 bytes"));
                }
                UNIQUE_ID if value.len() > UNIQUE_ID_LONGEST => {
                    return Err(Fault::Malformed("an id of more than 128 bytes"));
                }
                TLS => check_tls(value)?,
                _ => {}
            }
        }
        Ok(Self(header[from..].into()))
    }

    /// The first value of this kind; an empty one is none.
    pub fn get(&self, kind: u8) -> Option<&[u8]> {
        find(&self.0, kind)
    }

    /// The first of this kind inside the value about TLS.
    pub fn of_tls(&self, kind: u8) -> Option<&[u8]> {
        find(self.get(TLS)?.get(TLS_HEAD..)?, kind)
    }

    /// What came of the check of the client's certificate, when there was TLS: 0 for a certificate that is good.
    pub fn tls_verify(&self) -> Option<u32> {
        let head: &[u8; TLS_HEAD] = self.get(TLS)?.first_chunk()?;
        let [_, verify @ ..] = *head;
        Some(u32::from_be_bytes(verify))
    }
}

/// TLS that ended here, as the next one is told of it (section 2.2.6).
#[derive(Clone, Copy, Debug)]
pub struct EndedTls<'a> {
    /// `TLSv1.3`
    pub version: &'a str,
    /// The suite, by OpenSSL's name; empty when it is not known.
    pub cipher: &'a str,
    /// Whether the client has shown a certificate.
    pub certificate: bool,
    /// Whom that names.
    pub common_name: Option<&'a str>,
    /// Whether it is believed.
    pub believed: bool,
    /// Whether the session is an earlier connection's, in which the certificate was shown.
    pub resumed: bool,
}

impl EndedTls<'_> {
    /// For [`Wanted::tls`]. A name that is longer than one may be is left out.
    pub fn value(&self) -> Vec<u8> {
        let mut client = CLIENT_SPEAKS_TLS;
        if self.certificate {
            client |= CERTIFICATE_IN_SESSION;
            if !self.resumed {
                client |= CERTIFICATE_IN_CONNECTION;
            }
        }
        let verify = u32::from(!(self.certificate && self.believed));
        let mut value = vec![client];
        value.extend(verify.to_be_bytes());
        let name = self.common_name.unwrap_or_default();
        for (kind, text) in [
            (TLS_VERSION, self.version),
            (TLS_CN, name),
            (TLS_CIPHER, self.cipher),
        ] {
            let length = u8::try_from(text.len()).unwrap_or_default();
            if length > 0 {
                value.extend([kind, 0, length]);
                value.extend(text.as_bytes());
            }
        }
        value
    }
}

/// What version 2 of a header is to say beside the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The protocol inside.
    pub alpn: Option<&'a [u8]>,
    /// The name that the client asked for, of 255 bytes at most.
    pub authority: Option<&'a [u8]>,
    /// What is known of the client's TLS, as it came.
    pub tls: Option<&'a [u8]>,
    /// An id of the connection, of 128 bytes at most.
    pub unique_id: Option<&'a [u8]>,
    /// Whether there is a checksum.
    pub checksum: bool,
}

impl Wanted<'_> {
    /// Appends them to a header; the checksum last, without its value yet.
    pub(super) fn append(&self, header: &mut Vec<u8>) {
        let values = [
            (ALPN, self.alpn),
            (AUTHORITY, self.authority),
            (TLS, self.tls),
            (UNIQUE_ID, self.unique_id),
            (CRC32C, self.checksum.then_some(&[0; 4][..])),
        ];
        for (kind, value) in values {
            let Some(value) = value else { continue };
            // What came in a header fits into one.
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            header.push(kind);
            header.extend(length.to_be_bytes());
            header.extend(&value[..usize::from(length)]);
        }
    }

    /// Puts the checksum in, once the header is whole otherwise.
    pub(super) fn seal(&self, header: &mut [u8]) {
        if self.checksum {
            let sum = crc32c(header.iter().copied()).to_be_bytes();
            let at = header.len() - sum.len();
            header[at..].copy_from_slice(&sum);
        }
    }
}

/// The first value with its kind; `None` when it is cut.
fn first(values: &[u8]) -> Option<(u8, &[u8])> {
    let &[kind, high, low] = values.first_chunk::<HEAD>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    Some((kind, values.get(HEAD..HEAD + length)?))
}

fn find(mut values: &[u8], wanted: u8) -> Option<&[u8]> {
    while let Some((kind, value)) = first(values) {
        if kind == wanted {
            return Some(value).filter(|value| !value.is_empty());
        }
        values = &values[HEAD + value.len()..];
    }
    None
}

fn check_tls(value: &[u8]) -> Result<(), Fault> {
    const CUT: Fault = Fault::Malformed("a cut value about TLS");
    let mut inside = value.get(TLS_HEAD..).ok_or(CUT)?;
    while !inside.is_empty() {
        let (_, one) = first(inside).ok_or(CUT)?;
        inside = &inside[HEAD + one.len()..];
    }
    Ok(())
}

fn check_sum(header: &[u8], begin: usize, value: &[u8]) -> Result<(), Fault> {
    let expected: [u8; 4] = value
        .try_into()
        .map_err(|_| Fault::Malformed("a checksum of another size"))?;
    let end = begin + value.len();
    let zeroed = [&header[..begin], &[0; 4], &header[end..]];
    let sum = crc32c(zeroed.iter().flat_map(|part| part.iter().copied()));
    match sum == u32::from_be_bytes(expected) {
        true => Ok(()),
        false => Err(Fault::Malformed("a wrong checksum")),
    }
}

/// Castagnoli's (RFC 3720 appendix B.4), bit by bit: headers are short and checksums in them rare.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let register = bytes.fold(u32::MAX, |register, byte| {
        (0..8).fold(register ^ u32::from(byte), |bits, _| {
            (bits >> 1) ^ (0x82f6_3b78 & (bits & 1).wrapping_neg())
        })
    });
    !register
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind][..], &length, value].concat()
    }

    fn tls(verify: u32, inside: &[Vec<u8>]) -> Vec<u8> {
        let head = [&[7][..], &verify.to_be_bytes()].concat();
        one(TLS, &[head, inside.concat()].concat())
    }

    #[test]
    fn every_value_is_found_and_those_inside_that_about_tls() {
        let inside = [
            one(TLS_VERSION, b"TLSv1.3"),
            one(TLS_CN, "jürgen".as_bytes()),
            one(TLS_CIPHER, b"TLS_AES_256_GCM_SHA384"),
        ];
        let all = [
            one(0xea, b"\x01vpce-1"),
            one(ALPN, b"h2"),
            one(AUTHORITY, b"hub.example"),
            one(AUTHORITY, b"other.example"),
            one(0x04, &[0; 9]),
            tls(19, &inside),
            one(UNIQUE_ID, b"id"),
            one(NAMESPACE, b""),
        ];
        let values = Values::checked(&all.concat(), 0).unwrap();
        assert_eq!(values.get(ALPN), Some(&b"h2"[..]));
        assert_eq!(values.get(AUTHORITY), Some(&b"hub.example"[..]));
        assert_eq!(values.get(0xea), Some(&b"\x01vpce-1"[..]));
        assert_eq!(values.get(UNIQUE_ID), Some(&b"id"[..]));
        assert_eq!((values.get(NAMESPACE), values.get(0x77)), (None, None));
        assert_eq!(values.of_tls(TLS_VERSION), Some(&b"TLSv1.3"[..]));
        assert_eq!(values.of_tls(TLS_CN), Some("jürgen".as_bytes()));
        assert_eq!(values.of_tls(TLS_KEY), None);
        assert_eq!(values.tls_verify(), Some(19));
        let none = Values::default();
        assert_eq!((none.tls_verify(), none.of_tls(TLS_CN)), (None, None));
    }

    #[test]
    fn tls_that_ended_here_is_told_as_it_is_read() {
        let plain = EndedTls {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            certificate: false,
            common_name: None,
            believed: false,
            resumed: true,
        };
        let shown = EndedTls {
            certificate: true,
            common_name: Some("alice"),
            believed: true,
            resumed: false,
            ..plain
        };
        let resumed = EndedTls {
            resumed: true,
            ..shown
        };
        let endless = "a".repeat(256);
        let unnamed = EndedTls {
            common_name: Some(&endless),
            ..shown
        };
        for (ended, client, verify, name) in [
            (plain, 1, 1, None),
            (shown, 7, 0, Some(&b"alice"[..])),
            (resumed, 5, 0, Some(&b"alice"[..])),
            (unnamed, 7, 0, None),
        ] {
            let value = ended.value();
            assert_eq!(value[0], client);
            let values = Values::checked(&one(TLS, &value), 0).unwrap();
            assert_eq!(values.tls_verify(), Some(verify));
            assert_eq!(values.of_tls(TLS_VERSION), Some(&b"TLSv1.3"[..]));
            let cipher = values.of_tls(TLS_CIPHER);
            assert_eq!(cipher, Some(&b"TLS_AES_128_GCM_SHA256"[..]));
            assert_eq!(values.of_tls(TLS_CN), name);
        }
    }

    #[test]
    fn cut_values_too_long_ones_and_cut_ones_about_tls_are_refused() {
        for faulty in [
            vec![ALPN],
            vec![ALPN, 0, 2, b'h'],
            one(AUTHORITY, &[b'a'; 256]),
            one(UNIQUE_ID, &[b'a'; 129]),
            one(TLS, &[1, 0, 0, 0]),
            one(TLS, &[1, 0, 0, 0, 0, TLS_CN, 0, 9, b'a']),
            one(TLS, &[1, 0, 0, 0, 0, TLS_CN]),
            one(CRC32C, &[0; 3]),
        ] {
            let refused = Values::checked(&faulty, 0);
            assert!(matches!(refused, Err(Fault::Malformed(_))), "{faulty:?}");
        }
        Values::checked(&one(AUTHORITY, &[b'a'; 255]), 0).unwrap();
        Values::checked(&one(UNIQUE_ID, &[b'a'; 128]), 0).unwrap();
    }

    #[test]
    fn a_checksum_has_to_be_right() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
        let mut header = [&b"anything"[..], &one(CRC32C, &[0; 4])].concat();
        let wanted = Wanted {
            checksum: true,
            ..Wanted::default()
        };
        wanted.seal(&mut header);
        Values::checked(&header, 8).unwrap();
        header[0] ^= 1;
        let refused = Values::checked(&header, 8);
        assert_eq!(refused, Err(Fault::Malformed("a wrong checksum")));
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..20);
        let kind = prop_oneof![any::<u8>(), Just(TLS), Just(ALPN), Just(CRC32C)];
        (kind, bytes).prop_map(|(kind, bytes)| one(kind, &bytes))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            alpn in "[a-z0-9/.]{1,20}",
            authority in ".{1,60}",
            unique_id in "[!-~]{1,128}",
            verify: u32,
            cn in ".{1,60}",
            checksum: bool,
        ) {
            let about = tls(verify, &[one(TLS_CN, cn.as_bytes())]);
            let wanted = Wanted {
                alpn: Some(alpn.as_bytes()),
                authority: Some(authority.as_bytes()),
                tls: Some(&about[HEAD..]),
                unique_id: Some(unique_id.as_bytes()),
                checksum,
            };
            let mut header = b"addresses".to_vec();
            wanted.append(&mut header);
            wanted.seal(&mut header);
            let values = Values::checked(&header, 9).unwrap();
            prop_assert_eq!(values.get(ALPN), wanted.alpn);
            prop_assert_eq!(values.get(AUTHORITY), wanted.authority);
            prop_assert_eq!(values.get(TLS), wanted.tls);
            prop_assert_eq!(values.get(UNIQUE_ID), wanted.unique_id);
            prop_assert_eq!(values.tls_verify(), Some(verify));
            prop_assert_eq!(values.of_tls(TLS_CN), Some(cn.as_bytes()));
        }

        #[test]
        fn any_bytes_are_refused_or_every_value_can_be_asked_for(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..80),
                proptest::collection::vec(value(), 0..6).prop_map(|all| all.concat()),
            ],
        ) {
            if let Ok(values) = Values::checked(&bytes, 0) {
                for kind in 0..=u8::MAX {
                    let found = values.get(kind);
                    prop_assert!(found.is_none_or(|found| !found.is_empty() && found.len() <= bytes.len()));
                    prop_assert!(values.of_tls(kind).is_none() || values.tls_verify().is_some());
                }
            }
        }
    }
}
