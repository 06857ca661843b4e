//! HTTP/2 frames by hand, for what a correct client cannot be made to send.
//!
//! Heads are literals without indexing and without Huffman coding (RFC 7541 section 6.2.2).

use std::net::SocketAddr;

use super::tls;
use super::wire::{Fault, Wire};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A head's block.
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        literal(&mut bytes, name.as_bytes());
        literal(&mut bytes, value);
    }
    bytes
}

fn literal(bytes: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 127 {
        bytes.push(u8::try_from(text.len()).unwrap());
    } else {
        bytes.push(127);
        let mut left = text.len() - 127;
        while left >= 128 {
            bytes.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        bytes.push(u8::try_from(left).unwrap());
    }
    bytes.extend(text);
}

/// A connection past TLS with ALPN h2; nothing is sent yet.
#[track_caller]
pub fn connect(addr: SocketAddr, name: &str) -> Wire {
    Wire::new(tls::handshake(addr, name, tls::config(&["h2"])).expect("handshake"))
}

/// A connection past the preface and our empty settings.
#[track_caller]
pub fn open(addr: SocketAddr, name: &str) -> Wire {
    let mut wire = connect(addr, name);
    wire.send([PREFACE, &frame(SETTINGS, 0, 0, b"")].concat());
    wire
}

/// The next frame.
pub fn next(wire: &mut Wire) -> Result<Frame, Fault> {
    let head = wire.exactly(9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
    Ok(Frame {
        kind: head[3],
        flags: head[4],
        stream,
        payload: wire.exactly(length)?,
    })
}

/// What the server did with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered; the body's text (heads are not decoded).
    Answered(String),
    /// It reset the stream.
    Reset(u32),
    /// It ended the connection.
    Ended,
}

/// Sends one request without a body as stream 1 and says what came of it.
#[track_caller]
pub fn outcome_of(wire: &mut Wire, fields: &[(&str, &[u8])]) -> Outcome {
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields)));
    outcome(wire, 1)
}

/// Reads until the server is done with `stream`.
#[track_caller]
pub fn outcome(wire: &mut Wire, stream: u32) -> Outcome {
    let mut body = Vec::new();
    loop {
        match next(wire) {
            Ok(frame) if frame.kind == GOAWAY && frame.payload[4..8] != [0; 4] => {
                return Outcome::Ended;
            }
            Ok(frame) if frame.stream != stream => {}
            Ok(frame) if frame.kind == RST_STREAM => {
                return Outcome::Reset(u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
            }
            Ok(frame) => {
                if frame.kind == DATA {
                    body.extend(&frame.payload);
                }
                if (frame.kind == DATA || frame.kind == HEADERS) && frame.flags & END_STREAM != 0 {
                    return Outcome::Answered(String::from_utf8_lossy(&body).into_owned());
                }
            }
            Err(Fault::Closed(_)) => return Outcome::Ended,
            Err(fault) => panic!("stream {stream}: {fault:?}"),
        }
    }
}
