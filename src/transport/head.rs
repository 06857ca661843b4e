//! Decides whether the bytes of a request head are ones that no two parsers can read differently (RFC 9112).
//!
//! Pure and incremental: takes bytes as they arrive, in any segmentation, and says where the head ends or what is
//! wrong with it. The engine parses the same bytes afterwards; what this refuses is what lenient parsers disagree
//! about: bare LF, folded lines, `Content-Length` beside `Transfer-Encoding`, either of them twice, codings other than
//! `chunked`, more than one `Host`. Bounds on size and fields are counted here too. Invariant: never looks past the
//! head's end.
#![deny(clippy::disallowed_methods)]

use super::chunks::is_token;
use crate::config::HeadBuffers;
use crate::types::header::is_caseless;

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes, the empty line included.
    pub size: usize,
    /// Field lines.
    pub fields: usize,
    /// Whether a line may end with LF alone; the engine's parser takes it so.
    pub bare_lf: bool,
    /// Whether a target with a host counts before `Host`, and fields that nginx wants once are refused twice.
    pub as_nginx: bool,
    /// Room for lines, when it is bounded by more than `size`.
    pub buffers: Option<HeadBuffers>,
}

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// Not as RFC 9112 asks; says where.
    #[error("{0}")]
    Malformed(&'static str),
    /// Longer than the limit.
    #[error("the head is longer than the limit")]
    TooLarge,
    /// A field line longer than there is room for.
    #[error("a field line is longer than the limit")]
    LineTooLong,
    /// More fields than the limit.
    #[error("the head has more fields than the limit")]
    TooManyFields,
    /// The request line alone is longer than the limit.
    #[error("the request line is longer than the limit")]
    TargetTooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// A transfer coding other than `chunked`.
    #[error("the transfer coding is not `chunked`")]
    Coding,
    /// No `Host` in an HTTP/1.1 request.
    #[error("the request has no host")]
    HostMissing,
    /// `Host` more than once.
    #[error("the request has more than one host")]
    HostRepeated,
}

/// How far the head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadProgress {
    /// The head goes on.
    Partial,
    /// The head ends after this many of the bytes just given.
    Complete(usize),
}

/// Reads one head.
#[derive(Debug)]
pub struct HeadScanner {
    limits: HeadLimits,
    /// Bytes of the head so far.
    size: usize,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    in_request_line: bool,
    empty_lines: u8,
    http10: bool,
    is_plain: bool,
    fields: usize,
    hosts: u8,
    lengths: u8,
    codings: u8,
    upgrade: bool,
    odd_target: Option<Box<[u8]>>,
    /// Which of [`ONCE`] there were.
    once: u8,
    /// Bytes left in the buffer that is being filled, and how many more there have been.
    room: (usize, usize),
}

/// Fields that say one thing, so that two of them say none.
const ONCE: [&[u8]; 8] = [
    b"expect",
    b"if-match",
    b"if-range",
    b"authorization",
    b"if-none-match",
    b"content-range",
    b"if-modified-since",
    b"if-unmodified-since",
];

/// Empty lines before a request line that are skipped (RFC 9112 section 2.2 asks for one).
const EMPTY_LINES: u8 = 4;

