//! Makes identities for requests: 32 hexadecimal digits, unique per process and unlikely to repeat across them.
//!
//! A random prefix per worker thread and a count: cheaper than randomness for each request, and ids of one worker sort
//! by time. Kept inline: a request's id costs no allocation.

use std::cell::Cell;

thread_local! {
    static NEXT: Cell<([u8; HALF], u64)> = Cell::new((digits(fastrand::u64(..)), fastrand::u64(..) >> 16));
}

/// Longest id taken over from a trusted peer.
const LONGEST: usize = 128;
/// Digits of one of the two parts.
const HALF: usize = 16;

/// The identity of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestId {
    text: [u8; LONGEST],
    length: u8,
}

impl RequestId {
    /// A new one.
    pub fn next() -> Self {
        let (prefix, count) = NEXT.get();
        NEXT.set((prefix, count.wrapping_add(1)));
        let mut id = Self {
            text: [0; LONGEST],
            length: 2 * HALF as u8,
        };
        id.text[..HALF].copy_from_slice(&prefix);
        id.text[HALF..2 * HALF].copy_from_slice(&digits(count));
        id
    }

    /// The id of a trusted peer, when it is one to keep: short, and nothing a log or a field could stumble over.
    pub fn given(id: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte);
        if id.is_empty() || id.len() > LONGEST || !id.iter().all(plain) {
            return None;
        }
        let mut text = [0; LONGEST];
        text[..id.len()].copy_from_slice(id);
        Some(Self {
            text,
            length: id.len() as u8,
        })
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        // Both ways to make one put ASCII in.
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

fn digits(number: u64) -> [u8; HALF] {
    let mut text = [0; HALF];
    for (at, digit) in text.iter_mut().enumerate() {
        let nibble = (number >> (60 - 4 * at)) & 0xf;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_repeat_and_are_acceptable_themselves() {
        let (first, second) = (RequestId::next(), RequestId::next());
        assert_ne!(first.as_str(), second.as_str());
        let given = RequestId::given(first.as_str().as_bytes()).unwrap();
        assert_eq!((given.as_str(), given.as_str().len()), (first.as_str(), 32));
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(digits(number), *format!("{number:016x}").as_bytes());
        }
    }

    #[test]
    fn an_id_with_a_space_or_a_quote_is_not_kept() {
        let long = [b'a'; LONGEST + 1];
        for id in [&b"a b"[..], b"a\"", b"", &long] {
            assert!(RequestId::given(id).is_none());
        }
    }
}
