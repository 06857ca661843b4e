//! Serves files: which one a request stands for, whether it is wanted, and which parts of it.
//!
//! `find` looks on a thread of its own, `condition` and `range` decide, `body` reads what is large. What is answered is
//! what nginx answers; pages for what is not there are `page`'s, and paths that are routed anew are `app`'s.

pub mod body;
pub mod condition;
pub mod find;
pub mod listing;
pub mod open;
pub mod range;
pub mod send;

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use body::{FileBody, Part};
use condition::Verdict;
use find::{Found, Opened, Tried, Wanted};
use http::Method;
use http::header::{self, HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use range::Asked;
use tracing::Level;

use super::answer::Answer;
use super::heads::asker;
use super::recode;
use super::sentences;
use super::values::Values;
use crate::config::{Bodies, Files, FilesPlace, Last, Listing, Lookup, Packed, Text, Variable};
use crate::nginx::uri::{self, Uri};
use crate::observe::cause::Cause;
use crate::observe::log::AS_NGINX;

/// What becomes of a request for a file.
#[derive(Debug)]
pub enum Served {
    /// This is sent.
    Answer(Answer),
    /// Refused.
    Refuse(Cause),
    /// This target's route is looked for.
    Find(Vec<u8>),
    /// This route is taken.
    Route(Box<str>),
    /// The status that `try` ends with.
    Status(u16),
}

/// A request for a file.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a RequestHeader,
    /// Its target, which has been found to be one.
    pub uri: Uri,
    /// What its variables are.
    pub values: Values<'a>,
    /// Bytes of the path that the route stands for.
    pub prefix: usize,
    /// Whether conditions and ranges count: not when this is the page of an error.
    pub plain: bool,
    /// What happens to bodies, if anything may.
    pub bodies: Option<&'a Bodies>,
}

/// Serves what `files` has for a request.
pub async fn serve(files: &Files, request: Request<'_>) -> Served {
    let Some(wanted) = wanted(files, &request) else {
        return Served::Refuse(Cause::FileMissing);
    };
    let named = tracing::enabled!(target: AS_NGINX, Level::ERROR).then(|| wanted.named());
    let looked = tokio::task::spawn_blocking(move || wanted.look()).await;
    let found = looked.unwrap_or_else(|lost| Found::Failed(std::io::Error::other(lost)));
    let untold = matches!(found, Found::Missing) && !files.missing_told;
    if let Some(named) = named.filter(|_| !untold) {
        tell(&found, &named, &request);
    }
    match found {
        Found::File(opened) => file(files, &request, opened),
        Found::Slash(path) => slash(&path, &request.uri.args),
        Found::Listing(path, entries) => {
            let (kind, body) = match files.listing {
                Listing::Html { exact } => ("text/html", listing::html(&path, &entries, exact)),
                Listing::Json | Listing::Off => ("application/json", listing::json(&entries)),
                Listing::Jsonp => match listing::jsonp(&entries, &request.uri.args) {
                    Some(list) => list,
                    None => return Served::Status(400),
                },
                Listing::Xml => ("text/xml; charset=utf-8", listing::xml(&entries)),
            };
            let kind = HeaderValue::from_static(kind);
            Served::Answer(Answer::new(
                200,
                vec![(header::CONTENT_TYPE, kind)],
                body,
                None,
            ))
        }
        Found::Find(path) => Served::Find(target(&path, &request.uri.args)),
        Found::Nothing => nothing(files, &request),
        Found::Missing => Served::Refuse(Cause::FileMissing),
        Found::Forbidden => Served::Refuse(Cause::FileForbidden),
        Found::Method => Served::Refuse(Cause::FileMethod),
        Found::Failed(error) => {
            tracing::error!(event = "files.failed", %error, "a file cannot be read");
            Served::Refuse(Cause::FileFailed)
        }
    }
}

/// Says in nginx's words that there is no such file.
fn tell(found: &Found, named: &str, request: &Request<'_>) {
    let in_folder = request.uri.path.ends_with(b"/");
    let what = match (found, in_folder) {
        (Found::Missing, false) => {
            format!("open() \"{named}\" failed (2: No such file or directory)")
        }
        (Found::Missing, true) => {
            format!("\"{named}\" is not found (2: No such file or directory)")
        }
        (Found::Forbidden, false) => format!("open() \"{named}\" failed (13: Permission denied)"),
        (Found::Forbidden, true) => {
            let folder = named.rsplit_once('/').map_or(named, |(folder, _)| folder);
            format!("directory index of \"{folder}/\" is forbidden")
        }
        _ => return,
    };
    let values = &request.values;
    let log = values.running.map(|route| &route.config.access_log);
    let secrets = log.map_or(&[][..], |log| &log.redact);
    let told = sentences::told(values, "", secrets);
    let connection = values.facts.number;
    tracing::error!(target: AS_NGINX, connection, "{what}{told}");
}