impl HeadScanner {
    /// A scanner at the beginning of a head.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            size: 0,
            partial: Vec::new(),
            in_request_line: true,
            empty_lines: 0,
            http10: false,
            is_plain: false,
            fields: 0,
            hosts: 0,
            lengths: 0,
            codings: 0,
            upgrade: false,
            odd_target: None,
            once: 0,
            room: (limits.buffers.map_or(usize::MAX, |own| own.first), 0),
        }
    }

    /// Back to the beginning, for the next request of the connection.
    pub fn reset(&mut self) {
        self.partial.clear();
        let partial = std::mem::take(&mut self.partial);
        *self = Self {
            partial,
            ..Self::new(self.limits)
        };
    }

    /// Bytes of the head so far.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the request line has not ended yet.
    pub fn in_request_line(&self) -> bool {
        self.in_request_line
    }

    /// Whether the request line has ended and has no byte but those of which [`is_plain`] says so, and spaces.
    pub fn has_plain_line(&self) -> bool {
        self.is_plain
    }

    /// Whether the body is chunked; known once the head is complete.
    pub fn is_chunked(&self) -> bool {
        self.codings > 0
    }

    /// Whether what follows the head may be of another protocol.
    pub fn may_upgrade(&self) -> bool {
        self.upgrade && self.codings == 0
    }

    /// The request target, when it has bytes that no URI may hold: [`is_plain`] says which may be.
    pub fn odd_target(&self) -> Option<&[u8]> {
        self.odd_target.as_deref()
    }

    /// Whether the target names more than a path, as far as the request line has come, so that the engine is not to see it:
    /// that judges `Host` by it.
    pub(super) fn hides_target(&self) -> bool {
        if !self.limits.as_nginx {
            return false;
        }
        let begins = |target: &[u8]| target.first().is_some_and(|byte| *byte != b'/');
        match (self.in_request_line, &self.odd_target) {
            (true, _) => {
                let space = memchr::memchr(b' ', &self.partial);
                space.is_some_and(|at| begins(&self.partial[at + 1..]))
            }
            (false, target) => target.as_deref().is_some_and(begins),
        }
    }

    /// Takes the next bytes. After `Complete` or a fault the scanner must be reset.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<HeadProgress, HeadFault> {
        if self.partial.last() == Some(&b'\r') && bytes.first().is_some_and(|byte| *byte != b'\n') {
            return Err(HeadFault::Malformed("a CR without LF"));
        }
        let mut at = 0;
        while let Some(found) = memchr::memchr2(b'\r', b'\n', &bytes[at..]) {
            let mut end = at + found;
            let mut line_end = 2;
            if bytes[end] == b'\r' {
                match bytes.get(end + 1) {
                    Some(b'\n') => end += 1,
                    // The CR may be the last byte of this segment.
                    None => break,
                    Some(_) => return Err(HeadFault::Malformed("a CR without LF")),
                }
            } else if !(end == at && self.partial.last() == Some(&b'\r')) {
                if !self.limits.bare_lf {
                    return Err(HeadFault::Malformed("a line ends with a bare LF"));
                }
                line_end = 1;
            }
            self.count(end + 1 - at)?;
            self.fit(self.partial.len() + end + 1 - at, true)?;
            let complete = if self.partial.is_empty() {
                self.line(&bytes[at..end + 1 - line_end])?
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&bytes[at..=end]);
                line.truncate(line.len() - line_end);
                let complete = self.line(&line);
                line.clear();
                self.partial = line;
                complete?
            };
            at = end + 1;
            if complete {
                return Ok(HeadProgress::Complete(at));
            }
        }
        let rest = &bytes[at..];
        self.count(rest.len())?;
        self.fit(self.partial.len() + rest.len(), false)?;
        if self.in_request_line && !self.partial.contains(&b' ') {
            self.method(rest)?;
        }
        self.partial.extend_from_slice(rest);
        Ok(HeadProgress::Partial)
    }

    /// Whoever speaks something else, TLS say, is told so at once: the end of the line may never come.
    fn method(&self, line: &[u8]) -> Result<(), HeadFault> {
        let mut method = line.split(|byte| matches!(byte, b' ' | b'\r'));
        let method = method.next().unwrap_or_default();
        let nginxs = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-');
        let fits = match self.limits.as_nginx {
            true => method.iter().all(nginxs),
            false => method.iter().all(|byte| is_token(*byte)),
        };
        match fits {
            true => Ok(()),
            false => Err(HeadFault::Malformed("the method is none")),
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), HeadFault> {
        self.size += bytes;
        match self.size > self.limits.size {
            true if self.in_request_line => Err(HeadFault::TargetTooLong),
            true => Err(HeadFault::TooLarge),
            false => Ok(()),
        }
    }

    /// Finds room for a line of so many bytes, which is not over unless it is `whole`.
    fn fit(&mut self, bytes: usize, whole: bool) -> Result<(), HeadFault> {
        let Some(buffers) = self.limits.buffers else {
            return Ok(());
        };
        let (mut left, mut more) = self.room;
        if bytes > left {
            let fault = match self.in_request_line {
                true => HeadFault::TargetTooLong,
                false => HeadFault::LineTooLong,
            };
            if bytes > buffers.size || more == buffers.more {
                return Err(fault);
            }
            (left, more) = (buffers.size, more + 1);
        }
        if whole {
            left -= bytes;
        }
        self.room = (left, more);
        Ok(())
    }

    /// Takes a whole line without its end; true when it ended the head.
    fn line(&mut self, line: &[u8]) -> Result<bool, HeadFault> {
        if self.in_request_line {
            if line.is_empty() {
                self.empty_lines += 1;
                return match self.empty_lines > EMPTY_LINES {
                    true => Err(HeadFault::Malformed("empty lines before the request line")),
                    false => Ok(false),
                };
            }
            if self.limits.as_nginx {
                self.method(line)?;
            }
            let line = request_line(line)?;
            self.http10 = line.http10;
            let hidden = self.limits.as_nginx && line.target.first() != Some(&b'/');
            self.is_plain = line.is_plain && !hidden;
            if line.odd_target || hidden {
                self.odd_target = Some(line.target.into());
            }
            self.in_request_line = false;
            return Ok(false);
        }
        if line.is_empty() {
            return self.end().map(|()| true);
        }
        self.fields += 1;
        if self.fields > self.limits.fields {
            return Err(HeadFault::TooManyFields);
        }
        self.field(line).map(|()| false)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), HeadFault> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(HeadFault::Malformed("a folded field line"));
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(HeadFault::Malformed("a field line without a colon"));
        };
        let (name, value) = (&line[..colon], || line[colon + 1..].trim_ascii());
        match name.len() {
            7 if is_caseless(name, b"upgrade") => self.upgrade = true,
            4 if is_caseless(name, b"host") => self.hosts = self.hosts.saturating_add(1),
            14 if is_caseless(name, b"content-length") => {
                self.lengths = self.lengths.saturating_add(1);
                let value = value();
                if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                    return Err(HeadFault::Malformed("`Content-Length` is not a number"));
                }
            }
            17 if is_caseless(name, b"transfer-encoding") => {
                self.codings = self.codings.saturating_add(1);
                if !value().eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadFault::Coding);
                }
            }
            _ => {}
        }
        if self.limits.as_nginx && matches!(name.len(), 6 | 8 | 13 | 17 | 19) {
            self.only_once(name)?;
        }
        Ok(())
    }

    fn only_once(&mut self, name: &[u8]) -> Result<(), HeadFault> {
        let mut known = ONCE.iter();
        let Some(at) = known.position(|once| once.eq_ignore_ascii_case(name)) else {
            return Ok(());
        };
        let bit = 1 << at;
        if self.once & bit != 0 {
            return Err(HeadFault::Malformed("a field twice that says one thing"));
        }
        self.once |= bit;
        Ok(())
    }

    fn end(&self) -> Result<(), HeadFault> {
        if self.codings > 0 && self.lengths > 0 {
            return Err(HeadFault::Malformed(
                "both `Content-Length` and `Transfer-Encoding`",
            ));
        }
        if self.codings > 1 {
            return Err(HeadFault::Malformed("`Transfer-Encoding` more than once"));
        }
        if self.lengths > 1 {
            return Err(HeadFault::Malformed("`Content-Length` more than once"));
        }
        if self.codings > 0 && self.http10 {
            return Err(HeadFault::Malformed(
                "`Transfer-Encoding` in an HTTP/1.0 request",
            ));
        }
        match self.hosts {
            0 if !self.http10 => Err(HeadFault::HostMissing),
            0 | 1 => Ok(()),
            _ => Err(HeadFault::HostRepeated),
        }
    }
}

