//! A response's head, as it came and as it is understood.
//!
//! Pure: takes bytes, keeps where each field lies in them and what the framing and the connection's fields say. Syntax
//! is `httparse`'s; what the fields mean together is decided here (RFC 9112 section 6.3), strictly.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::mem::MaybeUninit;

use http::StatusCode;

use crate::types::header::is_caseless;

/// Field lines of a head.
const MOST_FIELDS: usize = 256;

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// Not a head.
    #[error("the head is not HTTP/1: {0}")]
    Syntax(httparse::Error),
    /// A status below 100.
    #[error("the status is no HTTP status")]
    Status,
    /// `Content-Length` that is no number, or several that differ.
    #[error("`Content-Length` is not one number")]
    Length,
    /// A transfer coding nobody asked for, or several.
    #[error("the transfer coding is not `chunked`")]
    Coding,
}

/// What a field is for, as far as forwarding cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Nothing special: passes.
    Other,
    /// `Content-Length`.
    Length,
    /// `Date`.
    Date,
    /// `Connection`.
    Connection,
    /// `Upgrade`.
    Upgrade,
    /// Of one connection (RFC 9110 section 7.6.1).
    HopByHop,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    from: u32,
    to: u32,
}

impl Span {
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let offset = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        // Heads are far below 4 GiB.
        Self {
            from: offset as u32,
            to: (offset + part.len()) as u32,
        }
    }

    fn get(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.from as usize..self.to as usize)
            .unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct FieldSpan {
    name: Span,
    value: Span,
    kind: FieldKind,
}

/// One field of a head.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name, in the case it came in.
    pub name: &'a [u8],
    /// Its value, without white space around it. A folded one has its line breaks still.
    pub value: &'a [u8],
    /// What it is for.
    pub kind: FieldKind,
}

/// A head as it is understood, without its bytes. Kept from response to response for its memory.
#[derive(Debug, Default)]
pub struct Parsed {
    pub(super) status: StatusCode,
    reason: Option<Span>,
    fields: Vec<FieldSpan>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) keep_alive: bool,
    event_stream: bool,
    names_fields: bool,
    /// Whether values may have line breaks.
    folded: bool,
}

/// A head with its bytes.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) parsed: &'a Parsed,
}

impl<'a> ResponseHead<'a> {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.parsed.status
    }

    /// The reason phrase as it came.
    pub fn reason(&self) -> &'a [u8] {
        let reason = self.parsed.reason;
        reason.map_or(&b""[..], |reason| reason.get(self.bytes))
    }

    /// How many fields there are.
    pub fn count(&self) -> usize {
        self.parsed.fields.len()
    }

    /// All fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        let bytes = self.bytes;
        self.parsed.fields.iter().map(move |field| Field {
            name: field.name.get(bytes),
            value: field.value.get(bytes),
            kind: field.kind,
        })
    }

    /// What it was read from, and perhaps more behind it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// One of its values on one line (RFC 9112 section 5.2 asks for it): nearly always as it came.
    pub fn unfolded(&self, value: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.parsed.folded {
            return Cow::Borrowed(value);
        }
        let line_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let bytes = value
            .iter()
            .map(|byte| if line_break(byte) { b' ' } else { *byte });
        Cow::Owned(bytes.collect())
    }

    /// Whether the body is chunked.
    pub fn is_chunked(&self) -> bool {
        self.parsed.chunked
    }

    /// What `Content-Length` says.
    pub fn length(&self) -> Option<u64> {
        self.parsed.length
    }

    /// Whether `Connection` may name further fields.
    pub fn names_fields(&self) -> bool {
        self.parsed.names_fields
    }

    /// Whether the body is a stream of server-sent events, which may be silent for long.
    pub fn is_event_stream(&self) -> bool {
        self.parsed.event_stream
    }
}