/// A path and a query as a target.
pub fn target(path: &[u8], args: &[u8]) -> Vec<u8> {
    let mut target = uri::escape(path);
    if !args.is_empty() {
        target.push(b'?');
        target.extend_from_slice(args);
    }
    target
}

fn wanted(files: &Files, request: &Request<'_>) -> Option<Wanted> {
    let values = Decoded(&request.values, &request.uri.path);
    let value = |text: &Text| text.value(&values).into_owned();
    let (root, alias) = match &files.place {
        FilesPlace::Root(root) => (root, None),
        FilesPlace::Alias(alias) => (alias, Some(request.prefix)),
    };
    let folder = value(root);
    // What the request puts into the folder's name must not lead out of what was meant.
    let parents = || folder.split(|byte| *byte == b'/').any(|own| own == b"..");
    if root.as_constant().is_none() && (parents() || folder.contains(&0)) {
        return None;
    }
    let attempts = files.attempts.as_ref().map(|own| {
        let first = own.first.iter();
        let tried = first.map(|one| Tried {
            path: value(&one.path),
            folder: one.folder,
            fixed: one.path.as_constant().is_some(),
        });
        tried.collect()
    });
    let method = &request.head.method;
    let fields = &request.head.headers;
    let partly = fields.keys().any(|name| CONDITIONS.contains(name));
    Some(Wanted {
        root: folder,
        alias,
        path: request.uri.path.clone(),
        index: files.index.iter().map(value).collect(),
        attempts,
        list: files.listing != Listing::Off,
        links: files.links,
        method: match *method {
            _ if !request.plain => find::Method::Reads,
            Method::GET | Method::HEAD => find::Method::Reads,
            Method::POST => find::Method::Passes,
            _ => find::Method::Other,
        },
        eager: *method == Method::GET && !(request.plain && partly),
        packed: match files.packed {
            Packed::Off => None,
            Packed::On => Some(recode::takes_gzip(
                request.bodies,
                asker(request.head),
                SystemTime::now(),
            )),
            Packed::Always => Some(true),
        },
    })
}

/// Fields by which less than the whole may be asked for.
static CONDITIONS: [HeaderName; 5] = [
    header::RANGE,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::IF_MATCH,
];

/// The request's variables, with `$uri` as files know it.
struct Decoded<'a>(&'a Values<'a>, &'a [u8]);

impl Lookup for Decoded<'_> {
    fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
        match variable {
            Variable::Uri => out.extend_from_slice(self.1),
            other => self.0.append(other, out),
        }
    }
}

/// What `try` ends with.
fn nothing(files: &Files, request: &Request<'_>) -> Served {
    match files.attempts.as_ref().map(|own| &own.last) {
        None => Served::Refuse(Cause::FileMissing),
        Some(Last::Status(status)) => Served::Status(*status),
        Some(Last::Route(name)) => Served::Route(name.clone()),
        Some(Last::Path(path)) => {
            let path = path
                .value(&Decoded(&request.values, &request.uri.path))
                .into_owned();
            Served::Find(split(&path))
        }
    }
}

/// A path that may have a query, as a target.
pub fn split(path: &[u8]) -> Vec<u8> {
    let end = path.iter().position(|byte| *byte == b'?');
    let (path, args) = path.split_at(end.unwrap_or(path.len()));
    target(path, args.get(1..).unwrap_or_default())
}

fn slash(path: &[u8], args: &[u8]) -> Served {
    let location = target(&[path, b"/"].concat(), args);
    Served::Answer(Answer::redirect(301, &location, Some(Cause::RedirectSlash)))
}

