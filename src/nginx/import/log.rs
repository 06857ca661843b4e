//! `access_log` and `log_format` as hubgate's access log.
//!
//! The first log of a level is the table, the others are its `also`. Variables that hubgate's logs have not are left out of
//! formats and told.

use super::Import;
use super::draft::{self, Draft};
use super::variables::{self, Known};
use crate::config::{LogLevel, OwnNames, Text};
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;

/// A `log_format`, as far as it is carried.
#[derive(Clone, Debug)]
pub(super) struct Format {
    text: String,
    escape: Option<&'static str>,
}

/// Sets `access_log` of a location's route, where it or a location around it says one.
pub(super) fn of_location(import: &mut Import<'_>, scope: &Scope<'_>, route: &mut Draft) {
    let all = scope.all_of_locations("access_log");
    let events = scope.all_of_locations("error_log");
    set(import, (&all, &events), route);
}

/// Sets `access_log` of a table as the directives of one level say: `access_log`, and `error_log`.
pub(super) fn set(
    import: &mut Import<'_>,
    (all, told): (&[&Directive], &[&Directive]),
    table: &mut Draft,
) {
    if let Some((entries, from)) = entries(import, (all, told), true) {
        table.set("access_log", inline(&entries), Some(from));
    }
}

/// Sets `access_log` of a stream, which takes nothing over from `http`.
pub(super) fn of_stream(
    import: &mut Import<'_>,
    (all, told): (&[&Directive], &[&Directive]),
    table: &mut Draft,
) {
    let inherits = |key| {
        let mut tables = import.tables.iter();
        tables.any(|own| own.header == "[access_log]" && own.get(key).is_some())
    };
    let (target, events) = (inherits("target"), inherits("events"));
    let found = entries(import, (all, told), true);
    let from = found.as_ref().map(|(_, from)| *from);
    let mut entries = found.map(|(entries, _)| entries).unwrap_or_default();
    let has = |entries: &Entries, key| entries.iter().any(|(own, _)| *own == key);
    if target && !has(&entries, "target") {
        entries.push(("target", "\"off\"".to_owned()));
    }
    if events && !has(&entries, "events") {
        entries.push(("events", "[]".to_owned()));
    }
    if !entries.is_empty() {
        table.set("access_log", inline(&entries), from);
    }
}

/// The directives of one level itself, for [`set`].
pub(super) fn own<'t>(scope: &Scope<'t>) -> (Vec<&'t Directive>, Vec<&'t Directive>) {
    let own = |name: &'static str| scope.own().iter().filter(move |own| own.is(name));
    (own("access_log").collect(), own("error_log").collect())
}

/// `[access_log]`, as the directives of `http` say.
pub(super) fn of_all(import: &mut Import<'_>, scope: &Scope<'_>) -> Option<Draft> {
    let (all, told) = own(scope);
    let (entries, from) = entries(import, (&all, &told), false)?;
    let mut table = Draft::new("[access_log]", Some(from));
    for (key, value) in entries {
        table.set(key, value, None);
    }
    Some(table)
}

type Entries = Vec<(&'static str, String)>;

fn inline(entries: &Entries) -> String {
    let entries = entries.iter();
    let words: Vec<_> = entries
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    format!("{{ {} }}", words.join(", "))
}

/// The keys of the logs of one level, and the line of the first; `inherits` where a table around it may say another format.
fn entries<'t>(
    import: &mut Import<'_>,
    (all, told): (&[&'t Directive], &[&'t Directive]),
    inherits: bool,
) -> Option<(Entries, &'t Directive)> {
    let requests = of_requests(import, all, inherits);
    // Whoever runs beside nginx writes to none of its files.
    let heard = import.asked.habits.is_some();
    let events = heard.then(|| events(import, told)).flatten();
    let (mut entries, from) = match requests {
        Some(found) => found,
        None => (Vec::new(), *told.first().filter(|_| events.is_some())?),
    };
    entries.extend(events.map(|events| ("events", events)));
    Some((entries, from))
}

fn of_requests<'t>(
    import: &mut Import<'_>,
    all: &[&'t Directive],
    inherits: bool,
) -> Option<(Entries, &'t Directive)> {
    let mut logs: Vec<(Entries, &Directive)> = Vec::new();
    let (off, on): (Vec<&Directive>, Vec<_>) = all.iter().partition(|own| own.argument(0) == "off");
    for own in on {
        if own.argument(0).is_empty() {
            import.ledger.lost(own, "a log without a name is none");
            continue;
        }
        match log(import, own, inherits || !logs.is_empty()) {
            Ok(entries) => logs.push((entries, own)),
            Err(what) => import.ledger.lost(own, what),
        }
    }
    if logs.is_empty() {
        // One that is off has no others beside it.
        return off
            .first()
            .map(|own| (vec![("target", "\"off\"".to_owned())], *own));
    }
    let further = logs.split_off(1);
    let (mut entries, from) = logs.pop()?;
    if !further.is_empty() {
        let further: Vec<_> = further.iter().map(|(entries, _)| inline(entries)).collect();
        entries.push(("also", format!("[{}]", further.join(", "))));
    }
    Some((entries, from))
}

/// How loud an `error_log` is.
pub(super) fn level(own: &Directive) -> LogLevel {
    let word = own.argument(1);
    match word.starts_with("debug_") {
        true => LogLevel::Debug,
        false => LogLevel::parse(&word).unwrap_or(LogLevel::Error),
    }
}

