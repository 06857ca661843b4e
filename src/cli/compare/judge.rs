//! What differs between two answers, and which differences are meant.
//!
//! Pure. Reasons are given where hubgate is not to be nginx: its name, its own pages, the framing of the same bytes.
//! Invariant: a difference in status, or in a field or body that came from an upstream, is never explained.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::exchange::{Answer, Request};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Of what.
    pub(super) what: String,
    pub(super) nginx: String,
    pub(super) hubgate: String,
    /// Why it is meant, if it is.
    pub(super) reason: Option<&'static str>,
}

/// Fields that each server has its own words for.
const OWN: &[(&str, &str)] = &[
    (
        "server",
        "each tells its own name, and hubgate that of the upstream",
    ),
    ("date", "they did not answer in the same second"),
    ("connection", "it is about this connection only"),
    ("keep-alive", "it is about this connection only"),
    (
        "x-request-id",
        "hubgate gives each request an id that its log and `hubgate why` know",
    ),
];

/// Fields of a page that the server made itself.
const PAGE: &[&str] = &[
    "content-type",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "content-language",
    "content-security-policy",
    "cache-control",
    "vary",
    "x-content-type-options",
    "x-hubgate-cause",
    "retry-after",
    "allow",
];

const PAGES: &str = "each has its own page for an error or a redirect";
const PACKED: &str = "the same bytes, compressed otherwise";
const FRAMING: &str = "the same bytes, framed otherwise";
const PORTS: &str = "it names the port that was asked";

/// What differs.
pub(super) fn judge(request: &Request, nginx: &Answer, hubgate: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut say = |what: &str, nginx: String, hubgate: String, reason| {
        found.push(Difference {
            what: what.to_owned(),
            nginx,
            hubgate,
            reason,
        });
    };
    if nginx.status != hubgate.status {
        say(
            "status",
            nginx.status.to_string(),
            hubgate.status.to_string(),
            None,
        );
        return found;
    }
    let is_head = request.method == "HEAD";
    let bodies = (unpacked(nginx), unpacked(hubgate));
    let page = is_page(nginx, &bodies.0, is_head);
    let same_body = bodies.0 == bodies.1;
    let same_bytes = nginx.body == hubgate.body;
    if nginx.whole != hubgate.whole {
        say("end", whole(nginx), whole(hubgate), None);
    } else if same_body && !same_bytes {
        say("body", show(&nginx.body), show(&hubgate.body), Some(PACKED));
    } else if !same_body {
        let explained = page.then_some(PAGES);
        say("body", show(&bodies.0), show(&bodies.1), explained);
    }
    let mut names: Vec<_> = nginx
        .fields
        .iter()
        .chain(&hubgate.fields)
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let (theirs, ours) = (values(nginx, name), values(hubgate, name));
        if theirs == ours {
            continue;
        }
        let own = OWN
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, reason)| *reason);
        let framing = matches!(&**name, "transfer-encoding" | "content-length")
            && (same_body && (!is_head || theirs.is_empty() || ours.is_empty()));
        let reason = match &**name {
            _ if own.is_some() => own,
            _ if framing => Some(FRAMING),
            name if page && PAGE.contains(&name) => Some(PAGES),
            "location" | "refresh" if ported(&ours) == ported(&theirs) => Some(PORTS),
            _ => None,
        };
        say(name, theirs.join(", "), ours.join(", "), reason);
    }
    found
}

/// The largest body that is undone to be compared.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The body as it was before it was compressed; as it came where it was not, cannot be undone or is too large: of the
/// beginning of two bodies nothing follows for the rest.
fn unpacked(answer: &Answer) -> Cow<'_, [u8]> {
    let mut body = Vec::new();
    if values(answer, "content-encoding") == ["gzip"] {
        let mut undone = MultiGzDecoder::new(&*answer.body).take(LARGEST + 1);
        let read = undone.read_to_end(&mut body);
        if read.is_ok_and(|length| (1..=LARGEST).contains(&(length as u64))) {
            return Cow::Owned(body);
        }
    }
    Cow::Borrowed(&answer.body)
}

/// What nginx says of its own pages, and of nothing else.
const BARE: &[&str] = &[
    "server",
    "date",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
];

