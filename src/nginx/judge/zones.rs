//! Shared zones and what goes by them, and the parameters of logs.
//!
//! `limit_req_zone`, `limit_conn_zone`, `limit_req`, `limit_conn`, `zone`, `access_log`, `resolver`. Pure.
#![deny(clippy::disallowed_methods)]

use super::url::{Kind, Url};
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// nginx wants eight pages of 4 KiB.
const LEAST: i64 = 8 * value::PAGE;

/// Why a directive is refused.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    let name = directive.name();
    match &*name {
        "limit_req_zone" | "limit_conn_zone" => zone(directive),
        "limit_req" => limit_req(directive),
        "limit_conn" => limit_conn(directive),
        "zone" if matches!(context, Context::Upstream | Context::StreamUpstream) => {
            upstream_zone(directive)
        }
        "access_log" => access_log(directive, context),
        "open_log_file_cache" | "open_file_cache" => cache(directive),
        "resolver" => resolver(directive),
        "ssl_session_cache" => session_cache(directive),
        _ => None,
    }
}

fn zone(directive: &Directive) -> Option<String> {
    let name = directive.name();
    let mut named = false;
    for word in directive.arguments().iter().skip(1) {
        let text = word.text();
        if let Some(own) = text.strip_prefix("zone=") {
            let Some((_, size)) = own.split_once(':') else {
                return Some(format!("invalid zone size \"{text}\""));
            };
            match value::size(size.as_bytes()) {
                None => return Some(format!("invalid zone size \"{text}\"")),
                Some(size) if size < LEAST => return Some(format!("zone \"{text}\" is too small")),
                Some(_) => named = !own.starts_with(':'),
            }
        } else if let Some(rate) = text
            .strip_prefix("rate=")
            .filter(|_| *name == *"limit_req_zone")
        {
            let number = rate
                .strip_suffix("r/s")
                .or(rate.strip_suffix("r/m"))
                .unwrap_or(rate);
            if !matches!(value::number(number.as_bytes()), Some(1..)) {
                return Some(format!("invalid rate \"{text}\""));
            }
        } else {
            return Some(format!("invalid parameter \"{text}\""));
        }
    }
    (!named).then(|| format!("\"{name}\" must have \"zone\" parameter"))
}

fn limit_req(directive: &Directive) -> Option<String> {
    let mut named = false;
    for word in directive.arguments() {
        let text = word.text();
        match text.split_once('=') {
            Some(("zone", zone)) => named = !zone.is_empty(),
            Some(("burst", given)) if !matches!(value::number(given.as_bytes()), Some(1..)) => {
                return Some(format!("invalid burst value \"{text}\""));
            }
            Some(("delay", given)) if !matches!(value::number(given.as_bytes()), Some(1..)) => {
                return Some(format!("invalid delay value \"{text}\""));
            }
            Some(("burst" | "delay", _)) => {}
            None if &*text == "nodelay" => {}
            _ => return Some(format!("invalid parameter \"{text}\"")),
        }
    }
    (!named).then(|| "\"limit_req\" must have \"zone\" parameter".to_owned())
}

fn limit_conn(directive: &Directive) -> Option<String> {
    let given = directive.argument(1);
    match value::number(given.as_bytes()) {
        None | Some(..=0) => Some(format!("invalid number of connections \"{given}\"")),
        Some(65_536..) => Some("connection limit must be less 65536".to_owned()),
        Some(_) => None,
    }
}

fn upstream_zone(directive: &Directive) -> Option<String> {
    let name = directive.argument(0);
    if name.is_empty() {
        return Some("invalid zone name \"\"".to_owned());
    }
    let size = directive.arguments().get(1)?;
    match value::size(&size.bytes) {
        None => Some(format!("invalid zone size \"{}\"", size.text())),
        Some(size) if size < LEAST => Some(format!("zone \"{name}\" is too small")),
        Some(_) => None,
    }
}

