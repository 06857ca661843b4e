//! Directives whose words are of a few, and the numbers that have bounds.
//!
//! Words that nginx has learnt since 1.22 are taken. Pure.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;

use super::url::dotted;
use crate::nginx::table::{Context, Form};
use crate::nginx::tree::{Directive, Word};
use crate::nginx::value;

/// Letters of the folders of temporary files.
const LETTERS: i64 = 10;
const PROTOCOLS: &[&str] = &["SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const LOG_LEVELS: &[&str] = &["info", "notice", "warn", "error"];
#[rustfmt::skip]
const NEXT: &[&str] = &[
    "error", "timeout", "invalid_header", "non_idempotent", "http_500", "http_502", "http_503", "http_504", "http_403",
    "http_404", "http_429", "updating", "off",
];
#[rustfmt::skip]
const HEADS: &[&str] = &[
    "X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset", "Expires",
    "Cache-Control", "Set-Cookie", "Vary",
];
#[rustfmt::skip]
const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "DELETE", "MKCOL", "COPY", "MOVE", "OPTIONS", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK",
    "PATCH", "TRACE", "CONNECT",
];

/// The words that a directive takes, and whether several.
#[rustfmt::skip]
fn choices(name: &str) -> Option<(&'static [&'static str], bool)> {
    Some(match name {
        "satisfy" => (&["all", "any"], false),
        "debug_points" => (&["stop", "abort"], false),
        "gzip_http_version" => (&["1.0", "1.1"], false),
        "proxy_http_version" => (&["1.0", "1.1", "2"], false),
        "gzip_static" => (&["off", "on", "always"], false),
        "autoindex_format" => (&["html", "json", "jsonp", "xml"], false),
        "limit_req_log_level" | "limit_conn_log_level" => (LOG_LEVELS, false),
        "ssl_verify_client" => (&["off", "on", "optional", "optional_no_ca"], false),
        "ssl_ocsp" => (&["off", "on", "leaf"], false),
        "userid" => (&["off", "log", "v1", "on"], false),
        "lingering_close" => (&["off", "on", "always"], false),
        "if_modified_since" => (&["off", "exact", "before"], false),
        "client_body_in_file_only" => (&["off", "on", "clean"], false),
        "server_tokens" => (&["off", "on", "build"], false),
        "memcached_next_upstream" => (&["error", "timeout", "invalid_response", "not_found", "off"], true),
        "gzip_proxied" => (&["off", "expired", "no-cache", "no-store", "private", "no_last_modified", "no_etag", "auth", "any"], true),
        "dav_methods" => (&["off", "PUT", "DELETE", "MKCOL", "COPY", "MOVE"], true),
        "userid_flags" => (&["off", "secure", "httponly", "samesite=strict", "samesite=lax", "samesite=none"], true),
        "keepalive_disable" => (&["none", "msie6", "safari"], true),
        _ if name.ends_with("_next_upstream") || name.ends_with("_cache_use_stale") => (NEXT, true),
        _ if name.ends_with("_cache_methods") => (&["GET", "HEAD", "POST"], true),
        _ if name.ends_with("_ignore_headers") => (HEADS, true),
        _ if name.ends_with("ssl_protocols") => (PROTOCOLS, true),
        _ => return None,
    })
}

/// The least and the most that a number may be.
fn bounds(name: &str) -> Option<(i64, i64)> {
    match name {
        "limit_req_status" | "limit_conn_status" => Some((400, 599)),
        "gzip_comp_level" => Some((1, 9)),
        "uwsgi_modifier1" | "uwsgi_modifier2" => Some((0, 255)),
        _ => None,
    }
}

/// Words of a directive that come twice, of which nginx warns.
pub(super) fn twice(directive: &Directive, context: Context) -> Vec<String> {
    let name = directive.name();
    match choices(&name) {
        Some((_, true)) if !of_stream(context) || name.contains("ssl") => {}
        _ => return Vec::new(),
    }
    let words: Vec<_> = { directive.arguments().iter() }
        .map(|word| word.text().to_ascii_lowercase())
        .collect();
    let again = { words.iter().enumerate() }
        .filter(|(at, word)| words.iter().take(*at).any(|own| own == *word));
    let shown = again.map(|(at, _)| directive.argument(at));
    shown
        .map(|word| format!("duplicate value \"{word}\""))
        .collect()
}

