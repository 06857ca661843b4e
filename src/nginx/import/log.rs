//! `access_log` and `log_format` as hubgate's access log.
//!
//! Variables that hubgate's logs have not are left out and told.

use super::Import;
use super::draft::{self, Draft};
use crate::config::{OwnNames, Text};
use crate::nginx::tree::Directive;

/// Sets `access_log` of a table as one `access_log` directive says.
pub(super) fn access(import: &mut Import<'_>, directive: &Directive, table: &mut Draft) {
    let target = directive.argument(0);
    let mut words = Vec::new();
    match &*target {
        "off" => words.push("target = \"off\"".to_owned()),
        "/dev/stdout" => words.push("target = \"stdout\"".to_owned()),
        path if path.starts_with("syslog:") || path.contains('$') => {
            import
                .ledger
                .lost(directive, "hubgate logs to files and standard output only");
            return;
        }
        path => words.push(format!(
            "target = {}",
            draft::text(&import.under_prefix(path))
        )),
    }
    let name = directive.argument(1);
    if let Some(format) = import.formats.get(&*name).cloned() {
        words.push(format!("format = {}", draft::text(&format)));
    }
    let extras = directive.arguments().iter().skip(2).map(|word| word.text());
    let lost: Vec<_> = extras.filter(|word| word.starts_with("if=")).collect();
    if !lost.is_empty() {
        import.ledger.lost(
            directive,
            format!("every request is logged, whatever `{}`", lost.join(" ")),
        );
    }
    let value = format!("{{ {} }}", words.join(", "));
    table.set("access_log", value, Some(directive));
}

/// Learns a `log_format`.
pub(super) fn format(import: &mut Import<'_>, directive: &Directive) {
    let parts = directive.arguments().iter().skip(1).map(|word| word.text());
    let text: String = parts.filter(|part| !part.starts_with("escape=")).collect();
    let mut kept = text.clone();
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
    let named = |name: &str| lost.iter().all(|own| own == name);
    if !lost.is_empty() && named("$remote_user") {
        import.ledger.carried(
            directive,
            "`format` of the logs that name it; `-` for `$remote_user`, as hubgate asks for none",
        );
    } else if lost.is_empty() {
        import
            .ledger
            .carried(directive, "`format` of the logs that name it");
    } else {
        let lost = lost.join(", ");
        import
            .ledger
            .lost(directive, format!("carried with `-` in place of {lost}"));
    }
    import
        .formats
        .insert(directive.argument(0).into_owned(), kept);
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
