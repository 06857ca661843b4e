//! `server`s as sites: names, addresses, certificates.
//!
//! Each becomes a site with addresses of its own, so that each address has its own servers and its own default, as in
//! nginx. One whose names are taken at some of its addresses, and not at others, becomes several.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Import;
use super::answer;
use super::bodies;
use super::clients;
use super::draft::{self, Draft};
use super::heads;
use super::hosts;
use super::links;
use super::listen::Listen;
use super::log;
use super::route;
use super::rules;
use super::tls;
use crate::config::FieldNames;
use crate::nginx::model::{Locations, Scope};
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;
use crate::types::address::Address;
use crate::types::host::HostPattern;

/// The host of a server that answers for others' names only.
const NAMELESS: &str = "default.invalid";
/// Where a server listens that says nothing.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);

/// A `server`, looked at.
pub(super) struct Server<'t> {
    directive: &'t Directive,
    scope: Scope<'t>,
    listens: Vec<Own>,
    /// As hubgate writes them.
    hosts: Vec<String>,
    /// Those that stand for all below them as well.
    dotted: Vec<String>,
}

/// An address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) address: String,
    pub(super) tls: bool,
    /// Whether it takes IPv4 beside IPv6.
    pub(super) both: bool,
    default: bool,
    /// Whether it speaks HTTP/2.
    pub(super) h2: bool,
}

impl Own {
    /// Whether it is a unix socket.
    pub(super) fn is_unix(&self) -> bool {
        Address::unix_path(&self.address).is_some()
    }
}

/// A site being made.
pub(super) struct Site {
    pub(super) table: Draft,
    pub(super) routes: Vec<Draft>,
}

/// Addresses of a server at which it has the same names.
struct Group {
    listens: Vec<Own>,
    hosts: Vec<String>,
}

impl<'t> Server<'t> {
    pub(super) fn new(
        import: &mut Import<'t>,
        directive: &'t Directive,
        outer: &Scope<'t>,
    ) -> Self {
        let scope = outer.inner(Context::Server, directive.children());
        let mut server = Self {
            directive,
            listens: Vec::new(),
            hosts: hosts::of_server(import, &scope),
            dotted: hosts::dotted(&scope),
            scope,
        };
        let ssl = server.scope.flag("ssl", false);
        for own in directive.children().iter().filter(|own| own.is("listen")) {
            server.listen(import, own, ssl);
        }
        if !directive.children().iter().any(|own| own.is("listen")) {
            let h2 = server.scope.flag("http2", false);
            server.add(Own {
                address: import.moved(Address::from(USUAL)).to_string(),
                tls: ssl,
                both: false,
                default: false,
                h2,
            });
        }
        server
    }

    fn listen(&mut self, import: &mut Import<'t>, directive: &'t Directive, ssl: bool) {
        let Some(mut listen) = Listen::parse(directive, 80) else {
            let what = "hubgate's sites listen on IP addresses and on sockets with a whole path";
            import.ledger.lost(directive, what);
            return;
        };
        let places = listen.addresses.into_iter();
        listen.addresses = places.map(|one| import.moved(one)).collect();
        let h2 = self.scope.flag("http2", false);
        let both = listen.lost.iter().any(|word| word == "ipv6only=off");
        listen.lost.retain(|word| word != "ipv6only=off");
        match listen.lost.is_empty() {
            true => import.ledger.carried(directive, "`listen` of the site"),
            false => import.ledger.lost(
                directive,
                format!("`listen` of the site, without {}", listen.lost.join(" ")),
            ),
        }
        if listen.proxy_protocol {
            import.proxied.extend(listen.addresses.iter().cloned());
        }
        for address in listen.addresses {
            let both = both && address.ip().is_some_and(|ip| ip.is_ipv6());
            let tls = listen.tls || ssl;
            self.add(Own {
                address: address.to_string(),
                tls,
                both,
                default: listen.default,
                h2: listen.h2 || h2,
            });
        }
    }

    fn add(&mut self, own: Own) {
        if self.listens.iter().all(|one| one.address != own.address) {
            self.listens.push(own);
        }
    }