/// Writes a directive's words as they are known: nginx does not mind capitals.
pub(in crate::nginx) fn spell(directive: &mut Directive) {
    let Some((known, _)) = choices(&directive.name()) else {
        return;
    };
    for word in directive.words.iter_mut().skip(1) {
        let own = |own: &&&str| word.bytes.eq_ignore_ascii_case(own.as_bytes());
        if let Some(own) = known.iter().find(own) {
            word.bytes = own.as_bytes().into();
        }
    }
}

/// Why a directive's words are refused.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    let name = directive.name();
    let words = directive.arguments();
    let shared = |name: &str| name.contains("ssl") || name == "limit_conn_log_level";
    if of_stream(context) && name == "proxy_next_upstream" {
        return value::refusal(Form::Flag, directive);
    }
    if let Some((known, _)) = choices(&name).filter(|_| !of_stream(context) || shared(&name)) {
        let wrong = |word: &&Word| {
            !known
                .iter()
                .any(|own| word.bytes.eq_ignore_ascii_case(own.as_bytes()))
        };
        return { words.iter() }.find(wrong).map(invalid);
    }
    if let Some((least, most)) = bounds(&name) {
        let number = words.first().and_then(|word| value::number(&word.bytes))?;
        let fits = (least..=most).contains(&number);
        return (!fits).then(|| format!("value must be between {least} and {most}"));
    }
    one(&name, directive).or_else(|| several(&name, words))
}

fn of_stream(context: Context) -> bool {
    matches!(context, Context::Stream | Context::StreamServer)
}

fn invalid(word: &Word) -> String {
    format!("invalid value \"{}\"", word.text())
}

fn parameter(word: &Word) -> String {
    format!("invalid parameter \"{}\"", word.text())
}

/// What a single word gets wrong.
fn one(name: &str, directive: &Directive) -> Option<String> {
    let word = directive.arguments().first()?;
    let text = word.text();
    let is = |known: &[&str]| known.contains(&&*text);
    let wrong_value = || Some(format!("\"{name}\" directive invalid value"));
    match name {
        "use" if !is(&["epoll"]) => Some(format!("invalid event type \"{text}\"")),
        "limit_except" => {
            let mut words = directive.arguments().iter();
            let known = |word: &Word| {
                METHODS
                    .iter()
                    .any(|own| word.bytes.eq_ignore_ascii_case(own.as_bytes()))
            };
            let wrong = words.find(|word| !known(word))?;
            Some(format!("invalid method \"{}\"", wrong.text()))
        }
        "limit_rate"
        | "limit_rate_after"
        | "proxy_limit_rate"
        | "proxy_upload_rate"
        | "proxy_download_rate"
            if !text.contains('$') && value::size(&word.bytes).is_none() =>
        {
            wrong_value()
        }
        "userid_expires" if !is(&["max", "off"]) && value::seconds(&word.bytes).is_none() => {
            wrong_value()
        }
        "directio" if !is(&["off"]) && value::offset(&word.bytes).is_none() => wrong_value(),
        "aio" if !is(&["on", "off", "threads"]) && !text.starts_with("threads=") => wrong_value(),
        "worker_processes" if !is(&["auto"]) && value::number(&word.bytes).is_none() => {
            wrong_value()
        }
        "worker_priority" => {
            let digits = word.bytes.strip_prefix(b"-").unwrap_or(&word.bytes);
            let wrong = value::number(digits).is_none();
            wrong.then(|| format!("\"{name}\" directive invalid number"))
        }
        "index" => {
            let mut words = directive.arguments().iter();
            let empty = words.any(|word| word.bytes.is_empty());
            empty.then(|| "index \"\" in \"index\" directive is invalid".to_owned())
        }
        "gzip_window" => {
            let fits = value::size(&word.bytes)
                .is_some_and(|size| (512..=32 << 10).contains(&size) && size.count_ones() == 1);
            let text = "\"gzip_window\" directive must be 512, 1k, 2k, 4k, 8k, 16k, or 32k";
            (!fits && value::size(&word.bytes).is_some()).then(|| text.to_owned())
        }
        "gzip_hash" => {
            let size = value::size(&word.bytes)?;
            let fits = (512..=128 << 10).contains(&size) && size.count_ones() == 1;
            let text =
                "\"gzip_hash\" directive must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k";
            (!fits).then(|| text.to_owned())
        }
        "http2_streams_index_size" => {
            let power = value::number(&word.bytes)?.count_ones() == 1;
            (!power).then(|| format!("\"{name}\" directive must be a power of two"))
        }
        "http2_recv_buffer_size" => {
            let small = value::size(&word.bytes)? <= 32;
            small.then(|| format!("\"{name}\" directive value is too small"))
        }
        "http2_chunk_size" => {
            let none = value::size(&word.bytes)? == 0;
            none.then(|| "the http2 chunk size cannot be zero".to_owned())
        }
        "http2_body_preread_size" => {
            let most = i64::from(i32::MAX);
            let large = value::size(&word.bytes)? > most;
            large.then(|| format!("the maximum body preread buffer size is {most}"))
        }
        "aio" if is(&["on"]) => Some("\"aio on\" is unsupported on this platform".to_owned()),
        "charset" | "source_charset" if is(&["$"]) => {
            Some("invalid variable name \"$\"".to_owned())
        }
        "connection_pool_size" | "request_pool_size" | "http2_pool_size" => {
            let size = value::size(&word.bytes)?;
            match size {
                ..112 => Some("the pool size must be no less than 112".to_owned()),
                _ if size % 16 != 0 => Some("the pool size must be a multiple of 16".to_owned()),
                _ => None,
            }
        }
        "userid_mark" => {
            let fits = is(&["off"])
                || matches!(&*word.bytes, [byte] if byte.is_ascii_alphanumeric() || *byte == b'=');
            let text = "\"userid_mark\" directive value must be \"off\" or a single letter, digit or \"=\"";
            (!fits).then(|| text.to_owned())
        }
        "valid_referers" => {
            let mut words = directive.arguments().iter();
            let empty = words.any(|word| word.bytes.is_empty());
            empty.then(|| "invalid referer \"\"".to_owned())
        }
        "sub_filter" if word.bytes.is_empty() => Some("empty search pattern".to_owned()),
        "allow" | "deny" => (!is(&["all", "unix:"]) && !is_network(&text)).then(|| parameter(word)),
        "expires" => expires(directive.arguments()),
        _ => None,
    }
}

