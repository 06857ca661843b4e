//! Which answers are compressed or decompressed, and what their heads say then: nginx's rules, in its order.
//!
//! Pure: lines of a head in, a plan out. The length that a head announces is not among its lines; whoever has a plan
//! leaves it out.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT, VIA};
use http::{HeaderMap, Version};

use super::replace::Pairs;
use crate::config::{Bodies, Charset, Compress, Lookup, Proxied, Replace};
use crate::proxy::filter::edit::Line;

/// What is done to one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Plan {
    /// gzip is undone.
    pub(super) gunzip: bool,
    /// Texts are replaced, and whether each once.
    pub(super) replace: Option<(Arc<Pairs>, bool)>,
    /// gzip is made.
    pub(super) gzip: Option<GzipPlan>,
}

/// How gzip is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GzipPlan {
    pub(super) level: u8,
    length: Option<u64>,
}

impl GzipPlan {
    /// Bits of the window: no more than the body can use.
    pub(super) fn window(self) -> u8 {
        let fits = |bits: &u8| self.length.is_some_and(|length| length < (1 << (bits - 1)));
        (10..=14).find(fits).unwrap_or(15)
    }
}

#[cfg(test)]
impl Plan {
    /// Only makes gzip, of a body of this length, if it is known.
    pub(super) fn gzip(level: u8, length: Option<u64>) -> Self {
        let gzip = Some(GzipPlan { level, length });
        Self {
            gunzip: false,
            replace: None,
            gzip,
        }
    }

