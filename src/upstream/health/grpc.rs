//! The question and the answer of gRPC's health checks, `grpc.health.v1.Health/Check`.
//!
//! Pure. Two messages of one field each, written and read by hand: a string with the service's name, and a number that says
//! how it is. Unknown fields are passed over, as protobuf asks; whatever comes, reading it ends.
#![deny(clippy::disallowed_methods)]

use http::HeaderMap;

/// What is asked for.
pub const PATH: &str = "/grpc.health.v1.Health/Check";
/// One byte says whether the message is compressed, four how long it is.
const PREFIX: usize = 5;
const SERVING: u64 = 1;

/// The question: how is `service`, or, without a name, the server as a whole?
pub(super) fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(service.len() + 8);
    if !service.is_empty() {
        message.push(0x0a); // field 1, of a length
        write_number(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

/// Whether the answer says that all is well; else what it says. `trailers` are those of the response, or its head when
/// there was nothing else; `body` is what came between.
pub(super) fn judge(service: &str, trailers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let field = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    match field("grpc-status").and_then(|status| status.parse::<u16>().ok()) {
        Some(0) => {}
        Some(5) => return Err(format!("gRPC: it knows no service `{service}`")),
        Some(12) => return Err("gRPC: it has no health service".to_owned()),
        Some(status) => {
            let message: String = field("grpc-message")
                .unwrap_or_default()
                .chars()
                .take(100)
                .collect();
            return Err(format!("gRPC: answered with status {status} {message}")
                .trim_end()
                .to_owned());
        }
        None => return Err("gRPC: the answer has no status".to_owned()),
    }
    match serving(body) {
        Some(SERVING) => Ok(()),
        Some(0) => Err("gRPC: it does not know whether it serves".to_owned()),
        Some(2) => Err("gRPC: it is not serving".to_owned()),
        Some(3) => Err(format!("gRPC: it knows no service `{service}`")),
        Some(other) => Err(format!("gRPC: it is in state {other}")),
        None => Err("gRPC: the answer cannot be read".to_owned()),
    }
}

/// The status in the answer's message; `None` when it is damaged, or compressed, which nobody asked for.
fn serving(body: &[u8]) -> Option<u64> {
    let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if prefix[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let key = number(&mut rest)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = number(&mut rest)?,
            (_, 0) => drop(number(&mut rest)?),
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// A number of seven bits a byte, the lowest first.
fn number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn write_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn trailers(status: &'static str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert("grpc-status", HeaderValue::from_static(status));
        map
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
    }

    #[test]
    fn a_question_is_a_message_with_the_services_name() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = "s".repeat(300);
        assert_eq!(question(&long)[5..8], [0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_serving_is_well() {
        let said = |message: &[u8]| judge("a.B", &trailers("0"), &framed(message));
        assert_eq!(said(&[8, 1]), Ok(()));
        for (message, word) in [
            (&[][..], "does not know"),
            (&[8, 0], "does not know"),
            (&[8, 2], "not serving"),
            (&[8, 3], "no service `a.B`"),
            (&[8, 9], "state 9"),
            (&[8], "cannot be read"),
            (&[0x0b], "cannot be read"),
        ] {
            let told = said(message).unwrap_err();
            assert!(told.contains(word), "{message:?}: {told}");
        }
        // Fields of later versions, of every kind, before and after.
        let later = [
            &[0x12, 1, 7, 0x19][..],
            &[0; 8],
            &[0x25, 0, 0, 0, 0, 8, 1, 0x28, 0x80, 1],
        ]
        .concat();
        assert_eq!(said(&later), Ok(()));
    }

    #[test]
    fn a_status_that_is_not_ok_is_told_in_words() {
        for (status, word) in [
            ("5", "no service `a.B`"),
            ("12", "no health service"),
            ("14", "status 14"),
        ] {
            let told = judge("a.B", &trailers(status), b"").unwrap_err();
            assert!(told.contains(word), "{told}");
        }
        let none = judge("", &HeaderMap::new(), &framed(&[8, 1])).unwrap_err();
        assert!(none.contains("no status"), "{none}");
        let compressed = [&[1][..], &framed(&[8, 1])[1..]].concat();
        assert!(judge("", &trailers("0"), &compressed).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(bytes: Vec<u8>) {
            for answer in [framed(&bytes), bytes] {
                let said = serving(&answer).is_some();
                prop_assert!(!said || answer.len() >= PREFIX);
            }
        }

        #[test]
        fn a_number_reads_back(number: u64) {
            let mut bytes = Vec::new();
            write_number(number, &mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!((super::number(&mut rest), rest.len()), (Some(number), 0));
        }
    }
}