/// An address, or one and a prefix or mask.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return dotted(text).is_some() || text.parse::<std::net::Ipv6Addr>().is_ok();
    };
    let most = match (dotted(address), address.parse::<std::net::Ipv6Addr>()) {
        (Some(_), _) => 32,
        (_, Ok(_)) => 128,
        _ => return false,
    };
    value::number(length.as_bytes()).is_some_and(|length| length <= most)
}

fn expires(words: &[Word]) -> Option<String> {
    let wrong = || Some("\"expires\" directive invalid value".to_owned());
    let texts: Vec<Cow<'_, str>> = words.iter().map(Word::text).collect();
    let (text, modified) = match &*texts {
        [one] => (one, false),
        [first, second] if first == "modified" => (second, true),
        _ => return wrong(),
    };
    if text.contains('$') || matches!(&**text, "off" | "max" | "epoch") && !modified {
        return None;
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+" | "-" | "@", rest)) => (text.as_bytes().first(), rest),
        _ => (None, &**text),
    };
    let Some(time) = value::seconds(rest.as_bytes()) else {
        return wrong();
    };
    match sign {
        Some(b'@') if modified => Some(
            "\"expires\" directive daily time cannot be used with \"modified\" parameter"
                .to_owned(),
        ),
        Some(b'@') if time > 86_400 => {
            Some("\"expires\" directive daily time value must be less than 24 hours".to_owned())
        }
        _ => None,
    }
}

