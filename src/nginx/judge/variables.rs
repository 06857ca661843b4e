//! Which words may have variables, which variables there are, and which of them may be given a value.
//!
//! nginx asks for a variable when it has read all of `http` or `stream`: it may be defined after it is used. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;

use crate::nginx::table::Context;
use crate::nginx::table::variables::{ALSO, FIXED, OF_STREAMS, ONLY_WITH, VARIABLES};
use crate::nginx::text::{Part, Text};
use crate::nginx::tree::{Directive, Word};

/// Which words of a directive may have variables.
enum Which {
    None,
    At(usize),
    All,
    From(usize),
    Last,
    /// The path of a log, and what follows `if=`.
    Log,
    /// What follows `from=`.
    After(&'static str),
}

/// Directives of all modules that ask upstreams begin with one of these.
const ASKING: &[&str] = &[
    "proxy_",
    "grpc_",
    "fastcgi_",
    "uwsgi_",
    "scgi_",
    "memcached_",
];

fn which(name: &str, words: usize) -> Which {
    let own = ASKING.iter().find_map(|family| name.strip_prefix(family));
    match (own, name) {
        (Some("pass" | "bind" | "cache" | "cache_key" | "store" | "ssl_name" | "method"), _)
        | (Some("ssl_certificate" | "ssl_certificate_key" | "set_body" | "limit_rate"), _) => {
            Which::At(0)
        }
        (Some("set_header" | "param"), _) => Which::At(1),
        (Some("cache_bypass" | "no_cache" | "redirect" | "cookie_domain"), _)
        | (Some("cookie_path" | "cookie_flags"), _) => Which::All,
        (_, "root" | "alias" | "auth_basic" | "auth_basic_user_file") => Which::At(0),
        (_, "limit_rate" | "limit_rate_after" | "limit_req_zone" | "limit_conn_zone") => {
            Which::At(0)
        }
        (_, "map" | "split_clients" | "hash" | "secure_link" | "secure_link_md5") => Which::At(0),
        (_, "http2_push" | "ssl_certificate" | "ssl_certificate_key" | "charset") => Which::At(0),
        (_, "source_charset" | "proxy_upload_rate" | "proxy_download_rate") => Which::At(0),
        (_, "geo") if words == 2 => Which::At(0),
        (_, "add_header" | "add_trailer" | "set" | "auth_request_set" | "rewrite") => Which::At(1),
        (_, "return") if words == 1 => Which::At(0),
        (_, "return") => Which::At(1),
        (_, "index" | "try_files" | "sub_filter" | "expires") => Which::All,
        (_, "error_page") => Which::Last,
        (_, "log_format") => Which::From(1),
        (_, "access_log") => Which::Log,
        (_, "disable_symlinks") => Which::After("from="),
        _ => Which::None,
    }
}

/// The texts of a directive that are filled in for each request.
fn texts(directive: &Directive) -> Vec<&[u8]> {
    let words = directive.arguments();
    let all = words.iter().map(|word| &*word.bytes);
    let expression = |word: &&[u8]| !word.starts_with(b"~");
    match which(&directive.name(), words.len()) {
        Which::None => Vec::new(),
        Which::At(index) => all.skip(index).take(1).collect(),
        Which::All => all.filter(expression).collect(),
        Which::From(index) => {
            let parts = all.skip(index);
            parts.filter(|word| !word.starts_with(b"escape=")).collect()
        }
        Which::Last => all.rev().take(1).collect(),
        Which::Log => {
            let path = words.first().map(|word| &*word.bytes);
            let path = path.filter(|path| !path.starts_with(b"syslog:"));
            let conditions = all.skip(1).filter_map(|word| word.strip_prefix(b"if="));
            path.into_iter().chain(conditions).collect()
        }
        Which::After(mark) => all
            .filter_map(|word| word.strip_prefix(mark.as_bytes()))
            .collect(),
    }
}

/// The word that names a variable which the directive gives a value.
fn defined(directive: &Directive) -> Option<&Word> {
    let words = directive.arguments();
    match &*directive.name() {
        "set" | "auth_request_set" | "perl_set" => words.first(),
        "map" | "split_clients" => words.get(1),
        "geo" => words.last(),
        _ => None,
    }
}

/// Why a directive is refused for its variables.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    if let Some(word) = defined(directive) {
        let name = word.text();
        let Some(own) = name.strip_prefix('$') else {
            return Some(format!("invalid variable name \"{name}\""));
        };
        if own.is_empty() {
            return Some(format!("invalid variable name \"{name}\""));
        }
        let own = own.to_ascii_lowercase();
        let fixed = match of_stream(context) {
            true => OF_STREAMS.contains(&&*own),
            false => FIXED.contains(&&*own),
        };
        if fixed {
            return Some(format!("the duplicate \"{own}\" variable"));
        }
    }
    { texts(directive).into_iter() }.find_map(|word| Text::parse(word).err())
}

