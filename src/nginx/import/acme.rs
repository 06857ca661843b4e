//! nginx-acme's authorities: `acme_issuer` blocks as `[acme]`, and `acme_certificate` of servers.
//!
//! The words are those of ngx_http_acme_module (nginx-acme 0.4). nginx asks one authority for each server, hubgate its
//! authorities in order for all: with several, the first that a server names comes first. Each host gets a certificate
//! of its own. Invariant: what is written of an authority is what hubgate's configuration takes.

use super::Import;
use super::draft::{self, Draft};
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;
use crate::types::host::Host;

/// What servers are told that name another authority than the first.
const FIRST: &str =
    "hubgate asks its authorities in order, for all sites: this one when those before it are down";

/// The authorities that servers name.
pub(super) fn authorities<'t>(import: &mut Import<'t>, http: &'t Directive) {
    let mut blocks: Vec<_> = of(http, "acme_issuer").collect();
    let servers: Vec<_> = of(http, "server").collect();
    let named = |block: &&Directive| {
        let name = block.argument(0);
        let mut all = servers
            .iter()
            .flat_map(|server| of(server, "acme_certificate"));
        all.position(|own| own.argument(0) == name)
    };
    for own in of(http, "acme_shared_zone") {
        import
            .ledger
            .not_needed(own, "keys and challenges need no zone");
    }
    for own in [&http]
        .into_iter()
        .chain(&servers)
        .flat_map(|block| of(block, "ssl_certificate_cache"))
    {
        import
            .ledger
            .not_needed(own, "certificates are read once, not for each handshake");
    }
    for block in blocks.iter().filter(|block| named(block).is_none()) {
        import
            .ledger
            .block_not_needed(block, "no server has its certificates from it");
    }
    blocks.retain(|block| named(block).is_some());
    blocks.sort_by_key(named);
    let header = match blocks.as_slice() {
        [_] => "[acme]",
        _ => "[[acme.ca]]",
    };
    let mut asked: Vec<String> = Vec::new();
    for block in &blocks {
        let Some(table) = authority(import, block, header) else {
            continue;
        };
        let directory = table.get("directory").unwrap_or_default().to_owned();
        if asked.contains(&directory) {
            import.ledger.block_lost(
                block,
                "hubgate has one account at each authority: another block has this one",
            );
            continue;
        }
        asked.push(directory);
        import.tables.push(table);
    }
    let first = blocks.first().map(|block| block.argument(0));
    for own in servers
        .iter()
        .flat_map(|server| of(server, "acme_certificate"))
    {
        let lost = match Some(own.argument(0)) == first {
            true => lost_of(own),
            false => Some(FIRST.to_owned()),
        };
        match lost {
            Some(lost) => import.ledger.lost(own, lost),
            None => import.ledger.carried(
                own,
                "`certificate = \"acme\"`: a certificate for each of the site's hosts",
            ),
        }
    }
}

/// The names that a server's certificate is ordered for, beside those of its `server_name`.
pub(super) fn identifiers(scope: &Scope<'_>) -> Vec<String> {
    let own = { scope.own().iter() }.filter(|own| own.is("acme_certificate"));
    let words = own.flat_map(|own| own.arguments().iter().skip(1));
    let words = words.map(|word| word.text().to_ascii_lowercase());
    words
        .filter(|word| !word.contains('=') && Host::parse(word).is_ok())
        .collect()
}

fn of<'t>(block: &'t Directive, name: &'t str) -> impl Iterator<Item = &'t Directive> {
    block.children().iter().filter(move |own| own.is(name))
}

/// What of an `acme_certificate` hubgate does otherwise.
fn lost_of(own: &Directive) -> Option<String> {
    let mut keys = { own.arguments().iter() }.filter_map(|word| {
        let word = word.text();
        word.strip_prefix("key=").map(str::to_owned)
    });
    let key = keys.find(|key| !matches!(&**key, "ecdsa" | "ecdsa:256"))?;
    Some(format!(
        "`certificate = \"acme\"`, whose keys are ECDSA P-256, not {key}"
    ))
}

