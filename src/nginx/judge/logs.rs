//! Where logs go and how loud they are: `error_log`'s levels, `syslog:` and `memory:`, the words of `log_format`.
//!
//! Parameters of `access_log` beside its path are `zones`'s. A syslog server's name is looked up by `hosts`. Pure.
#![deny(clippy::disallowed_methods)]

use super::url::{Kind, Url};
use crate::nginx::text::Text;
use crate::nginx::tree::{Directive, Word};
use crate::nginx::value;

/// Of logs, and severities of syslog.
const LEVELS: &[&str] = &[
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
];
const DEBUG_LEVELS: &[&str] = &[
    "debug_core",
    "debug_alloc",
    "debug_mutex",
    "debug_event",
    "debug_http",
    "debug_mail",
    "debug_stream",
];
#[rustfmt::skip]
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp", "audit",
    "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Why a directive is refused.
pub(super) fn refusal(directive: &Directive) -> Option<String> {
    match &*directive.name() {
        "error_log" => target(&directive.argument(0)).or_else(|| level(directive)),
        "access_log" => target(&directive.argument(0)).filter(|_| directive.argument(0) != "off"),
        "log_format" => format(directive),
        _ => None,
    }
}

fn target(text: &str) -> Option<String> {
    if let Some(words) = text.strip_prefix("syslog:") {
        return syslog(words);
    }
    let size = text.strip_prefix("memory:")?;
    let fits = value::size(size.as_bytes()).is_some_and(|size| size > 2048);
    (!fits).then(|| format!("invalid buffer size \"{size}\""))
}

/// The server that a `syslog:` names.
pub(in crate::nginx) fn server(target: &str) -> Option<&str> {
    let mut words = target.strip_prefix("syslog:")?.split(',');
    words.find_map(|word| word.strip_prefix("server="))
}

fn syslog(words: &str) -> Option<String> {
    let (mut server, mut facility, mut severity, mut tag) = (false, false, false, false);
    for word in words.split(',') {
        let (key, given) = word.split_once('=').unwrap_or((word, ""));
        let before = match key {
            "server" => &mut server,
            "facility" => &mut facility,
            "severity" => &mut severity,
            "tag" => &mut tag,
            "nohostname" if word == "nohostname" => continue,
            _ => return Some(format!("unknown syslog parameter \"{word}\"")),
        };
        if !word.contains('=') {
            return Some(format!("unknown syslog parameter \"{word}\""));
        }
        if std::mem::replace(before, true) {
            return Some(format!("duplicate syslog \"{key}\""));
        }
        let wrong = match key {
            "server" => Url::parse(given, Kind::Server)
                .err()
                .map(|wrong| format!("{wrong} in syslog server \"{given}\"")),
            "facility" if !FACILITIES.contains(&given) => {
                Some(format!("unknown syslog facility \"{given}\""))
            }
            "severity" if !LEVELS.contains(&given) => {
                Some(format!("unknown syslog severity \"{given}\""))
            }
            "tag" if given.len() > 32 => Some("syslog tag length exceeds 32".to_owned()),
            "tag" => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                let text = "syslog \"tag\" only allows alphanumeric characters and underscore";
                (!given.bytes().all(fits)).then(|| text.to_owned())
            }
            _ => None,
        };
        if wrong.is_some() {
            return wrong;
        }
    }
    (!server).then(|| "no syslog server specified".to_owned())
}

/// The words after an `error_log`'s first.
fn level(directive: &Directive) -> Option<String> {
    let (mut said, mut debug) = (false, false);
    directive.arguments().iter().skip(1).find_map(|word| {
        let text = word.text();
        if LEVELS.contains(&&*text) {
            let again = said || debug;
            said = true;
            return again.then(|| format!("duplicate log level \"{text}\""));
        }
        let known = DEBUG_LEVELS.contains(&&*text) && !said;
        debug |= known;
        (!known).then(|| format!("invalid log level \"{text}\""))
    })
}

fn format(directive: &Directive) -> Option<String> {
    let mut words = directive.arguments().iter().skip(1).peekable();
    if let Some(escape) = words.peek().map(|word| word.text())
        && let Some(escape) = escape.strip_prefix("escape=")
    {
        if !matches!(escape, "json" | "none" | "default") {
            return Some(format!("unknown log format escaping \"{escape}\""));
        }
        words.next();
    }
    words.find_map(|word| {
        let nameless = |text: &str| text == "invalid variable name" || text.contains("in \"\"");
        let wrong = Text::parse(&word.bytes).err()?;
        nameless(&wrong).then(|| invalid(word))
    })
}

fn invalid(word: &Word) -> String {
    format!("invalid parameter \"{}\"", word.text())
}