/// What the words after the first get wrong.
fn several(name: &str, words: &[Word]) -> Option<String> {
    let second = || words.get(1);
    let is_one_of =
        |word: &Word, known: &[&str]| known.iter().any(|own| &*word.bytes == own.as_bytes());
    let unless = |word: Option<&Word>, known: &[&str]| {
        word.filter(|word| !is_one_of(word, known)).map(parameter)
    };
    match name {
        "rewrite" if second().is_some_and(|word| word.bytes.is_empty()) => {
            Some("empty replacement".to_owned())
        }
        "rewrite" => unless(words.get(2), &["last", "break", "redirect", "permanent"]),
        "add_header" | "add_trailer" => unless(words.get(2), &["always"]),
        "fastcgi_param" | "uwsgi_param" | "scgi_param" => unless(words.get(2), &["if_not_empty"]),
        "hash" => unless(second(), &["consistent"]),
        "random" => unless(words.first(), &["two"]).or_else(|| unless(second(), &["least_conn"])),
        "keepalive_timeout" => {
            let header = second().filter(|word| value::seconds(&word.bytes).is_none());
            let first = words
                .first()
                .filter(|word| value::milliseconds(&word.bytes).is_none());
            (header.or(first)).map(|_| format!("\"{name}\" directive invalid value"))
        }
        "keepalive" => {
            let first = words.first();
            let wrong = first.filter(|word| !matches!(value::number(&word.bytes), Some(1..)));
            wrong.map(|word| {
                format!(
                    "invalid value \"{}\" in \"keepalive\" directive",
                    word.text()
                )
            })
        }
        "proxy_redirect" if words.len() == 1 => unless(words.first(), &["off", "false", "default"]),
        "proxy_cookie_domain" | "proxy_cookie_path" | "proxy_cookie_flags" if words.len() == 1 => {
            unless(words.first(), &["off"])
        }
        "disable_symlinks" => { words.iter() }
            .find(|word| {
                !is_one_of(word, &["on", "off", "if_not_owner"])
                    && !word.bytes.starts_with(b"from=")
            })
            .map(parameter)
            .or_else(|| {
                let hows: Vec<_> = { words.iter() }
                    .filter(|word| !word.bytes.starts_with(b"from="))
                    .map(Word::text)
                    .collect();
                match &*hows {
                    [] => Some("\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" parameter".to_owned()),
                    [_] => None,
                    [first, second, ..] => Some(format!("duplicate parameters \"{first} {second}\"")),
                }
            })
            .or_else(|| {
                let off = words.iter().any(|word| is_one_of(word, &["off"]));
                let from = words.iter().any(|word| word.bytes.starts_with(b"from="));
                (off && from).then(|| "\"from=\" cannot be used with \"off\" parameter".to_owned())
            }),
        "error_page" => error_page(words),
        "try_files" => {
            let last = words.last()?;
            let code = last.bytes.strip_prefix(b"=")?;
            let fits = value::number(code).is_some_and(|code| code <= 999);
            (!fits).then(|| format!("invalid code \"{}\"", last.text()))
        }
        _ if name.ends_with("_bind") => bind(words),
        _ if name.ends_with("_temp_path") => {
            let mut levels = words.iter().skip(1);
            let mut sum = 0;
            let wrong = levels.any(|word| match value::number(&word.bytes) {
                Some(level @ 1..) => {
                    sum += level.min(100);
                    false
                }
                _ => true,
            });
            // Their folders' names are of so many letters together at most.
            (wrong || sum > LETTERS).then(|| format!("\"{name}\" directive invalid value"))
        }
        _ if name.ends_with("_store_access") || name == "dav_access" => { words.iter() }
            .find(|word| {
                let text = word.text();
                let (who, what) = text.split_once(':').unwrap_or((&text, ""));
                !matches!(who, "user" | "group" | "all") || !matches!(what, "rw" | "r")
            })
            .map(invalid),
        _ => None,
    }
}

fn bind(words: &[Word]) -> Option<String> {
    let first = words.first()?;
    let text = first.text();
    if !text.contains('$') && (&*text != "off" || words.len() > 1) {
        let host = match text.rsplit_once(':') {
            Some((host, port)) if dotted(host).is_some() || host.starts_with('[') => {
                let port = value::number(port.as_bytes());
                match port {
                    Some(1..=65_535) => host,
                    _ => return Some(format!("invalid address \"{text}\"")),
                }
            }
            _ => &*text,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if dotted(host).is_none() && host.parse::<std::net::Ipv6Addr>().is_err() {
            return Some(format!("invalid address \"{text}\""));
        }
    }
    let more = words.get(1)?;
    (&*more.bytes != b"transparent").then(|| parameter(more))
}

fn error_page(words: &[Word]) -> Option<String> {
    let (_, codes) = words.split_last()?;
    let (answer, codes) = match codes.split_last() {
        Some((last, before)) if last.bytes.starts_with(b"=") => (Some(last), before),
        _ => (None, codes),
    };
    if let Some(answer) = answer {
        let code = answer.bytes.strip_prefix(b"=").unwrap_or_default();
        if !code.is_empty() && value::number(code).is_none() {
            return Some(invalid(answer));
        }
    }
    { codes.iter() }.find_map(|word| match value::number(&word.bytes) {
        None | Some(499) => Some(invalid(word)),
        Some(300..=599) => None,
        Some(code) => Some(format!("value \"{code}\" must be between 300 and 599")),
    })
}