/// One authority's table; `None`, told as lost, for one that hubgate cannot ask.
fn authority<'t>(import: &mut Import<'t>, block: &'t Directive, header: &str) -> Option<Draft> {
    let mut table = Draft::new(header, Some(block));
    let mut contacts: Vec<String> = Vec::new();
    let uri = of(block, "uri").last().map(|own| own.argument(0));
    let Some(uri) = uri.filter(|uri| is_https(uri)) else {
        let what = "a directory is an https URL (RFC 8555 section 7.1.1): none was given";
        import.ledger.block_lost(block, what);
        return None;
    };
    table.set("name", draft::text(&block.argument(0)), Some(block));
    for own in block.children() {
        let (word, second) = (own.argument(0), own.argument(1));
        let key = match &*own.name() {
            "uri" => ("directory", draft::text(&uri)),
            "contact" => match mail(&word) {
                Some(address) => {
                    contacts.push(address);
                    ("contact", draft::texts(&contacts))
                }
                None => {
                    import.ledger.lost(
                        own,
                        "a contact is an e-mail address: authorities take nothing else",
                    );
                    continue;
                }
            },
            "challenge" => match &*word {
                "http-01" | "http" => ("challenge", draft::text("http-01")),
                "tls-alpn-01" | "tls-alpn" => ("challenge", draft::text("tls-alpn-01")),
                _ => {
                    import
                        .ledger
                        .lost(own, "hubgate answers http-01 and tls-alpn-01");
                    continue;
                }
            },
            "ssl_trusted_certificate" => ("ca_file", draft::text(&import.absolute(&word))),
            "profile" => {
                if second == "require" {
                    table.set("profile_required", "true", Some(own));
                }
                ("profile", draft::text(&word))
            }
            "external_account_key" if !second.starts_with("data:") => {
                table.set("eab_key_id", draft::text(&word), Some(own));
                ("eab_hmac_file", draft::text(&import.absolute(&second)))
            }
            name => {
                rest(import, own, name);
                continue;
            }
        };
        import.ledger.carried(own, format!("`acme.{}`", key.0));
        table.set(key.0, key.1, Some(own));
    }
    import.ledger.carried(block, "`[acme]`");
    Some(table)
}

/// What an authority's block says that is no key of hubgate's.
fn rest<'t>(import: &mut Import<'t>, own: &'t Directive, name: &str) {
    let word = own.argument(0);
    let is_kind = |prefix: &str| word == prefix || word.starts_with(&format!("{prefix}:"));
    match name {
        "account_key" if is_kind("ecdsa") || is_kind("rsa") => import
            .ledger
            .not_needed(own, "hubgate makes its account's key itself, ECDSA P-256"),
        "account_key" => import.ledger.lost(
            own,
            "hubgate registers an account of its own: a CAA record that names the old one has to name it, too",
        ),
        "accept_terms_of_service" => import
            .ledger
            .not_needed(own, "whoever runs hubgate with ACME agrees to the authority's terms"),
        "ssl_verify" if word != "off" => import
            .ledger
            .not_needed(own, "an authority is always verified"),
        "ssl_verify" => import.ledger.lost(
            own,
            "an authority is always verified: name its root as `acme.ca_file`",
        ),
        "state_path" => state(import, own, &word),
        "resolver" | "resolver_timeout" => import
            .ledger
            .carried(own, "`[resolver]`"),
        "external_account_key" => import.ledger.lost(
            own,
            "a secret stays out of the configuration: write the key to a file and name it as `acme.eab_hmac_file`, with `acme.eab_key_id`",
        ),
        "preferred_chain" => import.ledger.lost(
            own,
            "the chain that the authority gives first is served",
        ),
        _ => import.ledger.lost(own, "hubgate does not know this word of nginx-acme"),
    }
}

/// Where the module keeps what it has ordered. Who runs from nginx's files keeps it there, too, beside what the module has.
fn state<'t>(import: &mut Import<'t>, own: &'t Directive, word: &str) {
    let folder = import.under_prefix(word);
    if word == "off" || import.asked.kept {
        import
            .ledger
            .not_needed(own, "`server.state_dir` keeps what was ordered");
    } else {
        import.ledger.carried(own, "`server.state_dir`");
        import.server_key("state_dir", &draft::text(&folder), Some(own));
    }
    if word != "off" && import.asked.kept {
        let place = import.tree.show(own.place());
        let told = format!(
            "certificates have been ordered already: `hubgate certs import {folder}` takes them over, so that none is ordered before it is due"
        );
        import.advice.push((place, told));
    }
}

/// Whether hubgate's configuration takes it as a directory.
fn is_https(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else {
        return false;
    };
    let uri: Option<http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host);
    host.is_some_and(|host| Host::parse(host).is_ok()) && !rest.contains(['#', '@'])
}

/// An e-mail address, as hubgate's configuration takes it.
fn mail(word: &str) -> Option<String> {
    let address = word.strip_prefix("mailto:").unwrap_or(word);
    let (user, host) = address.split_once('@')?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b",<>()?\"".contains(&byte);
    let good = !user.is_empty() && user.bytes().all(plain) && host.contains('.');
    let same = |host: &str| Host::parse(host).is_ok_and(|one| one.as_str() == host);
    (good && same(&host.to_ascii_lowercase())).then(|| address.to_owned())
}
