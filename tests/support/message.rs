//! HTTP/1 messages as tests see them: heads with their exact bytes, bodies with how they ended.
//!
//! Deliberately literal: nothing is normalised and every deviation is a [`Fault`], so that a lenient reader cannot hide
//! what the product did.

use super::wire::{End, Fault, Wire};

/// A request's or response's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// Every byte, the empty line included.
    pub raw: Vec<u8>,
    /// The first line without its end.
    pub start: Vec<u8>,
    /// Names as they came, values without the blanks around them.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub fn parse(raw: Vec<u8>) -> Result<Self, Fault> {
        let text = raw.strip_suffix(b"\r\n\r\n").ok_or(Fault::Malformed)?;
        let mut lines = split_lines(text).into_iter();
        let start = lines.next().ok_or(Fault::Malformed)?.to_vec();
        let mut fields = Vec::new();
        for line in lines {
            let colon = line
                .iter()
                .position(|b| *b == b':')
                .ok_or(Fault::Malformed)?;
            let name = String::from_utf8(line[..colon].to_vec()).map_err(|_| Fault::Malformed)?;
            fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
        Ok(Self { raw, start, fields })
    }

    /// All values of `name`, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let of_name = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        of_name
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
            .collect()
    }

    /// The only value of `name`.
    #[track_caller]
    pub fn one(&self, name: &str) -> String {
        let mut all = self.all(name);
        assert_eq!(
            all.len(),
            1,
            "`{name}` in {}",
            String::from_utf8_lossy(&self.raw)
        );
        all.remove(0)
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// Whether a list field holds `token`.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let all = self.all(name);
        all.iter()
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().eq_ignore_ascii_case(token))
    }

    /// The first line's words.
    fn word(&self, index: usize) -> &[u8] {
        self.start
            .split(|b| *b == b' ')
            .nth(index)
            .unwrap_or_default()
    }

    pub fn method(&self) -> String {
        String::from_utf8_lossy(self.word(0)).into_owned()
    }

    /// The target's exact bytes.
    pub fn target(&self) -> Vec<u8> {
        let end = self.start.len()
            - self
                .start
                .iter()
                .rev()
                .position(|b| *b == b' ')
                .unwrap_or(0)
            - 1;
        self.start[self.word(0).len() + 1..end].to_vec()
    }

    #[track_caller]
    pub fn status(&self) -> u16 {
        let text = String::from_utf8_lossy(self.word(1)).into_owned();
        text.parse().unwrap_or_else(|_| {
            panic!("no status line: {:?}", String::from_utf8_lossy(&self.start))
        })
    }

    /// How the body that follows is framed (RFC 9112 section 6.3).
    pub fn framing(&self, kind: Kind) -> Result<Framing, Fault> {
        if let Kind::Response { to_head } = kind {
            let status = self.status();
            if to_head || status < 200 || status == 204 || status == 304 {
                return Ok(Framing::Length(0));
            }
        }
        let lengths = self.all("content-length");
        if self.has("transfer-encoding") {
            if !lengths.is_empty() || self.all("transfer-encoding") != ["chunked"] {
                return Err(Fault::Malformed);
            }
            return Ok(Framing::Chunked);
        }
        match (lengths.as_slice(), kind) {
            ([one], _) => one
                .parse()
                .map(Framing::Length)
                .map_err(|_| Fault::Malformed),
            ([], Kind::Request) => Ok(Framing::Length(0)),
            ([], Kind::Response { .. }) => Ok(Framing::Close),
            _ => Err(Fault::Malformed),
        }
    }
}

fn split_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

/// Which message a head belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Request,
    Response { to_head: bool },
}

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    Close,
}

/// A body read to its end.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Sizes of the chunks, when chunked.
    pub chunks: Vec<usize>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub head: Head,
    pub status: u16,
    /// 1xx heads that came before.
    pub early: Vec<Head>,
    pub body: Body,
    /// `Err` when the body did not come to its end.
    pub complete: Result<(), Fault>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }
}

impl Wire {
    pub fn head(&mut self) -> Result<Head, Fault> {
        self.through(b"\r\n\r\n").and_then(Head::parse)
    }

    /// The next chunk's bytes; `None` at the last chunk, whose trailers are put into `trailers`.
    pub fn chunk(
        &mut self,
        trailers: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let line = self.through(b"\r\n")?;
        let digits = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
        let digits = digits.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| Fault::Malformed)?;
        if size > 0 {
            let bytes = self.exactly(size)?;
            return if self.exactly(2)? == b"\r\n" {
                Ok(Some(bytes))
            } else {
                Err(Fault::Malformed)
            };
        }
        let mut raw = b"\r\n".to_vec(); // an empty first line, so that the trailers parse as a head
        while !raw.ends_with(b"\r\n\r\n") {
            raw.extend(self.through(b"\r\n")?);
        }
        *trailers = if raw.len() > 4 {
            Head::parse(raw)?.fields
        } else {
            Vec::new()
        };
        Ok(None)
    }

    /// Reads a body into `body`, so that what came before a fault is kept.
    pub fn body(&mut self, framing: Framing, body: &mut Body) -> Result<(), Fault> {
        match framing {
            Framing::Chunked => {
                while let Some(bytes) = self.chunk(&mut body.trailers)? {
                    body.chunks.push(bytes.len());
                    body.bytes.extend(bytes);
                }
                Ok(())
            }
            Framing::Length(length) => {
                while body.bytes.len() < length {
                    let mut bytes = self.some()?;
                    let wanted = (length - body.bytes.len()).min(bytes.len());
                    self.give_back(bytes.split_off(wanted));
                    body.bytes.extend(bytes);
                }
                Ok(())
            }
            Framing::Close => loop {
                match self.some() {
                    Ok(bytes) => body.bytes.extend(bytes),
                    Err(Fault::Closed(End::Clean)) => return Ok(()),
                    Err(fault) => return Err(fault),
                }
            },
        }
    }

    /// The head of the final answer, and the 1xx ones before it.
    pub fn final_head(&mut self) -> Result<(Head, Vec<Head>), Fault> {
        let mut early = Vec::new();
        loop {
            let head = self.head()?;
            match head.status() {
                101 | 200.. => return Ok((head, early)),
                _ => early.push(head),
            }
        }
    }

    /// A whole answer. A body that does not end is in `complete`; a head that does not come is the error.
    pub fn try_response(&mut self, to_head: bool) -> Result<Response, Fault> {
        let (head, early) = self.final_head()?;
        let mut body = Body::default();
        let framing = head.framing(Kind::Response { to_head })?;
        let complete = self.body(framing, &mut body);
        Ok(Response {
            status: head.status(),
            head,
            early,
            body,
            complete,
        })
    }

    /// A whole answer to anything but HEAD.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response(false).expect("an answer")
    }
}
