//! What a TLS ClientHello asks for (RFC 8446 section 4.1.2, RFC 6066 section 3), for passing connections on unopened.
//!
//! Pure: the first bytes of a connection in, a verdict out. Any TLS version's hello is understood, in any segmentation and
//! over any number of records; values of extensions nobody here asks for (GREASE, ECH) are skipped, so that of an encrypted
//! hello the outer name counts. Invariants: the verdict does not depend on how the bytes were cut, and at most [`LONGEST`]
//! of them are asked for.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;

use crate::stream::Hello;

/// The most of a connection's beginning that is looked at. Hellos with post-quantum keys have about 1,800 bytes.
pub const LONGEST: usize = 16 * 1024;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
/// RFC 7301 section 3.1.
const ALPN: u16 = 16;
/// RFC 8446 section 4.2.1.
const SUPPORTED_VERSIONS: u16 = 43;
const HOST_NAME: u8 = 0;
/// The largest plaintext record (RFC 8446 section 5.1).
const LARGEST_RECORD: usize = 16 * 1024;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The beginning of a hello, perhaps.
    Partial,
    /// A whole hello.
    Hello(Hello),
}

/// Why these bytes are no hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The connection does not begin with a handshake record.
    #[error("this is not TLS")]
    NotTls,
    /// The hello's lengths do not agree, or it is none.
    #[error("the ClientHello is malformed")]
    Malformed,
    /// It does not end within [`LONGEST`].
    #[error("the ClientHello is longer than {LONGEST} bytes")]
    TooLong,
}

/// Looks at the first bytes of a connection; more of them can be given again after [`Verdict::Partial`].
pub fn parse(bytes: &[u8]) -> Result<Verdict, Fault> {
    let seen = &bytes[..bytes.len().min(LONGEST)];
    let message = handshake(seen)?;
    let Some(&[kind, a, b, c]) = message.first_chunk::<4>() else {
        return partial(seen);
    };
    if kind != CLIENT_HELLO {
        return Err(Fault::Malformed);
    }
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > LONGEST {
        return Err(Fault::TooLong);
    }
    match message.get(4..4 + length) {
        Some(hello) => said(hello).map(Verdict::Hello).ok_or(Fault::Malformed),
        None => partial(seen),
    }
}

fn partial(seen: &[u8]) -> Result<Verdict, Fault> {
    match seen.len() < LONGEST {
        true => Ok(Verdict::Partial),
        false => Err(Fault::TooLong),
    }
}

/// What handshake records carry, as far as it has come: borrowed when it is all in one.
fn handshake(mut bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let mut message = Cow::Borrowed(&[][..]);
    loop {
        let is_record = [
            bytes.first().is_none_or(|kind| *kind == HANDSHAKE_RECORD),
            bytes.get(1).is_none_or(|major| *major == 3),
        ];
        if is_record.contains(&false) {
            // The first bytes say what the connection is; later ones belong to a message that was begun.
            return Err(match message.is_empty() {
                true => Fault::NotTls,
                false => Fault::Malformed,
            });
        }
        let Some((&[_, _, _, high, low], rest)) = bytes.split_first_chunk::<5>() else {
            return Ok(message);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > LARGEST_RECORD {
            return Err(Fault::Malformed);
        }
        let come = &rest[..length.min(rest.len())];
        if message.is_empty() {
            message = Cow::Borrowed(come);
        } else {
            message.to_mut().extend_from_slice(come);
        }
        // One that is too long is so whatever follows.
        let known = message.first_chunk::<4>().is_some_and(|&[_, a, b, c]| {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            message.len() >= 4 + length || length > LONGEST
        });
        if known || come.len() < length {
            return Ok(message);
        }
        bytes = &rest[length..];
    }
}

/// What a whole hello says; `None` when its lengths do not agree.
fn said(hello: &[u8]) -> Option<Hello> {
    let mut hello = Fields(hello);
    let mut said = Hello {
        version: hello.number()?,
        ..Hello::default()
    };
    hello.take(32)?; // random
    hello.sized_by_one()?; // session id
    hello.sized_by_two()?; // cipher suites
    hello.sized_by_one()?; // compression methods
    if hello.0.is_empty() {
        return Some(said); // before TLS 1.2 there need not be extensions
    }
    let mut extensions = Fields(hello.sized_by_two()?);
    if !hello.0.is_empty() {
        return None;
    }
    let mut named = false;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let value = extensions.sized_by_two()?;
        match kind {
            SERVER_NAME if !named => {
                said.server_name = host_name(value)?.map(Into::into);
                named = true;
            }
            // Nobody is refused for what is only told.
            ALPN => said.alpn = protocols(value).unwrap_or_default().into(),
            SUPPORTED_VERSIONS => said.version = highest(value).max(said.version),
            _ => {}
        }
    }
    Some(said)
}

