//! WebSocket frames (RFC 6455, section 5.2), as far as an echo needs them.
//!
//! Generators mask with a key of zeros, which leaves the payload as it is and costs nothing; the origin undoes any key.

/// A head's length in bytes, whether its payload is masked, and the payload's length; none while the head is incomplete.
pub fn parse(bytes: &[u8]) -> Option<(usize, bool, usize)> {
    let (&second, masked) = (bytes.get(1)?, *bytes.get(1)? & 0x80 != 0);
    let (length, head) = match second & 0x7f {
        126 => (
            usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
            4,
        ),
        127 => {
            let eight: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
            (usize::try_from(u64::from_be_bytes(eight)).ok()?, 10)
        }
        short => (usize::from(short), 2),
    };
    let head = head + if masked { 4 } else { 0 };
    (bytes.len() >= head).then_some((head, masked, length))
}

/// Appends the head of a binary frame.
pub fn head(length: usize, masked: bool, out: &mut Vec<u8>) {
    out.push(0x82);
    let mask = if masked { 0x80 } else { 0 };
    if length < 126 {
        out.push(mask | length as u8);
    } else if length < 65536 {
        out.push(mask | 126);
        out.extend((length as u16).to_be_bytes());
    } else {
        out.push(mask | 127);
        out.extend((length as u64).to_be_bytes());
    }
    if masked {
        out.extend([0; 4]);
    }
}

/// Undoes (or does) masking.
pub fn mask(key: [u8; 4], payload: &mut [u8]) {
    if key != [0; 4] {
        for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_is_written_reads_back() {
        for length in [0, 64, 125, 126, 16384, 65535, 65536] {
            for masked in [false, true] {
                let mut bytes = Vec::new();
                head(length, masked, &mut bytes);
                assert_eq!(parse(&bytes), Some((bytes.len(), masked, length)));
                assert_eq!(parse(&bytes[..bytes.len() - 1]), None);
            }
        }
    }

    #[test]
    fn masking_twice_gives_the_payload_back() {
        let mut payload = *b"some bytes";
        mask([1, 2, 3, 4], &mut payload);
        assert_ne!(&payload, b"some bytes");
        mask([1, 2, 3, 4], &mut payload);
        assert_eq!(&payload, b"some bytes");
    }
}
