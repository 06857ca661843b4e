//! Puts together the head that goes back to the client.
//!
//! Takes the upstream's head and says how its body is framed towards this client. Everything but hop-by-hop fields
//! passes as it came, repeated `Set-Cookie` included; `Date` is the edge's own, as with nginx. For HTTP/1 the bytes are
//! written directly; HTTP/2 needs a map of them.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};

use super::edit::Line;
use super::hop_by_hop;
use super::lines::Lines;
use super::request::field;
use crate::upstream::http1::{Field, FieldKind, ResponseHead};

/// The client's side of a response.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The version the request came in.
    pub version: Version,
    /// Whether the request was HEAD.
    pub is_head: bool,
}

impl Client {
    /// Of a request.
    pub fn of(method: &Method, version: Version) -> Self {
        Self {
            version,
            is_head: *method == Method::HEAD,
        }
    }
}

/// What the edge adds to a response's head.
#[derive(Debug, Default)]
pub struct Own<'a> {
    /// A cookie.
    pub cookie: Option<Box<HeaderValue>>,
    /// `Strict-Transport-Security`, in place of the upstream's.
    pub strict: Option<&'a HeaderValue>,
    /// All lines that pass, where the route changes some.
    pub lines: Option<Box<[Line]>>,
    /// The status, in place of the upstream's.
    pub status: Option<StatusCode>,
    /// Whether the body changes on its way: how long it gets is not known.
    pub recoded: bool,
}

/// How a response's body is framed towards an HTTP/1 client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
    /// Its end is the connection's.
    UntilClose,
}

/// Whether a response with this status and method has a body (RFC 9110 section 6.4.1).
fn has_body(status: StatusCode, client: Client) -> bool {
    !(client.is_head || forbids_length(status) || status == StatusCode::NOT_MODIFIED)
}

fn forbids_length(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status.is_informational()
}

/// The framing of the body of `head` towards this client; of one that is `recoded` the length is not known.
pub fn framing(head: &ResponseHead<'_>, client: Client, recoded: bool) -> Framing {
    match head.length().filter(|_| !recoded) {
        _ if !has_body(head.status(), client) => Framing::None,
        Some(length) => Framing::Length(length),
        None if client.version == Version::HTTP_11 => Framing::Chunked,
        None => Framing::UntilClose,
    }
}