struct RequestLine<'a> {
    target: &'a [u8],
    odd_target: bool,
    /// Whether all of it is.
    is_plain: bool,
    http10: bool,
}

/// Checks a request line (RFC 9112 section 3): one space between its three parts and no control byte.
fn request_line(line: &[u8]) -> Result<RequestLine<'_>, HeadFault> {
    let three = HeadFault::Malformed("the request line has not three parts");
    let first = memchr::memchr(b' ', line).ok_or(three)?;
    let (method, rest) = (&line[..first], &line[first + 1..]);
    let second = memchr::memchr(b' ', rest).ok_or(three)?;
    let (target, version) = (&rest[..second], &rest[second + 1..]);
    if memchr::memchr(b' ', version).is_some() {
        return Err(three);
    }
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return Err(HeadFault::Malformed("the method is not a token"));
    }
    let found = kinds_in(target);
    if target.is_empty() || found & CONTROL != 0 {
        return Err(HeadFault::Malformed(
            "the request target has a control byte or is empty",
        ));
    }
    if found & FRAGMENT != 0 {
        return Err(HeadFault::Malformed("the request target has a fragment"));
    }
    let odd_target = found & ODD != 0;
    let of = |http10| RequestLine {
        target,
        odd_target,
        is_plain: !odd_target && kinds_in(method) & ODD == 0,
        http10,
    };
    match version {
        b"HTTP/1.1" => Ok(of(false)),
        b"HTTP/1.0" => Ok(of(true)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(HeadFault::Version)
        }
        _ => Err(HeadFault::Malformed(
            "the request line does not end with a version",
        )),
    }
}

/// What a byte of a target may be besides one that passes without a word.
const CONTROL: u8 = 1;
const FRAGMENT: u8 = 2;
const ODD: u8 = 4;

/// The kind of each byte.
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = kind_of(byte as u8);
        byte += 1;
    }
    kinds
};

const fn kind_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => 0,
        b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'?' | b'[' | b']' | b'@' => 0,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => 0,
        b'%' | b'|' | b'{' | b'}' | b'\\' => 0,
        b'#' => FRAGMENT | ODD,
        0..=b' ' | 0x7f => CONTROL | ODD,
        _ => ODD,
    }
}

fn kinds_in(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |found, byte| found | KINDS[usize::from(*byte)])
}

/// A byte that a URI may hold (RFC 3986), or that the engine's parser takes all the same.
pub fn is_plain(byte: u8) -> bool {
    KINDS[usize::from(byte)] & ODD == 0
}

#[cfg(test)]
mod tests;