fn of_stream(context: Context) -> bool {
    context.as_str().starts_with("stream")
}

/// The first variable of `http` or `stream` that nobody has defined.
pub(in crate::nginx) fn unknown(block: &Directive) -> Option<String> {
    let mut own = HashSet::new();
    let mut modules = HashSet::new();
    gather(block.children(), &mut own, &mut modules);
    let stream = block.is("stream");
    let known = |name: &str| {
        own.contains(name)
            || match stream {
                true => OF_STREAMS.contains(&name) || name.starts_with("ssl_"),
                false => is_built_in(name, &modules),
            }
    };
    let mut asked = Vec::new();
    match stream {
        true => names_of_streams(block.children(), &mut asked),
        false => names(block.children(), &mut asked),
    }
    let name = { asked.into_iter() }.find(|name| !known(name))?;
    Some(format!("unknown \"{name}\" variable"))
}

/// Whether one of the modules of `http` defines it.
fn is_built_in(name: &str, modules: &HashSet<String>) -> bool {
    if let Some((_, directive)) = ONLY_WITH.iter().find(|(own, _)| name.starts_with(own)) {
        return !directive.is_empty() && modules.iter().any(|own| own.starts_with(directive));
    }
    let row = |(own, _): &(&str, _)| match own.strip_suffix("NAME") {
        // `$http_` alone is a variable, of no field.
        Some(family) => name.starts_with(family),
        None => name == *own,
    };
    VARIABLES.iter().any(row) || ALSO.contains(&name)
}

/// What a block defines, and the directives in it.
fn gather(block: &[Directive], own: &mut HashSet<String>, modules: &mut HashSet<String>) {
    for directive in block {
        if let Some(word) = defined(directive) {
            own.insert(word.text().trim_start_matches('$').to_ascii_lowercase());
        }
        modules.insert(directive.name().into_owned());
        for word in &directive.words {
            groups(&word.text(), own);
        }
        gather(directive.children(), own, modules);
    }
}

/// The names that an expression gives its groups.
fn groups(expression: &str, own: &mut HashSet<String>) {
    for (open, close) in [("(?<", '>'), ("(?P<", '>'), ("(?'", '\'')] {
        for (at, _) in expression.match_indices(open) {
            let name = expression.get(at + open.len()..).unwrap_or_default();
            if let Some((name, _)) = name.split_once(close) {
                own.insert(name.to_ascii_lowercase());
            }
        }
    }
}

/// The names of the variables that a block asks for, in their order.
fn names(block: &[Directive], asked: &mut Vec<String>) {
    for directive in block {
        let name = directive.name();
        for text in texts(directive) {
            let Ok(text) = Text::parse(text) else {
                continue;
            };
            asked.extend(text.parts.iter().filter_map(|part| match part {
                Part::Variable(name) => Some(name.clone()),
                // A format of logs has no expression before it.
                Part::Group(group) if &*name == "log_format" => Some(group.to_string()),
                _ => None,
            }));
        }
        match &*name {
            "if" => condition(directive, asked),
            "map" => {
                for row in directive.children() {
                    let value = row.argument(0);
                    // A value that is a variable alone, or has some in it.
                    if let Ok(text) = Text::parse(value.as_bytes()) {
                        asked.extend(text.variables().map(str::to_owned));
                    }
                }
            }
            _ => names(directive.children(), asked),
        }
        if &*name == "if" {
            names(directive.children(), asked);
        }
    }
}

/// As [`names`]: a stream that ends no TLS has no use for its certificate.
fn names_of_streams(block: &[Directive], asked: &mut Vec<String>) {
    let ends_tls = |server: &Directive| {
        let listens = server.children().iter().filter(|own| own.is("listen"));
        { listens.flat_map(Directive::arguments) }.any(|word| &*word.bytes == b"ssl")
    };
    for directive in block {
        let unused = directive.is("server") && !ends_tls(directive);
        let inner = directive.children().iter();
        match unused {
            true => { inner }
                .filter(|own| !own.name().starts_with("ssl_certificate"))
                .for_each(|own| names(std::slice::from_ref(own), asked)),
            false => names(std::slice::from_ref(directive), asked),
        }
    }
}

/// The variables of an `if`.
fn condition(directive: &Directive, asked: &mut Vec<String>) {
    let expression = |word: &Word| matches!(&*word.bytes, b"~" | b"~*" | b"!~" | b"!~*");
    let words = directive.arguments();
    let matched = words.iter().position(expression);
    for (at, word) in words.iter().enumerate() {
        if matched.is_some_and(|matched| at > matched) {
            break;
        }
        let text = word.text();
        let text = text.trim_start_matches('(').trim_end_matches(')');
        if let Ok(text) = Text::parse(text.as_bytes()) {
            asked.extend(text.variables().map(str::to_owned));
        }
    }
}
