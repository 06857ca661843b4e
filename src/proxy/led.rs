//! Where an upstream leads a request by `X-Accel-Redirect`: its answer is thrown away, and a route answers in its place.
//!
//! Only of routes that say `accel`. Going there is `anew`'s.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, EXPIRES, SET_COOKIE,
};
use http::{HeaderName, HeaderValue};

use super::connection_values::decoded;
use super::heads::Edits;
use super::known::Kept;
use crate::router::target;
use crate::upstream::http1::ResponseHead;

/// Where an upstream leads a request, and what of its answer's head is kept.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) to: Vec<u8>,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    /// All of that head, for variables.
    pub(super) said: Box<Kept>,
}

/// Fields of an answer that is thrown away which the answer in its place has.
const KEPT: [HeaderName; 6] = [
    ACCEPT_RANGES,
    CONTENT_TYPE,
    CONTENT_DISPOSITION,
    CACHE_CONTROL,
    EXPIRES,
    SET_COOKIE,
];

/// Where that leads, decoded; `None` for what leads out of a folder, or is no path.
pub(super) fn safe(to: &[u8]) -> Option<Vec<u8>> {
    let (path, args) = target::path_of(to);
    let path: Vec<u8> = decoded(path);
    let leaves = path.split(|byte| *byte == b'/').any(|part| part == b"..");
    let is_path = path.first() == Some(&b'/') && !path.contains(&0);
    (is_path && !leaves).then(|| match args {
        Some(args) => [&path, &b"?"[..], args].concat(),
        None => path,
    })
}

impl Edits<'_> {
    /// Whether the upstream's answer leads elsewhere, which is noted.
    pub(super) fn is_led_elsewhere(&self, head: &ResponseHead<'_>) -> bool {
        let accel = |name: &[u8]| name.eq_ignore_ascii_case(b"x-accel-redirect");
        let to = || {
            head.fields()
                .find(|field| accel(field.name) && !field.value.is_empty())
        };
        let Some(to) = self.heads.accel.then(to).flatten() else {
            return false;
        };
        let fields = head.fields().filter_map(|field| {
            let name = HeaderName::from_bytes(field.name).ok()?;
            let kept = KEPT.contains(&name);
            Some((name, HeaderValue::from_bytes(field.value).ok()?)).filter(|_| kept)
        });
        *self.led.lock() = Some(Led {
            to: to.value.to_vec(),
            fields: fields.collect(),
            said: Box::new(Kept::of(head)),
        });
        true
    }

    /// How many bytes in a second the upstream's answer asks for, if it may.
    pub(super) fn rate(&self, head: &ResponseHead<'_>) -> Option<u64> {
        let mut fields = head.fields().filter(|_| self.heads.accel);
        let rate = |name: &[u8]| name.eq_ignore_ascii_case(b"x-accel-limit-rate");
        let said = fields.find(|field| rate(field.name))?;
        std::str::from_utf8(said.value).ok()?.parse().ok()
    }

    /// Whether it was led elsewhere.
    pub(super) fn leads(&self) -> bool {
        self.led.lock().is_some()
    }

    /// Where.
    pub(super) fn led(&self) -> Option<Led> {
        self.led.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn nobody_is_led_out_of_a_folder() {
        for (to, expected) in [
            ("/a%20b?c%20", Some("/a b?c%20")),
            ("/a..b/...", Some("/a..b/...")),
            ("/a/..", None),
            ("/a/%2e./b", None),
            ("..", None),
            ("a", None),
            ("/a%00", None),
            ("?a", None),
        ] {
            assert_eq!(
                safe(to.as_bytes()).as_deref(),
                expected.map(str::as_bytes),
                "{to}"
            );
        }
    }
}
