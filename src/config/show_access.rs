//! Access as TOML: what `explain` prints and `diff` compares of it.
//!
//! What is printed loads to an equal value.

use super::access::Access;
use super::show::{Entry, inline, list, quoted};
use super::validate::key_text;
use crate::types::amount::format_duration;

/// `access`, whole.
pub(super) fn access(access: &Access) -> Entry {
    let mut entries = keys(access);
    if let Some(others) = &access.others {
        let mut inner = vec![("than", list(&others.than))];
        inner.extend(keys(&others.access));
        entries.push(("others", inline(&inner)));
    }
    ("access", inline(&entries))
}

fn keys(access: &Access) -> Vec<Entry> {
    let mut entries = vec![("rules", list(&access.rules))];
    if let Some(basic) = &access.basic {
        let basic = [
            ("realm", quoted(&basic.realm)),
            ("file", quoted(basic.file.display())),
        ];
        entries.push(("basic", inline(&basic)));
    }
    if let Some(ask) = &access.ask {
        let taken = ask.take.iter();
        let taken = taken.map(|(name, text)| format!("{} = {}", key_text(name), quoted(text)));
        let taken: Vec<_> = taken.collect();
        let ask = [
            ("path", quoted(&ask.path)),
            ("take", format!("{{ {} }}", taken.join(", "))),
        ];
        entries.push(("ask", inline(&ask)));
    }
    entries.push(("need", quoted(access.need.as_str())));
    let delay = access.delay.map(format_duration);
    entries.extend(delay.map(|delay| ("delay", quoted(delay))));
    entries
}
