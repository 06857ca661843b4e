//! Requests made from a configuration: its servers, their names and locations, and what is near them.
//!
//! Each location is asked for as it stands, with more behind it, encoded, doubled, without its slash; each server by its
//! names and by others. Invariant: the same configuration gives the same requests.

use std::net::SocketAddr;

use super::Pair;
use super::exchange::Request;
use super::random::Row;
use crate::nginx::{Directive, Tree};

/// A server that can be asked.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Its address, and whether there is TLS.
    at: Vec<(Pair, bool)>,
    /// What clients may call it.
    hosts: Vec<String>,
    /// Beginnings of paths that its locations name.
    paths: Vec<String>,
}

impl Server {
    /// The first way to ask it, and whether that is by TLS.
    pub(super) fn pair(&self) -> Option<(Pair, bool)> {
        self.at.first().copied()
    }

    /// What clients call it.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }
}

/// What comes after a location's path.
const TAILS: &[&str] = &[
    "",
    "a",
    "a/b",
    "a%2Fb",
    "a//b",
    "a/../b",
    "a/./b",
    "%7Euser",
    "a%20b",
    "a+b",
    "?x=1",
    "a?x=%7E&y=/..//",
    "a.png",
    "a.php",
    "A",
    "index.html",
    "%C3%A4",
    "a;b=c",
    "a%3Fb",
    "a:b@c",
    "..%2f",
    "%2e%2e/x",
    "'()*",
];

/// Fields that edges look at.
const FIELDS: &[(&str, &str)] = &[
    ("Accept", "text/html"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "gzip"),
    ("Cookie", "a=b; c=d"),
    ("User-Agent", "Mozilla/5.0"),
    ("Referer", "http://example.org/x"),
    ("Authorization", "Basic YTpi"),
    ("If-None-Match", "\"a\""),
    ("Range", "bytes=0-3"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("X_Under_Score", "1"),
    ("Origin", "https://example.org"),
];

/// The servers of a configuration that have an address among the pairs, and a note for those that have not.
pub(super) fn servers(tree: &Tree, pairs: &[Pair]) -> (Vec<Server>, Vec<String>) {
    let (mut servers, mut notes) = (Vec::new(), Vec::new());
    let http = tree.directives.iter().filter(|own| own.is("http"));
    let blocks = http.flat_map(Directive::children);
    for block in blocks.filter(|own| own.is("server")) {
        let at = addresses(block, pairs);
        if at.is_empty() {
            let place = tree.show(block.place());
            notes.push(format!("not asked: no `--at` is for the server of {place}"));
            continue;
        }
        servers.push(Server {
            at,
            hosts: hosts(block),
            paths: paths(block),
        });
    }
    (servers, notes)
}

fn addresses(server: &Directive, pairs: &[Pair]) -> Vec<(Pair, bool)> {
    let mut found = Vec::new();
    let mut listens = server
        .children()
        .iter()
        .filter(|own| own.is("listen"))
        .peekable();
    if listens.peek().is_none() {
        found.extend(
            pairs
                .iter()
                .filter(|pair| pair.nginx.port() == 80)
                .map(|pair| (*pair, false)),
        );
    }
    for listen in listens {
        let word = listen.argument(0);
        let tls = listen.arguments().iter().any(|word| word.text() == "ssl");
        let is_meant = |pair: &&Pair| match word.parse::<SocketAddr>() {
            Ok(address) => {
                address == pair.nginx
                    || address.ip().is_unspecified() && address.port() == pair.nginx.port()
            }
            Err(_) => {
                let port = word.rsplit(':').next().unwrap_or(&word);
                port.parse().unwrap_or(80) == pair.nginx.port()
            }
        };
        found.extend(pairs.iter().filter(is_meant).map(|pair| (*pair, tls)));
    }
    found
}

/// Its names, where patterns stand for one that they match, and the wildcard's nobody.
fn hosts(server: &Directive) -> Vec<String> {
    let names = server.children().iter().filter(|own| own.is("server_name"));
    let mut hosts: Vec<String> = names
        .flat_map(Directive::arguments)
        .map(|word| word.text().into_owned())
        .filter(|name| !name.starts_with('~') && !name.is_empty() && name != "_")
        .map(|name| match name.as_str() {
            name if name.starts_with("*.") => name.replacen('*', "any", 1),
            name if name.starts_with('.') => format!("any{name}"),
            name => name.replace('*', "any"),
        })
        .collect();
    if hosts.is_empty() {
        hosts.push("nobody.example.net".to_owned());
    }
    hosts
}

/// The paths of its locations, inner ones too; expressions give the text that is plain in them.
fn paths(block: &Directive) -> Vec<String> {
    let mut found = vec!["/".to_owned()];
    for own in block.children().iter().filter(|own| own.is("location")) {
        let words: Vec<_> = own.arguments().iter().map(|word| word.text()).collect();
        let (mark, path) = match words.as_slice() {
            [mark, path] => (&**mark, &**path),
            [path] => ("", &**path),
            _ => continue,
        };
        match mark {
            "~" | "~*" => found.push(plain(path)),
            _ if path.starts_with('/') => found.push(path.to_owned()),
            _ => {}
        }
        found.extend(paths(own).into_iter().filter(|path| path != "/"));
    }
    found
}

/// A path that an expression may match: its alternatives' first, its classes' some letter.
fn plain(pattern: &str) -> String {
    let mut out = String::new();
    let mut letters = pattern.trim_start_matches('^').chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('d') => out.push('7'),
                Some('w') => out.push('a'),
                Some(other) if !other.is_ascii_alphanumeric() => out.push(other),
                _ => {}
            },
            '[' => {
                out.push('a');
                let _end = letters.by_ref().find(|letter| *letter == ']');
            }
            '|' => {
                let _end = letters.by_ref().find(|letter| *letter == ')');
            }
            '.' => out.push('a'),
            '(' | ')' | '?' | '*' | '+' | '$' | '^' => {}
            other => out.push(other),
        }
    }
    match out.starts_with('/') {
        true => out,
        false => format!("/x{out}"),
    }
}