/// Whether nginx made the body itself: its pages say so, unless they are compressed or left out of an answer to HEAD, and
/// have few fields.
fn is_page(answer: &Answer, body: &[u8], is_head: bool) -> bool {
    let is_bare = |(name, _): &(String, String)| BARE.contains(&&**name);
    if answer.status >= 400
        && values(answer, "content-encoding") == ["gzip"]
        && answer.fields.iter().all(is_bare)
    {
        return true;
    }
    let made = |part: &[u8]| body.windows(part.len()).any(|own| own == part);
    match is_head {
        true => answer.status >= 300 && values(answer, "content-type") == ["text/html"],
        false => made(b"<hr><center>nginx") || answer.status == 304 || answer.status == 405,
    }
}

fn values(answer: &Answer, name: &str) -> Vec<String> {
    let own = answer.fields.iter().filter(|(own, _)| own == name);
    own.map(|(_, value)| value.clone()).collect()
}

/// Addresses without their ports: the two listen on different ones.
fn ported(values: &[String]) -> Vec<String> {
    let bare = |value: &String| {
        let (scheme, rest) = value.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let name = host.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let host = if name == host {
            host
        } else {
            name.strip_suffix(':').unwrap_or(host)
        };
        Some(format!("{scheme}://{host}{path}"))
    };
    let bare = values
        .iter()
        .map(|value| bare(value).unwrap_or_else(|| value.clone()));
    bare.collect()
}

fn whole(answer: &Answer) -> String {
    match answer.whole {
        true => format!("came whole ({} bytes)", answer.body.len()),
        false => format!("was cut short after {} bytes", answer.body.len()),
    }
}

/// A body's beginning.
fn show(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    format!("{} bytes {text:?}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Answer {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Answer {
            status,
            fields: fields.iter().map(text).collect(),
            body: body.as_bytes().to_vec(),
            whole: true,
        }
    }

    fn differing(nginx: &Answer, hubgate: &Answer) -> Vec<(String, bool)> {
        let request = Request {
            pair: "127.0.0.1:80=127.0.0.1:8080".parse().unwrap(),
            tls: false,
            host: "a".to_owned(),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            fields: Vec::new(),
            body: "",
        };
        let found = judge(&request, nginx, hubgate).into_iter();
        found.map(|own| (own.what, own.reason.is_some())).collect()
    }

    #[test]
    fn names_framing_pages_and_ports_are_explained() {
        let nginx = answer(
            301,
            &[
                ("server", "nginx"),
                ("location", "http://a:80/b"),
                ("content-length", "9"),
            ],
            "<hr><center>nginx/1.22.1</center>",
        );
        let hubgate = answer(
            301,
            &[("location", "http://a:8080/b"), ("x-request-id", "1")],
            "",
        );
        let found = differing(&nginx, &hubgate);
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|(_, explained)| *explained), "{found:?}");
    }

    #[test]
    fn the_same_bytes_compressed_otherwise_are_the_same() {
        let packed = |level: u32, text: &str| {
            let level = flate2::Compression::new(level);
            let mut encoder = flate2::read::GzEncoder::new(text.as_bytes(), level);
            let mut answer = answer(200, &[("content-encoding", "gzip")], "");
            encoder.read_to_end(&mut answer.body).unwrap();
            answer
        };
        let text = "a text that says a text that says a text".repeat(9);
        let found = differing(&packed(1, &text), &packed(9, &text));
        assert!(found.iter().all(|(_, explained)| *explained), "{found:?}");
        let found = differing(&packed(1, &text), &packed(1, &text.replace("says", "sang")));
        assert_eq!(found, [("body".to_owned(), false)]);
        let long = " ".repeat(usize::try_from(LARGEST).unwrap());
        let ends = |end: &str| packed(9, &format!("{long}{end}"));
        let found = differing(&ends("one"), &ends("two"));
        assert_eq!(found, [("body".to_owned(), false)], "beyond what is undone");
    }

    #[test]
    fn what_an_upstream_said_is_never_explained_away() {
        let nginx = answer(
            200,
            &[("cache-control", "no-cache"), ("content-type", "a/b")],
            "x",
        );
        let hubgate = answer(
            200,
            &[("cache-control", "no-store"), ("content-type", "a/b")],
            "y",
        );
        let found = differing(&nginx, &hubgate);
        let not = |what: &str| (what.to_owned(), false);
        assert_eq!(found, [not("body"), not("cache-control")]);
        let found = differing(&nginx, &answer(404, &[], "x"));
        assert_eq!(found, [not("status")]);
    }
}