/// Writes an HTTP/1 client's head for `head`, its empty line included. `date` is the value of `Date`.
pub fn write(
    head: &ResponseHead<'_>,
    framing: Framing,
    after: Afterwards,
    date: &[u8],
    own: &Own<'_>,
    wire: &mut Vec<u8>,
) {
    match own.status {
        None => status_line(head.status(), head.reason(), wire),
        Some(status) => {
            let reason = status.canonical_reason().unwrap_or("Error");
            status_line(status, reason.as_bytes(), wire);
        }
    }
    field(wire, b"Date", date);
    match (head.length(), framing) {
        (_, Framing::Chunked) => wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        // What HEAD asks about, and what a 304 says of the body it stands for.
        (Some(length), _) if !forbids_length(head.status()) && !own.recoded => {
            write_length(length, wire);
        }
        _ => {}
    }
    write_connection(after, wire);
    write_rest(head, own.lines.as_deref(), own.strict.is_some(), wire);
    if let Some(cookie) = &own.cookie {
        field(wire, b"Set-Cookie", cookie.as_bytes());
    }
    if let Some(strict) = own.strict {
        field(wire, b"Strict-Transport-Security", strict.as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
}

/// Writes an informational head, or that of a 101 with what it upgrades to and with fields of our own.
pub fn write_informational(head: &ResponseHead<'_>, own: &Own<'_>, wire: &mut Vec<u8>) {
    let mut strict = None;
    status_line(head.status(), head.reason(), wire);
    if head.status() == StatusCode::SWITCHING_PROTOCOLS {
        wire.extend_from_slice(b"Connection: upgrade\r\n");
        let upgrade = head.fields().find(|field| field.kind == FieldKind::Upgrade);
        if let Some(upgrade) = upgrade {
            field(wire, b"Upgrade", upgrade.value);
        }
        if let Some(cookie) = &own.cookie {
            field(wire, b"Set-Cookie", cookie.as_bytes());
        }
        strict = own.strict;
    }
    write_rest(head, own.lines.as_deref(), strict.is_some(), wire);
    if let Some(strict) = strict {
        field(wire, b"Strict-Transport-Security", strict.as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
}

/// The first line of a response.
pub fn status_line(status: StatusCode, reason: &[u8], wire: &mut Vec<u8>) {
    wire.extend_from_slice(b"HTTP/1.1 ");
    wire.extend_from_slice(status.as_str().as_bytes());
    wire.push(b' ');
    wire.extend_from_slice(reason);
    wire.extend_from_slice(b"\r\n");
}

/// `Content-Length`.
pub fn write_length(length: u64, wire: &mut Vec<u8>) {
    field(
        wire,
        b"Content-Length",
        itoa::Buffer::new().format(length).as_bytes(),
    );
}

/// `Connection`, as its end or its going on asks for.
pub fn write_connection(after: Afterwards, wire: &mut Vec<u8>) {
    wire.extend_from_slice(match after {
        Afterwards::Close => b"Connection: close\r\n",
        _ => &b"Connection: keep-alive\r\n"[..],
    });
    if let Afterwards::KeepFor(seconds) = after {
        field(wire, b"Keep-Alive", format!("timeout={seconds}").as_bytes());
    }
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It is closed.
    Close,
    /// It is kept.
    Keep,
    /// As that, and its client is told for how many seconds.
    KeepFor(u64),
}

/// The fields that pass as they came, in their order and case, or `lines` in their place; `strict` when the edge says one
/// of them itself.
fn write_rest(head: &ResponseHead<'_>, lines: Option<&[Line]>, strict: bool, wire: &mut Vec<u8>) {
    const STRICT: &[u8] = b"strict-transport-security";
    if let Some(lines) = lines {
        for (name, value) in lines {
            if !(strict && name.eq_ignore_ascii_case(STRICT)) {
                field(wire, name, value);
            }
        }
        return;
    }
    let mut lines = Lines::of(head.bytes());
    passing(head, |passes| {
        let own = match passes.kind {
            FieldKind::Date => !head.status().is_informational(),
            _ => strict && passes.name.eq_ignore_ascii_case(STRICT),
        };
        if !own {
            lines.pass(passes.name, &head.unfolded(passes.value), wire);
        }
    });
    lines.finish(wire);
}

/// The fields that pass, but for `Date`, which is the edge's own.
pub fn lines(head: &ResponseHead<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    passing(head, |field| {
        if field.kind != FieldKind::Date || head.status().is_informational() {
            lines.push((field.name.to_vec(), head.unfolded(field.value).into_owned()));
        }
    });
    lines
}

/// Gives to `take` all fields that are not of one connection, without `Content-Length`.
fn passing<'a>(head: &ResponseHead<'a>, mut take: impl FnMut(Field<'a>)) {
    let named = match head.names_fields() {
        true => hop_by_hop::named_by_response(head),
        false => Vec::new(),
    };
    for field in head.fields() {
        let passes = matches!(field.kind, FieldKind::Other | FieldKind::Date)
            && !named
                .iter()
                .any(|name| name.eq_ignore_ascii_case(field.name));
        if passes {
            take(field);
        }
    }
}

/// An HTTP/2 client's fields for `head`, or for the lines of `own` in the place of its own. Fails on a field that has no
/// form there.
pub fn fields(head: &ResponseHead<'_>, own: &Own<'_>) -> http::Result<HeaderMap> {
    // With room for a date, a cookie and a word on TLS of the edge's own; a map for more is many times as dear to make.
    let lines = (own.lines.as_ref()).map_or_else(|| head.count(), |lines| lines.len() + 1);
    let mut fields = HeaderMap::with_capacity(lines);
    let mut outcome: http::Result<()> = Ok(());
    let mut add = |name: &[u8], value: &[u8]| match (
        HeaderName::from_bytes(name),
        HeaderValue::from_bytes(value),
    ) {
        (Ok(name), Ok(value)) => drop(fields.append(name, value)),
        (Err(error), _) => outcome = Err(error.into()),
        (_, Err(error)) => outcome = Err(error.into()),
    };
    match own.lines.as_deref() {
        None => passing(head, |field| add(field.name, &head.unfolded(field.value))),
        Some(lines) => lines.iter().for_each(|(name, value)| add(name, value)),
    }
    outcome?;
    let says = !forbids_length(head.status()) && !own.recoded;
    if let Some(length) = head.length().filter(|_| says) {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::http1::{Parsed, testing};
    use proptest::prelude::*;

    fn written(head: &str, version: Version, method: Method) -> String {
        testing::with_head(head.as_bytes(), |head| {
            let client = Client::of(&method, version);
            let framing = framing(&head, client, false);
            let mut wire = Vec::new();
            write(
                &head,
                framing,
                Afterwards::Keep,
                b"today",
                &Own::default(),
                &mut wire,
            );
            String::from_utf8(wire).unwrap()
        })
    }

    #[test]
    fn a_body_without_a_length_is_chunked_for_http_1_1_only() {
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        let new = written(head, Version::HTTP_11, Method::GET);
        assert!(new.contains("Transfer-Encoding: chunked\r\n"), "{new}");
        let old = written(head, Version::HTTP_10, Method::GET);
        assert!(!old.contains("Transfer-Encoding"), "{old}");
        let asked = written(head, Version::HTTP_11, Method::HEAD);
        assert!(!asked.contains("Transfer-Encoding"), "{asked}");
    }

    #[test]
    fn a_head_passes_as_it_came_without_what_is_of_one_connection() {
        let head = "HTTP/1.1 200 Fine\r\nX-a: 1\r\nConnection: x-A, keep-alive\r\nSERVER: s\r\nDate: theirs\r\n\
                    Set-Cookie: a=1\r\nContent-Length: 3\r\nSet-Cookie: b=2\r\nKeep-Alive: timeout=5\r\nF: a\r\n b\r\n\r\n";
        assert_eq!(
            written(head, Version::HTTP_11, Method::GET),
            "HTTP/1.1 200 Fine\r\nDate: today\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\
             SERVER: s\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nF: a   b\r\n\r\n"
        );
    }

    #[test]
    fn connection_cannot_name_away_what_frames_or_routes() {
        let head = "HTTP/1.1 200 OK\r\nConnection: content-length, content-type\r\nContent-Length: 3\r\nContent-Type: a/b\r\n\r\n";
        let text = written(head, Version::HTTP_11, Method::GET);
        assert!(
            text.contains("Content-Length: 3\r\n") && text.contains("Content-Type: a/b\r\n"),
            "{text}"
        );
    }

    #[test]
    fn a_304_keeps_its_length_and_a_204_has_none() {
        for (status, kept) in [(304, true), (204, false)] {
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\n");
            let text = written(&head, Version::HTTP_11, Method::GET);
            assert_eq!(text.contains("Content-Length"), kept, "{text}");
            testing::with_head(head.as_bytes(), |head| {
                let client = Client::of(&Method::GET, Version::HTTP_11);
                assert_eq!(framing(&head, client, false), Framing::None);
            });
        }
    }

    #[test]
    fn every_set_cookie_reaches_an_http_2_client() {
        let head = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: close\r\nContent-Length: 5, 5\r\n\r\n";
        testing::with_head(head.as_bytes(), |head| {
            let fields = fields(&head, &Own::default()).unwrap();
            assert_eq!(fields.get_all(header::SET_COOKIE).iter().count(), 2);
            assert!(!fields.contains_key(header::CONNECTION));
            assert_eq!(fields[header::CONTENT_LENGTH], "5");
        });
    }

    proptest! {
        #[test]
        fn a_client_reads_the_framing_that_was_meant(
            fields in "((Content-Length: (0|5|5, 5)|Transfer-Encoding: chunked|Connection: (close|x-a, content-length)|X-a: [ -~\\x80-\\xff]{0,9}(\r\n [a-z]{1,3})?|Date : x|Set-Cookie: a)\r\n){0,6}",
            status in prop::sample::select(vec![200u16, 204, 206, 304, 404]),
            is_head in any::<bool>(),
        ) {
            let head = format!("HTTP/1.1 {status} R\r\n{fields}\r\n");
            let mut parsed = Parsed::default();
            if let Ok(Some(size)) = parsed.parse(head.as_bytes()) {
                prop_assert_eq!(size, head.len());
                let method = if is_head { Method::HEAD } else { Method::GET };
                let from = parsed.with(head.as_bytes());
                let framing = framing(&from, Client::of(&method, Version::HTTP_11), false);
                let mut wire = Vec::new();
                write(&from, framing, Afterwards::Keep, b"today", &Own::default(), &mut wire);
                let mut again = Parsed::default();
                prop_assert_eq!(again.parse(&wire), Ok(Some(wire.len())));
                let to = again.with(&wire);
                prop_assert_eq!(to.is_chunked(), framing == Framing::Chunked);
                if let Framing::Length(length) = framing {
                    prop_assert_eq!(to.length(), Some(length));
                }
            }
        }
    }
}