    /// Only undoes gzip.
    pub(super) fn gunzip() -> Self {
        Self {
            gunzip: true,
            replace: None,
            gzip: None,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Asker<'a> {
    /// Its fields.
    pub(in crate::proxy) fields: &'a HeaderMap,
    /// Its version.
    pub(in crate::proxy) version: Version,
}

/// What is done to the body of an answer with this status, of this length if that is known; `lines` are its head's, and
/// say so afterwards. `None` when it stays as it is.
pub(in crate::proxy) fn judge(
    bodies: &Bodies,
    asker: Asker<'_>,
    (status, length): (u16, Option<u64>),
    (now, values): (SystemTime, &dyn Lookup),
    lines: &mut Vec<Line>,
) -> Option<Plan> {
    if let Some(own) = bodies.charset() {
        charset(own, lines);
    }
    let compress = bodies.compression();
    let coded = find(lines, "content-encoding").map(|coding| coding == b"gzip");
    let mut gunzip = false;
    if coded == Some(true) && bodies.decompress == Some(true) {
        vary(compress.is_none_or(|own| own.vary), lines);
        gunzip = !takes(compress, asker, lines, now);
    }
    let plain = coded.is_none() || gunzip;
    let replace = bodies
        .replace()
        .filter(|own| plain && length != Some(0) && own.types.fit(find(lines, "content-type")));
    let length = length.filter(|_| replace.is_none());
    let own = compress.filter(|own| plain && !gunzip && is_for(own, status, length, lines));
    let mut gzip = None;
    if let Some(own) = own {
        vary(own.vary, lines);
        gzip = takes(Some(own), asker, lines, now).then_some(GzipPlan {
            level: own.level,
            length,
        });
    }
    let plan = Plan {
        gunzip,
        replace: replace.map(|own| (pairs(own, values), own.once)),
        gzip,
    };
    if !plan.gunzip && plan.replace.is_none() && plan.gzip.is_none() {
        return None;
    }
    lines.retain(|(name, _)| !is(name, "accept-ranges"));
    if plan.gunzip {
        lines.retain(|(name, _)| !is(name, "content-encoding"));
    }
    if plan.gzip.is_some() {
        lines.push((b"Content-Encoding".to_vec(), b"gzip".to_vec()));
    }
    match replace {
        Some(own) if !own.last_modified => {
            lines.retain(|(name, _)| !is(name, "last-modified") && !is(name, "etag"));
        }
        _ => weaken(lines),
    }
    Some(plan)
}

/// What is replaced by what, for the request at hand.
fn pairs(own: &Replace, values: &dyn Lookup) -> Arc<Pairs> {
    let pairs = own.pairs.iter();
    pairs
        .map(|(from, to)| (from.value(values).into(), to.value(values).into()))
        .collect()
}

/// Whether files with this media type and length are compressed for whoever asks, and whether caches are told: parts of
/// them cannot be had then.
pub(in crate::proxy) fn would(
    bodies: &Bodies,
    asker: Asker<'_>,
    length: u64,
    kind: &[u8],
    (now, values): (SystemTime, &dyn Lookup),
) -> (bool, bool) {
    let mut lines = vec![(b"Content-Type".to_vec(), kind.to_vec())];
    let plan = judge(
        bodies,
        asker,
        (200, Some(length)),
        (now, values),
        &mut lines,
    );
    (plan.is_some(), find(&lines, "vary").is_some())
}

/// Whether who asks takes gzip of a file that is compressed already, and gets it.
pub(in crate::proxy) fn takes_gzip(
    bodies: Option<&Bodies>,
    asker: Asker<'_>,
    now: SystemTime,
) -> bool {
    takes(bodies.and_then(Bodies::compression), asker, &[], now)
}

/// Whether an answer is of the kind that is compressed.
fn is_for(own: &Compress, status: u16, length: Option<u64>, lines: &[Line]) -> bool {
    matches!(status, 200 | 403 | 404)
        && length.is_none_or(|length| length >= own.min_length.0)
        && own.types.fit(find(lines, "content-type"))
}

/// Whether who asks takes gzip, and gets it.
fn takes(own: Option<&Compress>, asker: Asker<'_>, lines: &[Line], now: SystemTime) -> bool {
    let accepts = asker.fields.get(ACCEPT_ENCODING);
    if !accepts.is_some_and(|accepts| accepts_gzip(accepts.as_bytes())) {
        return false;
    }
    let old = asker.version < Version::HTTP_11;
    if old && !own.is_some_and(|own| own.http_1_0) {
        return false;
    }
    if asker.fields.contains_key(VIA) {
        let which = own.map_or(Proxied::OFF, |own| own.proxied);
        if !may_be_kept(which, asker, lines, now) {
            return false;
        }
    }
    let agent = asker.fields.get(USER_AGENT);
    let mut except = own.into_iter().flat_map(|own| &own.except);
    !agent.is_some_and(|agent| except.any(|one| one.matches(agent.as_bytes())))
}

/// Whether an answer to a proxy's request is compressed.
fn may_be_kept(which: Proxied, asker: Asker<'_>, lines: &[Line], now: SystemTime) -> bool {
    if which == Proxied::OFF {
        return false;
    }
    if which.has(Proxied::ANY)
        || (which.has(Proxied::AUTH) && asker.fields.contains_key(AUTHORIZATION))
    {
        return true;
    }
    if let Some(expires) = find(lines, "expires") {
        let text = std::str::from_utf8(expires).ok();
        let until = text.and_then(|text| httpdate::parse_http_date(text).ok());
        return which.has(Proxied::EXPIRED) && until.is_some_and(|until| until < now);
    }
    if let Some(control) = find(lines, "cache-control") {
        let says = |word: &[u8]| {
            control
                .split(|byte| *byte == b',')
                .any(|one| one.trim_ascii().eq_ignore_ascii_case(word))
        };
        return (which.has(Proxied::NO_CACHE) && says(b"no-cache"))
            || (which.has(Proxied::NO_STORE) && says(b"no-store"))
            || (which.has(Proxied::PRIVATE) && says(b"private"));
    }
    let lacks = |one: Proxied, name: &str| !which.has(one) || find(lines, name).is_none();
    lacks(Proxied::NO_LAST_MODIFIED, "last-modified") && lacks(Proxied::NO_ETAG, "etag")
}

/// Whether a value of `Accept-Encoding` names gzip, with a weight above zero (RFC 9110 section 12.5.3).
fn accepts_gzip(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|one| {
        let mut parts = one.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(b"gzip"));
        let weight = parts.next().map(|weight| {
            let number = weight.strip_prefix(b"q=").or(weight.strip_prefix(b"Q="));
            number.is_some_and(is_above_zero)
        });
        is_gzip && weight.unwrap_or(true)
    })
}