    /// Where it listens.
    pub(super) fn listens(&self) -> &[Own] {
        &self.listens
    }
}

/// One that speaks TLS at an address has all others there speak it too.
pub(super) fn agree(servers: &mut [Server<'_>]) {
    let all = servers.iter().flat_map(|server| &server.listens);
    let tls = all.filter(|own| own.tls).map(|own| own.address.clone());
    let tls: BTreeSet<_> = tls.collect();
    for own in servers.iter_mut().flat_map(|server| &mut server.listens) {
        own.tls = tls.contains(&own.address);
    }
}

/// The sites of all servers, in their order.
pub(super) fn sites<'t>(import: &mut Import<'t>, servers: &[Server<'t>]) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    let mut taken = BTreeMap::new();
    let mut names = BTreeSet::new();
    for server in servers {
        let groups = groups(server, &mut taken);
        if groups.is_empty() {
            let what = "other servers have its names at all its addresses, as nginx warns";
            import.ledger.block_not_needed(server.directive, what);
        }
        for group in groups {
            let name = name(&group, &mut names);
            sites.push(site(import, server, servers, &group, &name));
            import
                .ledger
                .carried(server.directive, format!("the site `{name}`"));
        }
    }
    sites
}

/// Parts a server's addresses by the names that it has there; the first server that has a name at an address keeps it.
fn groups(server: &Server<'_>, taken: &mut BTreeMap<String, BTreeSet<HostPattern>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let asks = server.scope.one("ssl_verify_client");
    let asks = asks.is_some_and(|own| own.argument(0) != "off");
    for own in &server.listens {
        let is_first = !taken.contains_key(&own.address);
        let taken = taken.entry(own.address.clone()).or_default();
        // Of `.name` nothing is left where another server has `name`.
        let mut lost = BTreeSet::new();
        let free = |host: &&String| match HostPattern::parse_any(host) {
            Ok(_)
                if host
                    .strip_prefix("**.")
                    .is_some_and(|own| lost.contains(own)) =>
            {
                false
            }
            Ok(pattern) => {
                let free = taken.insert(pattern);
                if !free && server.dotted.contains(*host) {
                    lost.insert((*host).clone());
                }
                free
            }
            Err(_) => false,
        };
        let mut hosts: Vec<String> = server.hosts.iter().filter(free).cloned().collect();
        if hosts.is_empty() && (own.default || is_first) {
            hosts.push(NAMELESS.to_owned());
        }
        if hosts.is_empty() {
            continue;
        }
        // Plain HTTP cannot ask for certificates.
        let fits = |group: &&mut Group| {
            let same = group.listens.iter().all(|one| one.tls == own.tls);
            group.hosts == hosts && (same || !asks)
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.listens.push(own.clone()),
            None => groups.push(Group {
                listens: vec![own.clone()],
                hosts,
            }),
        }
    }
    groups
}

/// What a site is called: its first host, and where another is called so its port.
fn name(group: &Group, names: &mut BTreeSet<String>) -> String {
    let host = hosts::name(&group.hosts);
    let host = if host.is_empty() { "default" } else { &host };
    let port = group.listens.iter().find(|own| !own.is_unix());
    let port = port.map(|own| &own.address);
    let port = port.and_then(|address| address.rsplit_once(':'));
    let with_port = port.map(|(_, port)| format!("{host}:{port}"));
    let counted = (2..).map(|number| format!("{host}-{number}"));
    let mut all = [host.to_owned()]
        .into_iter()
        .chain(with_port)
        .chain(counted);
    let free = all.find(|name| names.insert(name.to_ascii_lowercase()));
    free.unwrap_or_default()
}

fn site<'t>(
    import: &mut Import<'t>,
    server: &Server<'t>,
    servers: &[Server<'t>],
    group: &Group,
    name: &str,
) -> Site {
    let header = format!("[site.{}]", draft::text(name));
    let mut table = Draft::new(header, Some(server.directive));
    links::enter(import, &server.scope);
    hosts::write(
        &group.hosts,
        name,
        &mut table,
        server.scope.one("server_name"),
    );
    table.set("listen", listened(&group.listens), None);
    if !group.listens.iter().all(|own| own.tls) {
        table.set("http", "\"forward-all\"", None);
    }
    let at = group.listens.iter().find(|own| own.tls);
    let at = at.map(|own| own.address.as_str());
    let ground = at.map_or(&server.scope, |at| ground(server, servers, at));
    match at {
        Some(_) => tls::certificate(import, &server.scope, ground, &mut table),
        None => table.set("certificate", "\"none\"", None),
    }
    table.set("redirect_status", "301", None);
    if server.scope.flag("ignore_invalid_headers", true) {
        let from = server.scope.one("underscores_in_headers");
        let names = match server.scope.flag("underscores_in_headers", false) {
            true => FieldNames::Underscores,
            false => FieldNames::Plain,
        };
        table.set("fields", draft::text(names.as_str()), from);
    }
    table.set("paths", "\"normal\"", None);
    if !server.scope.flag("merge_slashes", true) {
        let from = server.scope.one("merge_slashes");
        table.set("merge_slashes", "false", from);
    }
    let locations = server.directive.children().iter();
    let locations = locations.filter(|own| own.is("location"));
    import.locations = locations
        .map(|own| own.argument(0).into_owned())
        .filter(|name| name.starts_with('@'))
        .collect();
    let answers = answer::returns_always(&server.scope);
    answer::detours(import, &server.scope, answers, &mut table);
    bodies::of_site(import, &server.scope, &mut table);
    clients::of_site(import, &server.scope, &mut table);
    import.named = hosts::said(&server.scope);
    heads::of_server(import, &server.scope, &mut table);
    if import.named != name && rules::is_used(&import.tree.directives, "$server_name") {
        let from = server.scope.one("server_name");
        table.set("server_name", draft::text(&import.named), from);
    }
    import.base = heads::base(import, &server.scope);
    if let Some((base, from)) = import.base.clone() {
        table.set("location_base", draft::text(&base), from);
    }
    let (logs, events) = log::own(&server.scope);
    log::set(import, (&logs, &events), &mut table);
    if at.is_some() {
        tls::of_site(import, &server.scope, ground, &mut table);
    }
    let mut site = Site {
        table,
        routes: Vec::new(),
    };
    match Locations::new(&server.scope) {
        Ok(locations) => {
            route::routes(import, name, &locations, &mut site.routes);
            let whole = |route: &Draft| {
                let all = |key| route.get(key) == Some("\"/\"");
                all("path") || all("begins")
            };
            if !site.routes.iter().any(whole) {
                let rest = answer::rest(import, name, &server.scope);
                site.routes.extend(rest);
            }
        }
        Err(what) => import.ledger.lost(server.directive, what),
    }
    site
}

/// What says how a server's TLS is spoken at an address: without a certificate of its own the address's default server,
/// as far as that has one.
fn ground<'s, 't>(server: &'s Server<'t>, servers: &'s [Server<'t>], at: &str) -> &'s Scope<'t> {
    let has = |server: &Server<'t>| server.scope.one("ssl_certificate").is_some();
    if has(server) || server.scope.flag("ssl_reject_handshake", false) {
        return &server.scope;
    }
    let here = |other: &&Server<'t>| {
        let mut own = other.listens.iter();
        has(other) && own.any(|own| own.address == at)
    };
    let is_default = |other: &&Server<'t>| {
        let mut own = other.listens.iter();
        own.any(|own| own.address == at && own.default)
    };
    let all = || servers.iter().filter(here);
    let other = all().find(is_default).or_else(|| all().next());
    other.map_or(&server.scope, |other| &other.scope)
}

/// `listen` of a site.
fn listened(listens: &[Own]) -> String {
    let all = listens.iter().map(|own| {
        let address = draft::text(&own.address);
        match (own.tls, own.default) {
            (false, false) => address,
            (true, false) => format!("{{ address = {address}, tls = true }}"),
            (tls, true) => format!("{{ address = {address}, tls = {tls}, default = true }}"),
        }
    });
    format!("[{}]", all.collect::<Vec<_>>().join(", "))
}
