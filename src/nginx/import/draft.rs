//! hubgate's configuration while it is made: tables with keys, each with the line of nginx's it came from.
//!
//! Values are TOML already. Writing keeps the order in which tables were added.
#![deny(clippy::disallowed_methods)]

use std::fmt::Write as _;

use crate::nginx::tree::{Directive, Place, Tree};

/// One table.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// As it is written: `[listen]`.
    pub(super) header: String,
    /// What it came from.
    pub(super) from: Option<Place>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    value: String,
    from: Option<Place>,
}

impl Draft {
    pub(super) fn new(header: impl Into<String>, from: Option<&Directive>) -> Self {
        Self {
            header: header.into(),
            from: from.map(Directive::place),
            entries: Vec::new(),
        }
    }

    /// Sets a key; the last one set counts.
    pub(super) fn set(&mut self, key: &str, value: impl Into<String>, from: Option<&Directive>) {
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Entry {
            key: key.to_owned(),
            value: value.into(),
            from: from.map(Directive::place),
        });
    }

    /// A key's value.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let found = self.entries.iter().find(|entry| entry.key == key);
        found.map(|entry| &*entry.value)
    }

    /// Whether one of its texts names a variable.
    pub(super) fn names(&self, variable: &str) -> bool {
        let bare = format!("${variable}");
        let named = |text: &str| {
            text.contains(&format!("${{{variable}}}"))
                || text.match_indices(&bare).any(|(at, _)| {
                    let after = text.get(at + bare.len()..).unwrap_or_default();
                    !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                })
        };
        self.entries.iter().any(|entry| named(&entry.value))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether two would do the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        let plain = |draft: &Self| -> Vec<(String, String)> {
            let entries = draft.entries.iter();
            entries
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect()
        };
        plain(self) == plain(other)
    }

    pub(super) fn write(&self, out: &mut String, tree: &Tree) {
        out.push('\n');
        if let Some(from) = self.from {
            out.push_str(&format!("# from {}\n", tree.show(from)));
        }
        out.push_str(&format!("{}\n", self.header));
        for entry in &self.entries {
            out.push_str(&format!("{} = {}", entry.key, entry.value));
            if let Some(from) = entry.from {
                out.push_str(&format!("  # {}", tree.show(from)));
            }
            out.push('\n');
        }
    }
}

/// A TOML string.
pub(super) fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                // Writing to a `String` cannot fail.
                if write!(out, "\\u{:04X}", u32::from(c)).is_err() {
                    out.push(' ');
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A TOML list of strings.
pub(super) fn texts<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<_> = list.into_iter().map(|item| text(item.as_ref())).collect();
    format!("[{}]", list.join(", "))
}

/// The longest time that hubgate waits for anything: ten years.
const LONGEST: i64 = 3650 * 24 * 3600 * 1000;

/// A length of time from milliseconds.
pub(super) fn time(milliseconds: i64) -> String {
    // What nginx takes may be centuries.
    match milliseconds.min(LONGEST) {
        value if value % 3_600_000 == 0 && value > 0 => format!("\"{}h\"", value / 3_600_000),
        value if value % 60_000 == 0 && value > 0 => format!("\"{}m\"", value / 60_000),
        value if value % 1000 == 0 => format!("\"{}s\"", value / 1000),
        value => format!("\"{value}ms\""),
    }
}

/// A number of bytes.
pub(super) fn size(bytes: i64) -> String {
    const MEGA: i64 = 1 << 20;
    match bytes {
        value if value % MEGA == 0 && value > 0 => format!("\"{}MiB\"", value / MEGA),
        value if value % 1024 == 0 && value > 0 => format!("\"{}KiB\"", value / 1024),
        value => format!("\"{value}B\""),
    }
}
