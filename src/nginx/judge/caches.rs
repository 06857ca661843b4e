//! Caches, pools of threads and the processors of workers: hubgate has none of them, and refuses what nginx refuses of them.
//!
//! `*_cache_path`, `*_cache_valid`, `ssl_ocsp_cache`, `thread_pool`, `worker_cpu_affinity`. Zones that two of them name are
//! `shared`'s. Pure.
#![deny(clippy::disallowed_methods)]

use crate::nginx::tree::{Directive, Word};
use crate::nginx::value;

/// Why a directive is refused.
pub(super) fn refusal(directive: &Directive) -> Option<String> {
    let name = directive.name();
    match &*name {
        "ssl_ocsp_cache" => ocsp(directive),
        "thread_pool" => threads(directive),
        "worker_cpu_affinity" => affinity(directive),
        _ if name.ends_with("_cache_path") => path(directive),
        _ if name.ends_with("_cache_valid") => valid(directive),
        _ => None,
    }
}

fn path(directive: &Directive) -> Option<String> {
    let mut named = false;
    for word in directive.arguments().iter().skip(1) {
        let text = word.text();
        let (key, given) = text.split_once('=').unwrap_or((&text, ""));
        let bytes = given.as_bytes();
        let fits = match key {
            "levels" if !levels(bytes) => {
                return Some(format!("invalid \"levels\" \"{text}\""));
            }
            "use_temp_path" if value::flag(bytes).is_none() => {
                return Some(format!(
                    "invalid use_temp_path value \"{text}\", it must be \"on\" or \"off\""
                ));
            }
            "keys_zone" => {
                let (zone, size) = given.split_once(':').unwrap_or(("", "x"));
                match value::size(size.as_bytes()) {
                    None => return Some(format!("invalid keys zone size \"{text}\"")),
                    Some(size) if size < 2 * value::PAGE => {
                        return Some(format!("keys zone \"{text}\" is too small"));
                    }
                    Some(_) => named = !zone.is_empty(),
                }
                true
            }
            "levels" | "use_temp_path" => true,
            "inactive" => value::seconds(bytes).is_some(),
            "max_size" | "min_free" => value::offset(bytes).is_some(),
            "loader_files" | "manager_files" => value::number(bytes).is_some(),
            "loader_sleep" | "loader_threshold" | "manager_sleep" | "manager_threshold" => {
                value::milliseconds(bytes).is_some()
            }
            _ => return Some(format!("invalid parameter \"{text}\"")),
        };
        if !text.contains('=') {
            return Some(format!("invalid parameter \"{text}\""));
        }
        if !fits {
            return Some(format!("invalid {key} value \"{text}\""));
        }
    }
    let name = directive.name();
    (!named).then(|| format!("\"{name}\" must have \"keys_zone\" parameter"))
}

/// `1:2:2`: three numbers at most, each 1 or 2.
fn levels(given: &[u8]) -> bool {
    let mut parts = given.split(|byte| *byte == b':');
    let fits = parts.all(|part| matches!(part, b"1" | b"2"));
    given.is_empty() || (fits && given.len() <= 5)
}

fn valid(directive: &Directive) -> Option<String> {
    let (time, statuses) = directive.arguments().split_last()?;
    if value::seconds(&time.bytes).is_none() {
        return Some(format!("invalid time value \"{}\"", time.text()));
    }
    let wrong = |word: &&Word| {
        let status = value::number(&word.bytes);
        &*word.bytes != b"any" && !matches!(status, Some(100..=599))
    };
    let status = statuses.iter().find(wrong)?;
    Some(format!("invalid status \"{}\"", status.text()))
}

fn ocsp(directive: &Directive) -> Option<String> {
    let text = directive.argument(0);
    if text == "off" {
        return None;
    }
    let parts = text.strip_prefix("shared:");
    let size = parts
        .and_then(|rest| rest.split_once(':'))
        .filter(|(name, _)| !name.is_empty())
        .and_then(|(_, size)| value::size(size.as_bytes()));
    match size {
        None => Some(format!("invalid OCSP cache \"{text}\"")),
        Some(size) if size < 8 * value::PAGE => Some(format!("OCSP cache \"{text}\" is too small")),
        Some(_) => None,
    }
}

fn threads(directive: &Directive) -> Option<String> {
    let mut said = false;
    for word in directive.arguments().iter().skip(1) {
        let text = word.text();
        match text.split_once('=') {
            Some(("threads", given)) => {
                said = matches!(value::number(given.as_bytes()), Some(1..));
                if !said {
                    return Some(format!("invalid threads value \"{text}\""));
                }
            }
            Some(("max_queue", given)) if value::number(given.as_bytes()).is_none() => {
                return Some(format!("invalid max_queue value \"{text}\""));
            }
            _ => {}
        }
    }
    (!said).then(|| "\"thread_pool\" must have \"threads\" parameter".to_owned())
}

fn affinity(directive: &Directive) -> Option<String> {
    let words = directive.arguments();
    let auto = words.first().is_some_and(|word| &*word.bytes == b"auto");
    if auto && words.len() > 2 {
        return Some("invalid number of arguments in \"worker_cpu_affinity\" directive".to_owned());
    }
    words.iter().skip(usize::from(auto)).find_map(|word| {
        if word.bytes.len() > 1024 {
            return Some("\"worker_cpu_affinity\" supports up to 1024 CPUs only".to_owned());
        }
        // From the right, as the mask is read.
        let mut bytes = word.bytes.iter().rev();
        let wrong = bytes.find(|byte| !matches!(byte, b'0' | b'1' | b' '))?;
        let wrong = char::from(*wrong);
        Some(format!(
            "invalid character \"{wrong}\" in \"worker_cpu_affinity\""
        ))
    })
}
