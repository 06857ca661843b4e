//! Makes identities for requests: 32 hexadecimal digits, unique per process and unlikely to repeat across them.
//!
//! A random prefix per worker thread and a count: cheaper than randomness for each request, and ids of one worker sort
//! by time. Kept inline: a request's id costs no allocation.

use std::cell::Cell;

thread_local! {
    static NEXT: Cell<Digits> = Cell::new(first());
}

/// Longest id taken over from a trusted peer.
const LONGEST: usize = 128;
/// Digits of one of the two parts.
const HALF: usize = 16;

/// Aligned, so that the check that they are text reads words.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
struct Digits([u8; 2 * HALF]);

/// The identity of a request.
#[derive(Clone, Debug)]
pub struct RequestId(Text);

#[derive(Clone, Debug)]
enum Text {
    Own(Digits),
    Given(Box<str>),
}

impl RequestId {
    /// A new one.
    pub fn next() -> Self {
        let mut digits = NEXT.get();
        count_up(&mut digits.0[HALF..]);
        NEXT.set(digits);
        Self(Text::Own(digits))
    }

    /// The id of a trusted peer, when it is one to keep: short, and nothing a log or a field could stumble over.
    pub fn given(id: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte);
        if id.is_empty() || id.len() > LONGEST || !id.iter().all(plain) {
            return None;
        }
        Some(Self(Text::Given(std::str::from_utf8(id).ok()?.into())))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // They are ASCII.
            Text::Own(digits) => std::str::from_utf8(&digits.0).unwrap_or_default(),
            Text::Given(id) => id,
        }
    }
}

/// Where a worker begins.
fn first() -> Digits {
    let mut digits = [0; 2 * HALF];
    let (prefix, count) = digits.split_at_mut(HALF);
    prefix.copy_from_slice(&digits_of(fastrand::u64(..)));
    count.copy_from_slice(&digits_of(fastrand::u64(..) >> 16));
    Digits(digits)
}

fn digits_of(number: u64) -> [u8; HALF] {
    let mut text = [0; HALF];
    for (at, digit) in text.iter_mut().enumerate() {
        let nibble = (number >> (60 - 4 * at)) & 0xf;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
    text
}

/// The next number, counted in its digits: nearly always only the last changes.
fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = match *digit {
            b'9' => b'a',
            b'f' => b'0',
            other => other + 1,
        };
        if *digit != b'0' {
            return;
        }
    }
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
    fn digits_count_as_the_number_does() {
        for number in [0, 9, 0x0123_4567_89ab_cdef, 0xffff_ffff, u64::MAX] {
            let mut digits = digits_of(number);
            assert_eq!(digits, *format!("{number:016x}").as_bytes());
            count_up(&mut digits);
            assert_eq!(digits, digits_of(number.wrapping_add(1)));
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
