//! What variables tell of a request's answer: who was asked and how long it took, what it said, what became of it.
//!
//! Of several tries nginx's lists are made: a comma between two of one route, a colon where another route took over. While
//! an answer's head goes out its end is not known, and reads `-`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::filter::edit::Line;
use super::trace::Try;
use crate::config::Variable;
use crate::upstream::http1::ResponseHead;

/// What is known of a request's answer when its head goes out, or when it is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Its status.
    pub status: u16,
    /// The upstream's head, while it is at hand; `None` for an answer of hubgate's own.
    pub head: Option<ResponseHead<'a>>,
    /// What was kept of heads.
    pub kept: Option<&'a Kept>,
    /// Tries that failed.
    pub failed: &'a [Try],
    /// The one after them.
    pub last: Option<Try>,
    /// When the answer came to its end, if it has.
    pub over: Option<Instant>,
    /// Whether it was a whole one.
    pub whole: bool,
    /// Bytes of its body.
    pub body: u64,
    /// Bytes of it before compression and after.
    pub squeezed: (u64, u64),
}

/// The lines of heads that a log names.
#[derive(Debug, Default)]
pub struct Kept {
    /// As the upstream wrote them.
    pub upstream: Vec<Line>,
    /// As the client got them.
    pub sent: Vec<Line>,
}

impl Kept {
    /// All of an answer's head that its client does not get.
    pub(super) fn of(head: &ResponseHead<'_>) -> Self {
        let lines = head.fields();
        let lines = lines.map(|field| (field.name.to_vec(), field.value.to_vec()));
        Self {
            upstream: lines.collect(),
            sent: Vec::new(),
        }
    }
}

impl Known<'_> {
    /// With the status of an answer that is about to be made, unless it is an error's already.
    #[must_use]
    pub(super) fn saying(known: Option<Self>, status: u16) -> Self {
        let known = known.unwrap_or_default();
        match known.status {
            0 => Self { status, ..known },
            _ => known,
        }
    }

    /// Appends the value of `variable`; nothing when it is not about answers.
    pub(super) fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
        match variable {
            Variable::Status => number(out, u64::from(self.status)),
            Variable::BodyBytesSent => number(out, self.body),
            Variable::GzipRatio => ratio(self.squeezed, out),
            Variable::Completion if self.whole => out.extend_from_slice(b"OK"),
            Variable::UpstreamAddr => self.list(out, |one, out| {
                let written = write!(out, "{}", one.endpoint);
                debug_assert!(written.is_ok(), "a Vec takes every write");
            }),
            Variable::UpstreamStatus => self.list(out, |one, out| {
                match one.status.or(one.cause.map(|cause| cause.status())) {
                    Some(status) => number(out, u64::from(status)),
                    None => out.push(b'-'),
                }
            }),
            Variable::UpstreamConnectTime => self.list(out, |one, out| {
                // nginx counts no time for a connection that was open.
                let sent = one.sent_at.map(|_| Duration::ZERO);
                seconds(out, one.connect_time.or(sent));
            }),
            Variable::UpstreamHeaderTime => self.list(out, |one, out| {
                let took = one
                    .answered_at
                    .map(|at| at.saturating_duration_since(one.begun));
                seconds(out, took);
            }),
            Variable::UpstreamResponseTime => self.list(out, |one, out| {
                let ended = one.ended.or(self.over);
                seconds(out, ended.map(|at| at.saturating_duration_since(one.begun)));
            }),
            Variable::UpstreamLength => self.list(out, |one, out| number(out, one.body)),
            Variable::UpstreamReceived => self.list(out, |one, out| number(out, one.bytes.0)),
            Variable::UpstreamSent => self.list(out, |one, out| number(out, one.bytes.1)),
            Variable::UpstreamField(name) => self.fields(name, false, out),
            // Of the fields about the connection it alone says something of the answer.
            Variable::SentField(name) if self.status == 101 && name == "connection" => {
                out.extend_from_slice(b"upgrade");
            }
            Variable::SentField(name) => self.fields(name, true, out),
            Variable::UpstreamCookie(name) => self.cookie(name, out),
            _ => {}
        }
    }

    fn list(&self, out: &mut Vec<u8>, mut one: impl FnMut(&Try, &mut Vec<u8>)) {
        for (index, tried) in self.failed.iter().chain(&self.last).enumerate() {
            if index > 0 {
                out.extend_from_slice(if tried.anew { b" : " } else { b", " });
            }
            one(tried, out);
        }
    }

    /// A field's values, as one list; of cookies the first, for they are no list (RFC 6265 section 3).
    fn fields(&self, name: &str, sent: bool, out: &mut Vec<u8>) {
        let mut first = true;
        let alone = name.eq_ignore_ascii_case("set-cookie");
        let mut add = |field: &[u8], value: &[u8]| {
            if field.eq_ignore_ascii_case(name.as_bytes()) {
                if !std::mem::take(&mut first) {
                    if alone {
                        return;
                    }
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(value);
            }
        };
        match (self.kept, &self.head) {
            (Some(kept), _) => {
                let lines = if sent { &kept.sent } else { &kept.upstream };
                lines.iter().for_each(|(field, value)| add(field, value));
            }
            (None, Some(head)) => head.fields().for_each(|field| add(field.name, field.value)),
            (None, None) => {}
        }
        // It has no line of its own where lines are kept.
        if sent && first && self.status == 101 && name.eq_ignore_ascii_case("connection") {
            out.extend_from_slice(b"upgrade");
        }
    }

    /// The value of the cookie that the upstream sets, without what it says of it.
    fn cookie(&self, name: &str, out: &mut Vec<u8>) {
        let mut found = None;
        let mut look = |field: &[u8], value: &[u8]| {
            if found.is_none() && field.eq_ignore_ascii_case(b"set-cookie") {
                let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
                let mut pair = pair.splitn(2, |byte| *byte == b'=');
                let is = |own: &[u8]| own.eq_ignore_ascii_case(name.as_bytes());
                let value = pair.next().filter(|own| is(own)).and_then(|_| pair.next());
                found = value.map(<[u8]>::to_vec);
            }
        };
        match (self.kept, &self.head) {
            (Some(kept), _) => kept
                .upstream
                .iter()
                .for_each(|(field, value)| look(field, value)),
            (None, Some(head)) => head
                .fields()
                .for_each(|field| look(field.name, field.value)),
            (None, None) => {}
        }
        out.extend(found.unwrap_or_default());
    }
}

pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    let written = write!(out, "{number}");
    debug_assert!(written.is_ok(), "a Vec takes every write");
}

/// How many times larger the first is, in hundredths; nothing where nothing was made.
fn ratio((from, to): (u64, u64), out: &mut Vec<u8>) {
    let hundredths = from.saturating_mul(1000) / to.max(1) + 5;
    if to > 0 {
        let written = write!(out, "{}.{:02}", hundredths / 1000, hundredths % 1000 / 10);
        debug_assert!(written.is_ok(), "a Vec takes every write");
    }
}

/// Seconds with milliseconds, or `-`.
pub(super) fn seconds(out: &mut Vec<u8>, time: Option<Duration>) {
    let Some(time) = time else {
        return out.push(b'-');
    };
    let written = write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis());
    debug_assert!(written.is_ok(), "a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::cause::Cause;

    fn text(known: &Known<'_>, variable: &Variable) -> String {
        let mut out = Vec::new();
        known.append(variable, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_upgrade_is_known_by_the_field_that_says_so() {
        let sent = Variable::SentField("connection".to_owned());
        let of = |status| Known {
            status,
            ..Known::default()
        };
        assert_eq!(text(&of(101), &sent), "upgrade");
        assert_eq!(text(&of(200), &sent), "");
    }

    fn tried(port: u16) -> Try {
        let begun = crate::transport::now();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Try::begun(address.into(), begun)
    }

    #[test]
    fn tries_are_told_in_lists_and_what_has_not_ended_by_a_dash() {
        let mut first = tried(1);
        first.ended = Some(first.begun + Duration::from_millis(1500));
        first.cause = Some(Cause::UpstreamConnect);
        let mut second = tried(2);
        second.sent_at = Some(second.begun);
        second.status = Some(204);
        second.anew = true;
        let failed = [first];
        let mut known = Known {
            failed: &failed,
            last: Some(second),
            ..Known::default()
        };
        assert_eq!(
            text(&known, &Variable::UpstreamAddr),
            "127.0.0.1:1 : 127.0.0.1:2"
        );
        assert_eq!(text(&known, &Variable::UpstreamStatus), "502 : 204");
        assert_eq!(text(&known, &Variable::UpstreamConnectTime), "- : 0.000");
        assert_eq!(text(&known, &Variable::UpstreamResponseTime), "1.500 : -");
        known.over = Some(second.begun + Duration::from_millis(7));
        assert_eq!(
            text(&known, &Variable::UpstreamResponseTime),
            "1.500 : 0.007"
        );
    }

    #[test]
    fn a_ratio_is_rounded_to_hundredths_and_nothing_without_compression() {
        let ratio = |squeezed| {
            let known = Known {
                squeezed,
                ..Known::default()
            };
            text(&known, &Variable::GzipRatio)
        };
        assert_eq!(ratio((1000, 30)), "33.33");
        assert_eq!(ratio((1999, 1000)), "2.00");
        assert_eq!(ratio((10, 30)), "0.33");
        assert_eq!(ratio((0, 0)), "");
    }

    #[test]
    fn fields_of_both_heads_are_named_and_cookies_by_their_name() {
        let line = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let kept = Kept {
            upstream: vec![
                line("X-A", "1"),
                line("Set-Cookie", "c=2; Path=/"),
                line("x-a", "3"),
            ],
            sent: vec![line("X-A", "4")],
        };
        let known = Known {
            kept: Some(&kept),
            ..Known::default()
        };
        assert_eq!(text(&known, &Variable::UpstreamField("x-a".into())), "1, 3");
        assert_eq!(text(&known, &Variable::SentField("x-a".into())), "4");
        assert_eq!(text(&known, &Variable::UpstreamCookie("c".into())), "2");
        assert_eq!(text(&known, &Variable::UpstreamCookie("d".into())), "");
    }
}