impl Parsed {
    /// Parses the head at the beginning of `bytes`. Gives its length, or `None` while it is incomplete.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadFault> {
        self.folded = false;
        match self.parse_as(bytes) {
            // Perhaps only because it is folded, which hardly any server does any more.
            Err(HeadFault::Syntax(httparse::Error::HeaderName)) => {
                self.folded = true;
                self.parse_as(bytes)
            }
            parsed => parsed,
        }
    }

    fn parse_as(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadFault> {
        let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let mut parser = httparse::ParserConfig::default();
        // Old servers send both; they are written anew in today's form.
        parser.allow_spaces_after_header_name_in_responses(true);
        parser.allow_obsolete_multiline_headers_in_responses(self.folded);
        let parsed = parser
            .parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
            .map_err(HeadFault::Syntax)?;
        let httparse::Status::Complete(size) = parsed else {
            return Ok(None);
        };
        let status = response
            .code
            .and_then(|code| StatusCode::from_u16(code).ok());
        self.status = status.ok_or(HeadFault::Status)?;
        self.reason = response
            .reason
            .filter(|reason| !reason.is_empty())
            .map(|reason| Span::of(reason.as_bytes(), bytes));
        self.understand(response.version == Some(1), response.headers, bytes)?;
        Ok(Some(size))
    }

    /// The head that was parsed last, from these same `bytes`.
    pub fn with<'a>(&'a self, bytes: &'a [u8]) -> ResponseHead<'a> {
        ResponseHead {
            bytes,
            parsed: self,
        }
    }

    fn understand(
        &mut self,
        is_1_1: bool,
        headers: &[httparse::Header<'_>],
        bytes: &[u8],
    ) -> Result<(), HeadFault> {
        self.fields.clear();
        (self.length, self.chunked) = (None, false);
        (self.event_stream, self.names_fields) = (false, false);
        let (mut close, mut keep) = (false, false);
        for header in headers {
            let name = header.name.as_bytes();
            let kind = kind(name);
            match kind {
                FieldKind::Length => self.add_length(header.value)?,
                FieldKind::Connection => {
                    for token in header.value.split(|byte| *byte == b',') {
                        match token.trim_ascii() {
                            token if is_caseless(token, b"close") => close = true,
                            token if is_caseless(token, b"keep-alive") => keep = true,
                            token if is_caseless(token, b"upgrade") => {}
                            token => self.names_fields |= !token.is_empty(),
                        }
                    }
                }
                FieldKind::HopByHop if name.len() == 17 => {
                    let known = is_caseless(header.value, b"chunked");
                    if !known || self.chunked {
                        return Err(HeadFault::Coding);
                    }
                    self.chunked = true;
                }
                FieldKind::Other if is_caseless(name, b"content-type") => {
                    self.event_stream = is_event_stream(header.value);
                }
                _ => {}
            }
            self.fields.push(FieldSpan {
                name: Span::of(name, bytes),
                value: Span::of(header.value, bytes),
                kind,
            });
        }
        self.keep_alive = !close && (is_1_1 || keep);
        if self.chunked {
            // RFC 9112 section 6.3: the coding counts, and such a connection is not to be trusted further. The same
            // for a coding that HTTP/1.0 does not know (section 6.1).
            self.keep_alive &= self.length.is_none() && is_1_1;
            self.length = None;
        }
        Ok(())
    }

    /// One number, however often and in however many items it is said (RFC 9110 section 8.6).
    fn add_length(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        for item in value.split(|byte| *byte == b',') {
            let item = item.trim_ascii();
            let digits = !item.is_empty() && item.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(item)
                .ok()
                .and_then(|text| text.parse().ok());
            match (digits, number) {
                (true, Some(number)) if self.length.is_none_or(|known| known == number) => {
                    self.length = Some(number);
                }
                _ => return Err(HeadFault::Length),
            }
        }
        Ok(())
    }
}

fn kind(name: &[u8]) -> FieldKind {
    match name.len() {
        2 if is_caseless(name, b"te") => FieldKind::HopByHop,
        4 if is_caseless(name, b"date") => FieldKind::Date,
        7 if is_caseless(name, b"upgrade") => FieldKind::Upgrade,
        10 if is_caseless(name, b"connection") => FieldKind::Connection,
        10 if is_caseless(name, b"keep-alive") => FieldKind::HopByHop,
        14 if is_caseless(name, b"content-length") => FieldKind::Length,
        14 if is_caseless(name, b"http2-settings") => FieldKind::HopByHop,
        // Not of one connection, but of one hubgate: it says that the answer is its own, which no upstream may claim.
        15 if is_caseless(name, b"x-hubgate-cause") => FieldKind::HopByHop,
        16 if is_caseless(name, b"proxy-connection") => FieldKind::HopByHop,
        17 if is_caseless(name, b"transfer-encoding") => FieldKind::HopByHop,
        _ => FieldKind::Other,
    }
}

fn is_event_stream(value: &[u8]) -> bool {
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Parsed, HeadFault> {
        let mut parsed = Parsed::default();
        let size = parsed.parse(text.as_bytes())?;
        assert_eq!(size, Some(text.len()));
        Ok(parsed)
    }

    fn fields(fields: &str) -> Result<Parsed, HeadFault> {
        parse(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))
    }

    #[test]
    fn a_length_said_twice_is_one_length_only_when_both_agree() {
        for same in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "content-length: 5, 5\r\n",
        ] {
            assert_eq!(fields(same).unwrap().length, Some(5), "{same}");
        }
        for bad in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5,6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999999\r\n",
        ] {
            assert_eq!(fields(bad).err(), Some(HeadFault::Length), "{bad}");
        }
    }

    #[test]
    fn a_coding_other_than_chunked_is_refused() {
        for bad in [
            "gzip",
            "chunked, chunked",
            "identity",
            "gzip, chunked",
            "xchunked",
        ] {
            let head = format!("Transfer-Encoding: {bad}\r\n");
            assert_eq!(fields(&head).err(), Some(HeadFault::Coding), "{bad}");
        }
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(fields(twice).err(), Some(HeadFault::Coding));
    }

    #[test]
    fn a_coding_beside_a_length_counts_and_ends_the_connection() {
        let parsed = fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n").unwrap();
        assert_eq!(
            (parsed.length, parsed.chunked, parsed.keep_alive),
            (None, true, false)
        );
    }

    #[test]
    fn a_connection_stays_as_its_version_and_its_fields_say() {
        for (head, keep) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: x, close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", true),
        ] {
            assert_eq!(parse(head).unwrap().keep_alive, keep, "{head}");
        }
    }

    #[test]
    fn an_event_stream_is_known_by_its_type_whatever_its_parameters() {
        let of = |kind: &str| {
            fields(&format!("Content-Type: {kind}\r\n"))
                .unwrap()
                .event_stream
        };
        assert!(of("Text/Event-Stream; charset=utf-8"));
        assert!(!of("text/event-stream-not"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let with_line = [b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat();
            for head in [&bytes, &with_line] {
                let mut parsed = Parsed::default();
                if let Ok(Some(size)) = parsed.parse(head) {
                    prop_assert!(size <= head.len());
                }
            }
        }

        #[test]
        fn a_head_is_incomplete_until_its_last_byte(cut in 0usize..52) {
            let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\nY: c\r\n\r\n";
            prop_assert_eq!(Parsed::default().parse(&whole[..cut.min(whole.len() - 1)]), Ok(None));
        }
    }
}
