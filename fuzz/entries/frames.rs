//! WebSocket frames: boundaries are found wherever the bytes are cut.
//!
//! The first byte of the input is the length of the segments. A boundary found in the wrong place would put our close frame
//! into the middle of somebody's message.

use hubgate::proxy::tunnel::frames::FrameScanner;

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let Some((&length, bytes)) = input.split_first() else {
        return;
    };
    let mut whole = FrameScanner::default();
    whole.feed(bytes);
    let mut cut = FrameScanner::default();
    for segment in bytes.chunks(usize::from(length).max(1)) {
        cut.feed(segment);
    }
    assert_eq!(whole.is_between_frames(), cut.is_between_frames());
    assert_eq!(whole.is_closed(), cut.is_closed());
}