/// A file, or as much of it as is wanted.
fn file(files: &Files, request: &Request<'_>, opened: Opened) -> Served {
    let etag = (files.etag).then(|| format!("\"{:x}-{:x}\"", opened.modified, opened.length));
    let (fields, etag) = (&request.head.headers, etag.as_deref());
    if request.plain {
        match condition::judge(fields, opened.modified, etag, files.since) {
            Verdict::Send => {}
            Verdict::NotModified => {
                return Served::Answer(Answer::new(304, about(&opened, etag), Vec::new(), None));
            }
            Verdict::Failed => return Served::Refuse(Cause::PreconditionFailed),
        }
    }
    let kind = HeaderValue::from_str(files.kind(&opened.path));
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // Of what is compressed on its way no part can be had.
    let packed = opened.packed == Some(true);
    let bodies = request.bodies.filter(|_| !packed);
    let (recoded, vary) = bodies.map_or((packed, false), |bodies| {
        let asker = asker(request.head);
        {
            let given = (SystemTime::now(), &request.values as &dyn Lookup);
            recode::would(bodies, asker, opened.length, kind.as_bytes(), given)
        }
    });
    let parts = match request.plain && !recoded {
        true => range::asked(
            fields,
            opened.length,
            files.max_ranges,
            opened.modified,
            etag,
        ),
        false => Asked::Whole,
    };
    let mut own = about(&opened, etag);
    if packed {
        own.push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
    }
    if opened.packed.is_some() && files.packed_vary && files.packed == Packed::On {
        own.push((header::VARY, HeaderValue::from_static("Accept-Encoding")));
    }
    match parts {
        Asked::Whole => {
            own.push((header::CONTENT_TYPE, kind));
            if request.plain && files.max_ranges > 0 && !recoded {
                own.push((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")));
            }
            whole(own, opened)
        }
        Asked::Beyond => beyond(opened.length),
        Asked::Parts(ranges) => {
            if vary {
                own.push((header::VARY, HeaderValue::from_static("Accept-Encoding")));
            }
            partial(own, kind, opened, ranges)
        }
    }
}

/// What is said of a file whether it is sent or not.
fn about(opened: &Opened, etag: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    let since = Duration::from_secs(u64::try_from(opened.modified).unwrap_or_default());
    let date = httpdate::fmt_http_date(UNIX_EPOCH + since);
    let fields = [(header::LAST_MODIFIED, Some(&*date)), (header::ETAG, etag)];
    let fields = fields.into_iter().filter_map(|(name, value)| {
        let value = HeaderValue::from_str(value?).ok()?;
        Some((name, value))
    });
    fields.collect()
}

fn whole(fields: Vec<(HeaderName, HeaderValue)>, mut opened: Opened) -> Served {
    let mut answer = Answer::new(200, fields, Vec::new(), None);
    match opened.bytes.take() {
        Some(bytes) => answer.body = bytes,
        None if opened.length > 0 => {
            let all = Part::Bytes(0..opened.length);
            answer.rest = Some(Box::new(FileBody::new(opened.file, [all])));
        }
        None => {}
    }
    Served::Answer(answer)
}

/// 416 with the length that there is (RFC 9110 section 14.4).
fn beyond(length: u64) -> Served {
    let cause = Cause::RangeUnsatisfiable;
    let mut answer = Answer::text(cause.status(), Vec::new(), Some(cause));
    answer.body = format!("{} {}\n", cause.status(), cause.sentence()).into_bytes();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
        answer.fields.push((header::CONTENT_RANGE, value));
    }
    Served::Answer(answer)
}

/// 206 (RFC 9110 section 15.3.7).
fn partial(
    mut fields: Vec<(HeaderName, HeaderValue)>,
    kind: HeaderValue,
    opened: Opened,
    ranges: Vec<Range<u64>>,
) -> Served {
    let length = opened.length;
    let shown = |range: &Range<u64>| format!("bytes {}-{}/{length}", range.start, range.end - 1);
    let parts = match &*ranges {
        [range] => {
            fields.push((header::CONTENT_TYPE, kind));
            let value = HeaderValue::from_str(&shown(range));
            fields.extend(value.ok().map(|value| (header::CONTENT_RANGE, value)));
            vec![Part::Bytes(range.clone())]
        }
        ranges => {
            let boundary = format!("{:020}", fastrand::u64(..));
            let value = format!("multipart/byteranges; boundary={boundary}");
            let value = HeaderValue::from_str(&value);
            fields.extend(value.ok().map(|value| (header::CONTENT_TYPE, value)));
            let kind = String::from_utf8_lossy(kind.as_bytes());
            let mut parts = Vec::with_capacity(ranges.len() * 2 + 1);
            for range in ranges {
                let mut head = format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\n");
                head += &format!("Content-Range: {}\r\n\r\n", shown(range));
                parts.push(Part::Text(head.into_bytes()));
                parts.push(Part::Bytes(range.clone()));
            }
            parts.push(Part::Text(format!("\r\n--{boundary}--\r\n").into_bytes()));
            parts
        }
    };
    let mut answer = Answer::new(206, fields, Vec::new(), None);
    answer.rest = Some(Box::new(FileBody::new(opened.file, parts)));
    Served::Answer(answer)
}
