//! `conf/reference.toml`: every key with its default, unit and meaning, made from the schema.
//!
//! The text is a configuration that loads, so the reference cannot name a key that does not exist.

use super::schema::{Default, Key, Kind, TABLES};
use super::variables;
use crate::types::amount::ByteSize;

/// Characters of a line, its `# ` included.
const WIDTH: usize = 100;

/// The whole reference.
pub fn reference() -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "hubgate: every key of the configuration, with its default and its meaning.",
    );
    comment(
        &mut out,
        "Made from the schema; `HUBGATE_BLESS=1 cargo test --test config_reference` writes it anew.",
    );
    comment(
        &mut out,
        "Durations are whole numbers with ms, s, m, h or d (\"1h 30m\"); sizes have B, kB, MB, GB (powers of 1000) or KiB, MiB, GiB (powers of 1024). Relative paths start from the configuration file's folder. Unknown keys are refused.",
    );
    for table in TABLES {
        out.push('\n');
        comment(&mut out, table.about);
        out.push_str(&table.header.replace("HOST", "hub.example.org"));
        out.push('\n');
        for key in table.keys {
            entry(&mut out, key);
        }
    }
    out.push('\n');
    comment(
        &mut out,
        "Variables of an access log's format and of other texts, written $name or ${name}; $$ is the sign itself:",
    );
    for (name, _, about) in variables::VARIABLES {
        out.push_str(&format!("#   ${name:<24}{about}\n"));
    }
    for (name, about) in variables::FAMILIES {
        out.push_str(&format!("#   ${name:<24}{about}\n"));
    }
    out
}

fn entry(out: &mut String, key: &Key) {
    if matches!(key.kind, Kind::Table) {
        out.push('\n');
        comment(out, &format!("{}: {}.", key.name, key.about));
        return;
    }
    out.push('\n');
    comment(out, key.about);
    let kind = kind(&key.kind);
    let name = key.name;
    match key.default {
        Default::Value(value) => {
            comment(out, &format!("{kind}. Default: {value}."));
            out.push_str(&format!("{name} = {value}\n"));
        }
        Default::Rule(rule, example) => {
            comment(out, &format!("{kind}. Default: {rule}."));
            out.push_str(&format!("# {name} = {example}\n"));
        }
        Default::Either(other, example) => {
            comment(out, &format!("{kind}. Required: this or `{other}`."));
            out.push_str(&format!("{name} = {example}\n"));
        }
        Default::Required(example) => {
            comment(out, &format!("{kind}. Required."));
            out.push_str(&format!("{name} = {example}\n"));
        }
        Default::Table => {}
    }
}

/// What a key takes, in words.
pub(super) fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "true or false".to_owned(),
        Kind::Count(least, most) => format!("A whole number, {least} to {most}"),
        Kind::Duration(0) => "A duration".to_owned(),
        Kind::Duration(_) => "A duration above zero".to_owned(),
        Kind::Size(least, most) => format!("A size, {} to {}", ByteSize(*least), ByteSize(*most)),
        Kind::SizeOrNone => "A size, or \"none\"".to_owned(),
        Kind::Word(words) => quoted(words).join(" or "),
        Kind::Words(words) => format!("A list of {}", quoted(words).join(", ")),
        Kind::Percent(least, most) => format!("A share, \"{least}%\" to \"{most}%\""),
        Kind::Text => "Text".to_owned(),
        Kind::Path => "A path".to_owned(),
        Kind::Address => "IP:port".to_owned(),
        Kind::Addresses => "A list of IP:port or unix:PATH".to_owned(),
        Kind::Listener => "IP:port, unix:PATH or a table".to_owned(),
        Kind::Listeners => "A list of IP:port, unix:PATH or tables".to_owned(),
        Kind::Endpoints => "A list of IP:port, NAME:port or tables".to_owned(),
        Kind::Inline => "A table".to_owned(),
        Kind::Inlines => "A list of tables".to_owned(),
        Kind::Texts => "A list of texts".to_owned(),
        Kind::Pairs => "A list of pairs of texts".to_owned(),
        Kind::Certificate => "A word, a table of two files, or a list of such tables".to_owned(),
        Kind::Tls => "true, false or a table".to_owned(),
        Kind::Status(_) => "A status".to_owned(),
        Kind::Table => "A table".to_owned(),
    }
}

fn quoted(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("\"{word}\"")).collect()
}

/// A text as comment lines of at most [`WIDTH`] characters.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}