/// The protocols of a list, with commas between them.
fn protocols(extension: &[u8]) -> Option<String> {
    let mut list = Fields(Fields(extension).sized_by_two()?);
    let mut names: Vec<String> = Vec::new();
    while !list.0.is_empty() {
        names.push(String::from_utf8_lossy(list.sized_by_one()?).into_owned());
    }
    Some(names.join(","))
}

/// The highest version of a list that is one; values of GREASE are none.
fn highest(extension: &[u8]) -> u16 {
    let list = Fields(extension).sized_by_one().unwrap_or_default();
    let versions = list.chunks_exact(2).map(|pair| match pair {
        [3, minor] => 0x0300 | u16::from(*minor),
        _ => 0,
    });
    versions.max().unwrap_or_default()
}

/// The first host name of a list.
fn host_name(extension: &[u8]) -> Option<Option<String>> {
    let mut extension = Fields(extension);
    let mut list = Fields(extension.sized_by_two()?);
    while !list.0.is_empty() {
        let kind = list.take(1)?;
        let value = list.sized_by_two()?;
        if kind == [HOST_NAME] {
            let text = std::str::from_utf8(value).ok();
            return Some(text.map(str::to_ascii_lowercase));
        }
    }
    Some(None)
}

/// What is left of a structure.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let (&bytes, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(bytes))
    }

    fn sized_by_one(&mut self) -> Option<&'a [u8]> {
        let size = self.take(1)?[0];
        self.take(usize::from(size))
    }

    fn sized_by_two(&mut self) -> Option<&'a [u8]> {
        let size = self.number()?;
        self.take(usize::from(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sized(bytes: &[u8]) -> Vec<u8> {
        let mut all = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        all.extend(bytes);
        all
    }

    fn sni(name: &[u8]) -> Vec<u8> {
        let entry = [&[HOST_NAME][..], &sized(name)].concat();
        [&[0, 0][..], &sized(&sized(&entry))].concat()
    }

    fn message(extensions: Option<&[u8]>) -> Vec<u8> {
        let mut hello = vec![3, 3];
        hello.extend([7; 32]);
        hello.push(0);
        hello.extend(sized(&[0x13, 0x01]));
        hello.extend([1, 0]);
        if let Some(extensions) = extensions {
            hello.extend(sized(extensions));
        }
        let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
        [&[CLIENT_HELLO][..], &length[1..], &hello].concat()
    }

    /// In records of at most `size` bytes.
    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let records = message.chunks(size);
        let records = records.map(|part| [&[HANDSHAKE_RECORD, 3, 1][..], &sized(part)].concat());
        records.collect::<Vec<_>>().concat()
    }

    fn of_rustls(name: &str) -> Vec<u8> {
        let config = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut connection =
            rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The name in a hello, an empty one when it has none.
    fn name(bytes: &[u8]) -> String {
        match parse(bytes) {
            Ok(Verdict::Hello(hello)) => hello.server_name.unwrap_or_default().into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_name_of_a_real_client_is_found_with_a_post_quantum_key_in_it() {
        let bytes = of_rustls("Hub.example.org");
        assert!(bytes.len() > 1400, "{} bytes", bytes.len());
        assert_eq!(name(&bytes), "hub.example.org");
        assert_eq!(name(&of_rustls("192.0.2.1")), "");
    }

    #[test]
    fn versions_and_protocols_that_are_offered_are_told_and_grease_is_not() {
        let alpn = [&[0, 16][..], &sized(&sized(b"\x02h2\x08http/1.1"))].concat();
        let versions = [0, 43, 0, 7, 6, 0x7a, 0x7a, 3, 4, 3, 3];
        let told = |extensions: &[u8]| match parse(&records(&message(Some(extensions)), 9)) {
            Ok(Verdict::Hello(hello)) => (hello.alpn.to_string(), hello.version),
            other => panic!("{other:?}"),
        };
        let both = [&alpn[..], &versions].concat();
        assert_eq!(told(&both), ("h2,http/1.1".to_owned(), 0x0304));
        assert_eq!(told(&[]), (String::new(), 0x0303));
        assert_eq!(told(&[0, 16, 0, 3, 0, 9, 9]), (String::new(), 0x0303));
    }

    #[test]
    fn the_name_is_found_over_any_number_of_records() {
        let grease = [0x2a, 0x2a, 0, 1, 0];
        let whole = message(Some(&[&grease[..], &sni(b"hub.test"), &grease].concat()));
        for size in [1, 2, 3, 7, 64, 1000] {
            assert_eq!(name(&records(&whole, size)), "hub.test", "{size}");
        }
    }

    #[test]
    fn a_hello_without_a_name_or_with_one_that_is_no_text_has_none() {
        for extensions in [
            None,
            Some(vec![]),
            Some(vec![0, 43, 0, 1, 0]),
            Some(sni(b"\xff")),
        ] {
            let bytes = records(&message(extensions.as_deref()), 100);
            assert_eq!(name(&bytes), "");
        }
    }

    #[test]
    fn a_hello_that_is_too_long_is_so_whatever_follows() {
        let record = [22, 3, 1, 0, 5, CLIENT_HELLO, 0x20, 0, 0, 3];
        assert_eq!(parse(&record), Err(Fault::TooLong));
        assert_eq!(parse(&[&record[..], b"x"].concat()), Err(Fault::TooLong));
    }

    #[test]
    fn what_is_no_hello_is_told_apart() {
        for bytes in [
            b"GET / HTTP/1.1\r\n".as_slice(),
            b"SSH-2.0",
            b"\x80\x2e\x01\x03\x01",
        ] {
            assert_eq!(parse(bytes), Err(Fault::NotTls));
        }
        let server_hello = [HANDSHAKE_RECORD, 3, 3, 0, 4, 2, 0, 0, 0];
        assert_eq!(parse(&server_hello), Err(Fault::Malformed));
        let mut torn = message(Some(&sni(b"hub.test")));
        let last = torn.len() - 12;
        torn[last] ^= 0x40;
        assert_eq!(parse(&records(&torn, 1000)), Err(Fault::Malformed));
        let mut endless = records(&[CLIENT_HELLO, 0, 0x3f, 0xff], 4);
        while endless.len() < LONGEST {
            endless.extend(records(&[0; 1000], 1000));
        }
        assert_eq!(parse(&endless), Err(Fault::TooLong));
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_what_has_not_come_yet(
            extensions in proptest::collection::vec(any::<u8>(), 0..40),
            named in any::<bool>(),
            size in 1usize..80,
            flip in proptest::option::of((0usize..120, 0u8..8)),
        ) {
            let extensions = if named { sni(b"hub.test") } else { extensions };
            let mut bytes = records(&message(Some(&extensions)), size);
            if let Some((at, bit)) = flip
                && let Some(byte) = bytes.get_mut(at)
            {
                *byte ^= 1 << bit;
            }
            let whole = parse(&bytes);
            for cut in 0..bytes.len() {
                match parse(&bytes[..cut]) {
                    Ok(Verdict::Partial) => {}
                    early => prop_assert_eq!(&early, &whole, "{}", cut),
                }
            }
        }
    }
}