/// `error_log`s as logs of events; `None` where there are none.
pub(super) fn events(import: &Import<'_>, all: &[&Directive]) -> Option<String> {
    let logs = all.iter().map(|own| {
        let target = match &*own.argument(0) {
            // A ring in memory is read by nobody but debuggers.
            target if target.starts_with("memory:") => "off".to_owned(),
            "" => "stderr".to_owned(),
            target if target == "stderr" || target.starts_with("syslog:") => target.to_owned(),
            path => import.under_prefix(path),
        };
        let (target, level) = (draft::text(&target), draft::text(level(own).as_str()));
        format!("{{ target = {target}, level = {level} }}")
    });
    let logs: Vec<_> = logs.collect();
    (!logs.is_empty()).then(|| format!("[{}]", logs.join(", ")))
}

/// The keys of one log.
fn log(import: &Import<'_>, own: &Directive, whole: bool) -> Result<Entries, String> {
    let target = own.argument(0);
    let target = match &*target {
        "/dev/stdout" => "stdout".to_owned(),
        "/dev/stderr" => "stderr".to_owned(),
        syslog if syslog.starts_with("syslog:") => syslog.to_owned(),
        path if path.contains('$') => {
            let path = import.under_prefix(path);
            variables::text(import, path.as_bytes(), &Known::default())?
        }
        path => {
            let packs = |word: &str| word == "gzip" || word.starts_with("gzip=");
            let packed = own.arguments().iter().any(|word| packs(&word.text()));
            let path = import.under_prefix(path);
            if packed { format!("gzip:{path}") } else { path }
        }
    };
    let mut entries = vec![("target", draft::text(&target))];
    let named = own.arguments().iter().skip(1).map(|word| word.text());
    let mut named = named.filter(|word| !is_parameter(word));
    let format = named.next().unwrap_or("combined".into());
    match import.formats.get(&*format) {
        Some(format) => {
            entries.push(("format", draft::text(&format.text)));
            let escape = format.escape;
            entries.extend(escape.map(|escape| ("escape", draft::text(escape))));
        }
        None if whole => entries.push(("format", "\"combined\"".to_owned())),
        None => {}
    }
    for word in own.arguments().iter().map(|word| word.text()) {
        if let Some(when) = word.strip_prefix("if=") {
            let when = variables::text(import, when.as_bytes(), &Known::default())?;
            entries.push(("when", draft::text(&when)));
        }
    }
    Ok(entries)
}

fn is_parameter(word: &str) -> bool {
    let mut names = ["if=", "buffer=", "flush=", "gzip="].iter();
    names.any(|name| word.starts_with(name)) || word == "gzip"
}

/// Learns a `log_format`.
pub(super) fn format(import: &mut Import<'_>, directive: &Directive) {
    let parts = directive.arguments().iter().skip(1).map(|word| word.text());
    let mut text = String::new();
    let mut escape = None;
    for part in parts {
        match part.strip_prefix("escape=") {
            Some("json") => escape = Some("json"),
            Some("none") => escape = Some("none"),
            Some(_) => {}
            None => text.push_str(&part),
        }
    }
    let mut kept = text;
    let mut lost = Vec::new();
    // Each round leaves out one variable that hubgate's logs have not.
    while !known(import, &kept) && lost.len() < 50 {
        let Some(variable) = unknown(import, &kept) else {
            import
                .ledger
                .lost(directive, "hubgate's logs have none of its variables");
            return;
        };
        kept = kept.replace(&format!("${{{variable}}}"), "-");
        kept = replaced(&kept, &variable);
        lost.push(format!("${variable}"));
    }
    if lost.is_empty() {
        import
            .ledger
            .carried(directive, "`format` of the logs that name it");
    } else {
        let lost = lost.join(", ");
        import
            .ledger
            .lost(directive, format!("carried with `-` in place of {lost}"));
    }
    if Text::parse(&kept).is_ok_and(|text| text.as_constant().is_some()) {
        // A line that says the same of every request is none of hubgate's; this variable is never anything.
        kept.push_str("${ssl_early_data}");
        escape = escape.or(Some("none"));
    }
    let format = Format { text: kept, escape };
    import
        .formats
        .insert(directive.argument(0).into_owned(), format);
}

/// Whether hubgate takes a format.
fn known(import: &Import<'_>, format: &str) -> bool {
    let own = OwnNames::with(import.own.iter().map(String::as_str));
    Text::parse_line(format, &own).is_ok_and(|text| import.has_all(&text))
}

/// The first variable that hubgate's logs have not.
fn unknown(import: &Import<'_>, format: &str) -> Option<String> {
    let mut rest = format;
    while let Some(at) = rest.find('$') {
        rest = rest.get(at + 1..)?;
        let name = rest.trim_start_matches('{');
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = name.get(..end.unwrap_or(name.len()))?;
        if !name.is_empty() && !known(import, &format!("${name}")) {
            return Some(name.to_owned());
        }
    }
    None
}

/// The format without a variable, but with those that only begin like it.
fn replaced(format: &str, variable: &str) -> String {
    let mut out = String::new();
    let mut rest = format;
    let name = format!("${variable}");
    while let Some(at) = rest.find(&name) {
        let (before, found) = rest.split_at(at);
        let after = found.get(name.len()..).unwrap_or_default();
        out.push_str(before);
        let longer = after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        out.push_str(if longer { &name } else { "-" });
        rest = after;
    }
    out + rest
}