/// Whether a weight is one, and above zero: `0.001` to `1.000`.
fn is_above_zero(weight: &[u8]) -> bool {
    let (whole, part) = match weight {
        [whole @ (b'0' | b'1')] => (*whole, &b""[..]),
        [whole @ (b'0' | b'1'), b'.', part @ ..] if part.len() <= 3 => (*whole, part),
        _ => return false,
    };
    let digits = part.iter().all(u8::is_ascii_digit);
    let zero = part.iter().all(|digit| *digit == b'0');
    digits && ((whole == b'1') == zero)
}

/// Says the charset of a text that does not say it.
fn charset(own: &Charset, lines: &mut [Line]) {
    let kind = lines.iter_mut().find(|(name, _)| is(name, "content-type"));
    let Some((_, value)) = kind else { return };
    let text = String::from_utf8_lossy(value).into_owned();
    let lower = text.to_ascii_lowercase();
    let said = lower.find("charset=").filter(|at| {
        let before = lower.get(..*at).unwrap_or_default().trim_end();
        before.ends_with(';')
    });
    let (rest, told) = match said {
        None if own.types.has(value) => (text.as_str(), true),
        Some(at) if own.replace => {
            let before = text.get(..at).unwrap_or_default().trim_end();
            (before.trim_end_matches(';').trim_end(), true)
        }
        _ => (text.as_str(), false),
    };
    if told {
        *value = format!("{rest}; charset={}", own.name).into_bytes();
    }
}

/// Tells caches what the answer depends on, unless they are told.
fn vary(tells: bool, lines: &mut Vec<Line>) {
    let told = lines.iter().any(|(name, value)| {
        let mut words = value.split(|byte| *byte == b',');
        is(name, "vary")
            && words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"accept-encoding"))
    });
    if tells && !told {
        lines.push((b"Vary".to_vec(), b"Accept-Encoding".to_vec()));
    }
}

/// Another coding is another form of the same (RFC 9110 section 8.8.1).
fn weaken(lines: &mut Vec<Line>) {
    lines.retain(|(name, value)| {
        !is(name, "etag") || value.starts_with(b"\"") || value.starts_with(b"W/\"")
    });
    for (_, value) in lines.iter_mut().filter(|(name, _)| is(name, "etag")) {
        if value.starts_with(b"\"") {
            value.splice(0..0, *b"W/");
        }
    }
}

fn is(name: &[u8], wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted.as_bytes())
}

