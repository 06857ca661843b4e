//! Recognises servers that only send people to https, in the forms in which they are written.
//!
//! `return`, `rewrite ^ .. permanent`, `location /` with one of them, and certbot's `if ($host = ..)`.
#![deny(clippy::disallowed_methods)]

use crate::nginx::tree::Directive;

/// A redirect of everything to https.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ToHttps<'t> {
    pub(super) status: u16,
    /// A port other than 443.
    pub(super) port: Option<u16>,
    pub(super) from: &'t Directive,
}

/// The redirect of a server that does nothing else but answer challenges; `names` are its own.
pub(super) fn of_server<'t>(server: &'t Directive, names: &[String]) -> Option<ToHttps<'t>> {
    let own = server.children();
    let direct = own.iter().find_map(|directive| to_https(directive, names));
    let in_if = || {
        let conditions = own
            .iter()
            .filter(|own| own.is("if") && own.argument(0).contains("$host"));
        conditions
            .flat_map(Directive::children)
            .find_map(|directive| to_https(directive, names))
    };
    let in_root = || {
        let root = own
            .iter()
            .find(|own| own.is("location") && own.argument(0) == "/")?;
        root.children()
            .iter()
            .find_map(|directive| to_https(directive, names))
    };
    direct.or_else(in_if).or_else(in_root)
}

/// A `return` or `rewrite` that keeps host and target.
fn to_https<'t>(directive: &'t Directive, names: &[String]) -> Option<ToHttps<'t>> {
    let (status, url) = match (&*directive.name(), directive.arguments().len()) {
        ("return", 1) => (302, directive.argument(0)),
        ("return", 2) => (directive.argument(0).parse().ok()?, directive.argument(1)),
        ("rewrite", 3) => {
            let status = match &*directive.argument(2) {
                "permanent" => 301,
                "redirect" => 302,
                _ => return None,
            };
            (status, directive.argument(1))
        }
        _ => return None,
    };
    let rest = url.strip_prefix("https://")?;
    let end = rest
        .find(['/', ':'])
        .or_else(|| rest.get(1..)?.find('$').map(|at| at + 1));
    let (host, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let fine_host = matches!(host, "$host" | "$http_host" | "$server_name")
        || names.iter().any(|name| name == host);
    let (port, target) = match rest.strip_prefix(':') {
        Some(rest) => {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (port, target) = rest.split_at(end);
            (Some(port.parse().ok()?), target)
        }
        None => (None, rest),
    };
    let keeps = matches!(
        target,
        "$request_uri" | "$uri$is_args$args" | "/$1" | "/$1$is_args$args"
    );
    let known = matches!(status, 301 | 302 | 307 | 308);
    (fine_host && keeps && known).then_some(ToHttps {
        status,
        port: port.filter(|port| *port != 443),
        from: directive,
    })
}