fn access_log(directive: &Directive, context: Context) -> Option<String> {
    let path = directive.argument(0);
    let words = directive.arguments();
    if &*path == "off" {
        let more = words.get(1)?;
        return Some(format!("invalid parameter \"{}\"", more.text()));
    }
    if context.as_str().starts_with("stream") && words.len() == 1 {
        return Some("log format is not specified".to_owned());
    }
    let (mut buffer, mut flush) = (false, false);
    for word in words.iter().skip(2) {
        let text = word.text();
        match text.split_once('=') {
            Some(("buffer", size)) => match value::size(size.as_bytes()) {
                Some(1..) => buffer = true,
                _ => return Some(format!("invalid buffer size \"{size}\"")),
            },
            Some(("flush", time)) => match value::milliseconds(time.as_bytes()) {
                Some(1..) => flush = true,
                _ => return Some(format!("invalid flush time \"{time}\"")),
            },
            Some(("gzip", level)) => match value::number(level.as_bytes()) {
                Some(1..=9) => buffer = true,
                _ => return Some(format!("invalid compression level \"{level}\"")),
            },
            Some(("if", _)) => {}
            None if &*text == "gzip" => buffer = true,
            _ => return Some(format!("invalid parameter \"{text}\"")),
        }
    }
    match () {
        () if flush && !buffer => Some(format!("no buffer is defined for access_log \"{path}\"")),
        () if buffer && path.contains('$') => {
            Some("buffered logs cannot have variables in name".to_owned())
        }
        () if buffer && path.starts_with("syslog:") => {
            Some("logs to syslog cannot be buffered".to_owned())
        }
        () => None,
    }
}

/// Caches of open files.
fn cache(directive: &Directive) -> Option<String> {
    let name = directive.name();
    let (mut most, mut off) = (false, false);
    for word in directive.arguments() {
        let text = word.text();
        let fits = match text.split_once('=') {
            Some(("max", given)) => {
                most = true;
                match name == "open_file_cache" {
                    true => matches!(value::number(given.as_bytes()), Some(1..)),
                    false => value::number(given.as_bytes()).is_some(),
                }
            }
            Some(("inactive" | "valid", given)) => value::seconds(given.as_bytes()).is_some(),
            Some(("min_uses", given)) => value::number(given.as_bytes()).is_some(),
            None => {
                off = &*text == "off";
                off
            }
            Some(_) => false,
        };
        if !fits {
            return Some(format!("invalid \"{name}\" parameter \"{text}\""));
        }
    }
    let zero = directive
        .arguments()
        .iter()
        .any(|word| &*word.bytes == b"max=0");
    let the = if name == "open_file_cache" {
        "the "
    } else {
        ""
    };
    ((!most || zero) && !off).then(|| format!("\"{name}\" must have {the}\"max\" parameter"))
}

fn resolver(directive: &Directive) -> Option<String> {
    let mut servers = 0;
    for word in directive.arguments() {
        let text = word.text();
        let wrong = match text.split_once('=') {
            Some(("valid", time)) => value::seconds(time.as_bytes()).is_none(),
            Some(("ipv6" | "ipv4", given)) => !matches!(given, "on" | "off"),
            _ => {
                servers += 1;
                if let Err(wrong) = Url::parse(&text, Kind::Server) {
                    return Some(format!("{wrong} in resolver \"{text}\""));
                }
                false
            }
        };
        if wrong {
            return Some(format!("invalid parameter: {text}"));
        }
    }
    (servers == 0).then(|| "no name servers defined".to_owned())
}

fn session_cache(directive: &Directive) -> Option<String> {
    { directive.arguments().iter() }.find_map(|word| {
        let text = word.text();
        let invalid = || Some(format!("invalid session cache \"{text}\""));
        match text.split_once(':') {
            None if matches!(&*text, "off" | "none" | "builtin") => None,
            Some(("builtin", size)) if value::number(size.as_bytes()).is_some() => None,
            Some(("shared", rest)) => match rest.split_once(':') {
                Some((name, size)) if !name.is_empty() => match value::size(size.as_bytes()) {
                    None => invalid(),
                    Some(size) if size < LEAST => {
                        Some(format!("session cache \"{text}\" is too small"))
                    }
                    Some(_) => None,
                },
                _ => invalid(),
            },
            _ => invalid(),
        }
    })
}