/// So many requests, to each server in turn.
pub(super) fn requests(servers: &[Server], count: usize, post: bool) -> Vec<Request> {
    let mut row = Row::new();
    let all = (0..count).filter_map(|index| {
        let server = servers.get(index.checked_rem(servers.len())?)?;
        request(server, &mut row, index, post)
    });
    all.collect()
}

fn request(server: &Server, row: &mut Row, index: usize, post: bool) -> Option<Request> {
    let (pair, tls) = *row.one(&server.at)?;
    let mut host = row.one(&server.hosts)?.clone();
    match row.below(10) {
        0 => host = host.to_ascii_uppercase(),
        1 => host.push_str(&format!(":{}", pair.nginx.port())),
        _ => {}
    }
    // First everything as it stands, then mixed.
    let path = match server.paths.get(index / 8) {
        Some(path) if index % 8 < 4 => path,
        _ => row.one(&server.paths)?,
    };
    let tail = row.one(TAILS)?;
    let target = match row.below(8) {
        0 => path.trim_end_matches('/').to_owned() + if path.len() < 2 { "/" } else { "" },
        1 => format!("{path}{}", tail.replace('a', "%61")),
        2 => format!("/{path}{tail}"),
        _ => format!("{path}{tail}"),
    };
    let method = match row.below(12) {
        0 | 1 => "HEAD",
        2 => "OPTIONS",
        3 if post => "POST",
        _ => "GET",
    };
    let fields = match row.below(2) {
        0 => Vec::new(),
        _ => row
            .one(FIELDS)
            .map(|(name, value)| (*name, (*value).to_owned()))
            .into_iter()
            .collect(),
    };
    Some(Request {
        pair,
        tls,
        host,
        method: method.to_owned(),
        target,
        fields,
        body: if method == "POST" { "a=b" } else { "" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_stands_for_a_path_that_it_matches() {
        for pattern in [
            r"\.(png|css)$",
            r"^/(user/[^/]*)/(api/kernels/[^/]+/channels|terminals/websocket)/?",
            "/.well-known",
        ] {
            let path = plain(pattern);
            let matches = regex::Regex::new(pattern).unwrap().is_match(&path);
            assert!(matches && path.starts_with('/'), "{pattern}: {path}");
        }
    }
}
