//! Finds the boundaries of WebSocket frames in a stream of bytes (RFC 6455 section 5.2).
//!
//! Pure and incremental; looks at frame heads only. Used to place a close frame between two frames, never inside one.
#![deny(clippy::disallowed_methods)]

/// Status 1001: the endpoint is going away (RFC 6455 section 7.4.1).
const GOING_AWAY: [u8; 2] = 1001u16.to_be_bytes();

/// Follows one direction of a WebSocket.
#[derive(Debug, Default)]
pub struct FrameScanner {
    head: [u8; 14],
    head_len: usize,
    payload_left: u64,
    closed: bool,
}

impl FrameScanner {
    /// Takes the next bytes of the direction.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skip = usize::try_from(self.payload_left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload_left -= skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            self.head[self.head_len] = bytes[0];
            self.head_len += 1;
            bytes = &bytes[1..];
            if self.head_len >= 2 && self.head_len == head_size(self.head[1]) {
                self.payload_left = payload_size(&self.head[..self.head_len]);
                self.closed |= self.head[0] & 0x0f == 0x8;
                self.head_len = 0;
            }
        }
    }

    /// Whether a frame of our own could go out now.
    pub fn is_between_frames(&self) -> bool {
        self.head_len == 0 && self.payload_left == 0
    }

    /// Whether a close frame has passed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Bytes of a frame's head, from its second byte.
fn head_size(second: u8) -> usize {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

fn payload_size(head: &[u8]) -> u64 {
    match head[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes([head[2], head[3]])),
        127 => u64::from_be_bytes([
            head[2], head[3], head[4], head[5], head[6], head[7], head[8], head[9],
        ]),
        small => u64::from(small),
    }
}

/// A close frame with 1001 from a server.
pub fn going_away_to_client() -> [u8; 4] {
    [0x88, 2, GOING_AWAY[0], GOING_AWAY[1]]
}

/// The same from a client: masked, as RFC 6455 section 5.1 asks.
pub fn going_away_to_server(mask: [u8; 4]) -> [u8; 8] {
    [
        0x88,
        0x82,
        mask[0],
        mask[1],
        mask[2],
        mask[3],
        GOING_AWAY[0] ^ mask[0],
        GOING_AWAY[1] ^ mask[1],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, size: usize, masked: bool) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        let mask_bit = if masked { 0x80 } else { 0 };
        match size {
            0..=125 => bytes.push(mask_bit | size as u8),
            126..=65535 => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(size as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(size as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend_from_slice(&[1, 2, 3, 4]);
        }
        bytes.resize(bytes.len() + size, 0x88);
        bytes
    }

    proptest! {
        #[test]
        fn boundaries_are_found_however_frames_are_cut(
            sizes in proptest::collection::vec((0usize..70_000, any::<bool>()), 1..4),
            step in 1usize..5000,
        ) {
            let mut scanner = FrameScanner::default();
            for (size, masked) in sizes {
                let bytes = frame(2, size, masked);
                for (index, piece) in bytes.chunks(step).enumerate() {
                    prop_assert!(index == 0 || !scanner.is_between_frames());
                    scanner.feed(piece);
                }
                prop_assert!(scanner.is_between_frames() && !scanner.is_closed());
            }
        }

        #[test]
        fn no_bytes_make_the_scanner_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            FrameScanner::default().feed(&bytes);
        }
    }

    #[test]
    fn our_own_close_frames_read_as_close_frames() {
        for bytes in [
            going_away_to_client().to_vec(),
            going_away_to_server([9, 8, 7, 6]).to_vec(),
        ] {
            let mut scanner = FrameScanner::default();
            scanner.feed(&bytes);
            assert!(scanner.is_closed() && scanner.is_between_frames());
        }
    }
}