fn find<'a>(lines: &'a [Line], wanted: &str) -> Option<&'a [u8]> {
    let mut lines = lines.iter();
    let found = lines.find(|(name, _)| is(name, wanted));
    found.map(|(_, value)| &**value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::config::{Compression, MediaTypes, Variable};
    use crate::types::amount::ByteSize;

    /// No variable has a value.
    struct Nothing;

    impl Lookup for Nothing {
        fn append(&self, _: &Variable, _: &mut Vec<u8>) {}
    }

    fn bodies(proxied: Proxied) -> Bodies {
        Bodies {
            compress: Some(Arc::new(Compression::On(Box::new(Compress {
                types: MediaTypes::new(["text/html"]),
                min_length: ByteSize(20),
                level: 1,
                vary: true,
                proxied,
                http_1_0: false,
                except: Vec::new(),
            })))),
            decompress: Some(true),
            charset: None,
            replace: None,
        }
    }

    fn lines(all: &[(&str, &str)]) -> Vec<Line> {
        let all = all.iter();
        all.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    fn judged(
        proxied: Proxied,
        asked: &[(&'static str, &'static str)],
        said: &[(&str, &str)],
        of: (u16, Option<u64>),
    ) -> (Option<Plan>, Vec<Line>) {
        let mut fields = HeaderMap::new();
        for (name, value) in asked {
            fields.insert(*name, value.parse().unwrap());
        }
        let asker = Asker {
            fields: &fields,
            version: Version::HTTP_11,
        };
        let mut lines = lines(said);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let plan = judge(&bodies(proxied), asker, of, (now, &Nothing), &mut lines);
        (plan, lines)
    }

    #[test]
    fn weights_are_those_of_the_standard() {
        for (value, taken) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip; q=0.001", true),
            ("gzip;q=1.001", false),
            ("gzip;q=2", false),
            ("xgzip, gzipx", false),
            ("br", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(value.as_bytes()), taken, "{value}");
        }
    }

    #[test]
    fn a_compressed_answer_says_so_and_weakens_its_tag() {
        let said = [
            ("Content-Type", "text/html; charset=x"),
            ("ETag", "\"1\""),
            ("Accept-Ranges", "bytes"),
        ];
        let asked = [("accept-encoding", "gzip")];
        let (plan, told) = judged(Proxied::OFF, &asked, &said, (200, Some(20)));
        assert_eq!(plan, Some(Plan::gzip(1, Some(20))));
        let wanted = lines(&[
            ("Content-Type", "text/html; charset=x"),
            ("ETag", "W/\"1\""),
            ("Vary", "Accept-Encoding"),
            ("Content-Encoding", "gzip"),
        ]);
        assert_eq!(told, wanted);
        // Whoever does not take it is told of it all the same.
        let (plan, told) = judged(Proxied::OFF, &[], &said, (200, None));
        assert_eq!((plan, told.len()), (None, 4));
    }

    #[test]
    fn what_is_short_partial_or_of_another_kind_stays_as_it_is() {
        let asked = [("accept-encoding", "gzip")];
        for (status, length, kind, coding) in [
            (200, Some(19), "text/html", ""),
            (206, None, "text/html", ""),
            (304, None, "text/html", ""),
            (200, None, "text/plain", ""),
            (200, None, "text/html", "br"),
            (200, None, "text/html", "gzip"),
        ] {
            let mut said = vec![("content-type", kind)];
            if !coding.is_empty() {
                said.push(("content-encoding", coding));
            }
            let (plan, told) = judged(Proxied::OFF, &asked, &said, (status, length));
            assert_eq!(plan, None, "{status} {kind} {coding}");
            assert!(told.iter().all(|(name, _)| !is(name, "etag")));
        }
        let said = [("content-type", "text/html"), ("content-encoding", "gzip")];
        let (plan, told) = judged(Proxied::OFF, &[], &said, (200, Some(5)));
        assert_eq!(plan, Some(Plan::gunzip()));
        assert!(find(&told, "content-encoding").is_none());
    }

    #[test]
    fn a_charset_is_said_where_none_is() {
        let own = |replace| Charset {
            name: "koi8-r".into(),
            types: MediaTypes::new(["text/html"]),
            replace,
        };
        for (kind, replace, wanted) in [
            ("text/html", false, "text/html; charset=koi8-r"),
            ("text/plain", false, "text/plain"),
            ("text/html; charset=a", false, "text/html; charset=a"),
            ("x/y;Charset=a", true, "x/y; charset=koi8-r"),
        ] {
            let mut lines = lines(&[("Content-Type", kind)]);
            charset(&own(replace), &mut lines);
            assert_eq!(find(&lines, "content-type"), Some(wanted.as_bytes()));
        }
    }

    #[test]
    fn an_answer_to_a_proxy_is_compressed_when_its_head_allows_it() {
        let asked = [("accept-encoding", "gzip"), ("via", "1.1 x")];
        let old = "Thu, 01 Jan 1970 00:00:00 GMT";
        let new = "Fri, 01 Jan 2100 00:00:00 GMT";
        for (which, more, gets) in [
            (Proxied::OFF, ("x", "y"), false),
            (Proxied::ANY, ("x", "y"), true),
            (Proxied::EXPIRED, ("expires", old), true),
            (Proxied::EXPIRED, ("expires", new), false),
            (Proxied::NO_STORE, ("cache-control", "a, no-store"), true),
            (Proxied::NO_STORE, ("cache-control", "private"), false),
            (Proxied::NO_ETAG, ("etag", "\"1\""), false),
            (Proxied::NO_ETAG, ("x", "y"), true),
            (Proxied::AUTH, ("cache-control", "private"), false),
        ] {
            let said = [("content-type", "text/html"), more];
            let (plan, _) = judged(which, &asked, &said, (200, None));
            assert_eq!(plan.is_some(), gets, "{which:?} {more:?}");
        }
    }
}
