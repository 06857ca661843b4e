//! `server`s as sites: names, certificates, and which plain server goes with which TLS one.
//!
//! A server that only redirects to https becomes `http = "redirect"` of the sites it names; one that refuses unknown names
//! is what hubgate does anyway.

use std::net::SocketAddr;

use super::Import;
use super::answer;
use super::draft::{self, Draft};
use super::hosts;
use super::listen::Listen;
use super::log;
use super::redirect::{self, ToHttps};
use super::route;
use crate::nginx::model::{Locations, Scope};
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;

/// The site of a server that has no name.
const NAMELESS: &str = "default.invalid";

/// A `server`, looked at.
pub(super) struct Server<'t> {
    directive: &'t Directive,
    scope: Scope<'t>,
    pub(super) http: Vec<SocketAddr>,
    pub(super) https: Vec<SocketAddr>,
    default: bool,
    /// As hubgate writes them; empty for a server that has none.
    hosts: Vec<String>,
    redirect: Option<ToHttps<'t>>,
}

/// A site being made.
pub(super) struct Site {
    hosts: Vec<String>,
    pub(super) table: Draft,
    pub(super) routes: Vec<Draft>,
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
            http: Vec::new(),
            https: Vec::new(),
            default: false,
            hosts: hosts::of_server(import, &scope),
            redirect: None,
            scope,
        };
        let ssl = server.scope.flag("ssl", false);
        for own in directive.children().iter().filter(|own| own.is("listen")) {
            server.listen(import, own, ssl);
        }
        if !directive.children().iter().any(|own| own.is("listen")) {
            server.http.push(SocketAddr::from(([0, 0, 0, 0], 80)));
        }
        if server.https.is_empty() {
            server.redirect = redirect::of_server(directive, &server.hosts);
        }
        server
    }

    fn listen(&mut self, import: &mut Import<'t>, directive: &'t Directive, ssl: bool) {
        let Some(listen) = Listen::parse(directive, 80) else {
            let what = "hubgate's sites listen on IP addresses: give one";
            import.ledger.lost(directive, what);
            return;
        };
        let tls = listen.tls || ssl;
        let key = if tls { "listen.https" } else { "listen.http" };
        match listen.lost.is_empty() {
            true => import
                .ledger
                .carried(directive, format!("`{key}`, for all sites")),
            false => import.ledger.lost(
                directive,
                format!("`{key}`, without {}", listen.lost.join(" ")),
            ),
        }
        if listen.proxy_protocol {
            import.proxied.extend(&listen.addresses);
        }
        self.default |= listen.default;
        let into = if tls { &mut self.https } else { &mut self.http };
        into.extend(listen.addresses);
    }

    /// Whether it only refuses: 444, 421, 404 or a refused handshake for names nobody has.
    fn refuses(&self) -> Option<&'t Directive> {
        let own = self.directive.children();
        let refusal = own.iter().find(|own| {
            own.is("return") && matches!(&*own.argument(0), "444" | "421" | "404" | "403" | "400")
        });
        let reject = own.iter().find(|own| {
            own.is("ssl_reject_handshake") && own.argument(0).eq_ignore_ascii_case("on")
        });
        let bare = !own.iter().any(|own| own.is("location"));
        refusal.or(reject).filter(|_| bare && self.hosts.is_empty())
    }
}

/// The sites of all servers.
pub(super) fn sites<'t>(import: &mut Import<'t>, servers: &[Server<'t>]) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    let serving = |server: &&Server<'t>| server.redirect.is_none() && server.refuses().is_none();
    // Those with TLS first: a plain one of the same host has to fit in.
    let tls = servers
        .iter()
        .filter(serving)
        .filter(|own| !own.https.is_empty());
    let plain = servers
        .iter()
        .filter(serving)
        .filter(|own| own.https.is_empty());
    // Where no server says that it is the default, the first one is.
    let said = servers.iter().any(|server| server.default);
    for server in tls.chain(plain) {
        let default = server.default || !said && sites.is_empty();
        site(import, server, default, &mut sites);
    }
    for server in servers {
        if let Some(refusal) = server.refuses() {
            let why = "hosts that no site names get 421, and no certificate";
            import.ledger.block_not_needed(server.directive, why);
            import.ledger.carried(refusal, "unknown hosts get 421");
            tell_listens(import, server);
        } else if let Some(to) = server.redirect {
            redirects(import, server, to, &mut sites);
        }
    }
    sites
}

/// `listen` counts whatever becomes of the rest.
fn tell_listens<'t>(import: &mut Import<'t>, server: &Server<'t>) {
    for own in server
        .directive
        .children()
        .iter()
        .filter(|own| own.is("listen"))
    {
        import.ledger.carried(own, "`[listen]`, for all sites");
    }
}

fn site<'t>(import: &mut Import<'t>, server: &Server<'t>, default: bool, sites: &mut Vec<Site>) {
    let taken = |host: &String| sites.iter().any(|site| site.hosts.contains(host));
    let mut hosts: Vec<String> = server
        .hosts
        .iter()
        .filter(|host| !taken(host))
        .cloned()
        .collect();
    if hosts.is_empty() && !server.hosts.is_empty() {
        let what = "another server has these names: hubgate has one site for a host, with the same routes on all addresses";
        import.ledger.block_lost(server.directive, what);
        return;
    }
    let first_default = sites.iter().all(|site| site.table.get("default").is_none());
    let nameless = hosts.is_empty();
    if nameless {
        if !first_default {
            import.ledger.block_lost(
                server.directive,
                "another server answers for unknown hosts already",
            );
            return;
        }
        hosts.push(NAMELESS.to_owned());
    }
    let name = hosts::name(&hosts);
    let mut table = Draft::new(
        format!("[site.{}]", draft::text(&name)),
        Some(server.directive),
    );
    hosts::write(&hosts, &mut table, server.scope.one("server_name"));
    if (default || nameless) && first_default {
        table.set("default", "true", None);
    }
    answer::detours(import, &server.scope, false, &mut table);
    certificate(import, server, &mut table);
    if !server.https.is_empty() && !server.http.is_empty() {
        table.set("http", "\"forward\"", None);
    }
    if let Some(own) = server.scope.own().iter().rfind(|own| own.is("access_log")) {
        log::access(import, own, &mut table);
    }
    tls(import, server, &mut table);
    let mut site = Site {
        hosts,
        table,
        routes: Vec::new(),
    };
    match Locations::new(&server.scope) {
        Ok(locations) => {
            let mut fallback = None;
            route::routes(import, &name, &locations, &mut site.routes, &mut fallback);
            let whole = |route: &Draft| {
                let all = |key| route.get(key) == Some("\"/\"");
                all("path") || all("begins")
            };
            if !site.routes.iter().any(whole) {
                let rest = answer::rest(import, &name, &server.scope);
                site.routes.extend(rest);
            }
            if let Some((upstream, from)) = fallback {
                site.table
                    .set("challenge_fallback", draft::text(&upstream), Some(from));
            }
        }
        Err(what) => import.ledger.lost(server.directive, what),
    }
    // Where everything is passed on to one place, nothing has to be understood.
    let all = |route: &Draft| route.get("path") == Some("\"/\"") && route.get("upstream").is_some();
    if !site.routes.iter().all(all) {
        site.table.set("paths", "\"normal\"", None);
        if !server.scope.flag("merge_slashes", true) {
            let from = server.scope.one("merge_slashes");
            site.table.set("merge_slashes", "false", from);
        }
    }
    if site.routes.is_empty() && server.https.is_empty() && site.table.get("http").is_none() {
        site.table.set("http", "\"forward\"", None);
    }
    if nameless && site.routes.is_empty() && site.table.get("rules").is_none() {
        import.ledger.lost(
            server.directive,
            "nothing in it that hubgate can do; hosts that no site names get 421",
        );
        import.ledger.orphan(server.directive);
        tell_listens(import, server);
        return;
    }
    import
        .ledger
        .carried(server.directive, format!("the site `{name}`"));
    sites.push(site);
}

/// Files, or ACME where certbot or nginx-acme has looked after them.
fn certificate<'t>(import: &mut Import<'t>, server: &Server<'t>, table: &mut Draft) {
    if server.https.is_empty() {
        table.set("certificate", "\"none\"", None);
        return;
    }
    let chains = server.scope.all("ssl_certificate");
    let keys = server.scope.all("ssl_certificate_key");
    let (Some(chain), Some(key)) = (chains.first(), keys.first()) else {
        table.set("certificate", "\"acme\"", None);
        return;
    };
    let path = chain.argument(0);
    if path.contains("/letsencrypt/live/") || path.starts_with("$acme") {
        table.set("certificate", "\"acme\"", Some(chain));
        for own in [chain, key] {
            import.ledger.carried(
                own,
                "`certificate = \"acme\"`: hubgate orders and renews by itself",
            );
        }
        for own in server
            .scope
            .own()
            .iter()
            .filter(|own| own.name().starts_with("acme_"))
        {
            import.ledger.carried(own, "`certificate = \"acme\"`");
        }
        return;
    }
    if path.contains('$') || path.starts_with("data:") || path.starts_with("engine:") {
        import.ledger.lost(
            chain,
            "certificates are files, or ordered: `certificate = \"acme\"` was put there",
        );
        table.set("certificate", "\"acme\"", Some(chain));
        return;
    }
    let (chain_file, key_file) = (import.absolute(&path), import.absolute(&key.argument(0)));
    let value = format!(
        "{{ chain = {}, key = {} }}",
        draft::text(&chain_file),
        draft::text(&key_file)
    );
    table.set("certificate", value, Some(chain));
    for more in chains.iter().skip(1).chain(keys.iter().skip(1)) {
        import
            .ledger
            .lost(more, "a site has one certificate: the first one");
    }
}

/// `ssl_protocols` as the site's minimum, and who is asked for a certificate.
fn tls<'t>(import: &mut Import<'t>, server: &Server<'t>, table: &mut Draft) {
    if server.https.is_empty() {
        return;
    }
    let mut words = Vec::new();
    if let Some(own) = server.scope.one("ssl_protocols") {
        let has = |version: &str| {
            own.arguments()
                .iter()
                .any(|word| word.text().eq_ignore_ascii_case(version))
        };
        let old = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"]
            .iter()
            .any(|version| has(version));
        match (old, has("TLSv1.2")) {
            (false, false) => {
                words.push("minimum_version = \"1.3\"".to_owned());
                import.ledger.carried(own, "`tls.minimum_version`");
            }
            (false, true) => import.ledger.carried(own, "TLS 1.2 and 1.3, as by default"),
            (true, _) => import
                .ledger
                .lost(own, "TLS 1.2 and 1.3 only: older versions are not spoken"),
        }
    }
    words.extend(client_certificate(import, server));
    if !words.is_empty() {
        table.set("tls", format!("{{ {} }}", words.join(", ")), None);
    }
}

/// Whom a server asks for a certificate, and which it believes.
fn client_certificate<'t>(import: &mut Import<'t>, server: &Server<'t>) -> Option<String> {
    let own = server.scope.one("ssl_verify_client")?;
    let mode = match &*own.argument(0) {
        "on" => "required",
        "optional" => "optional",
        "off" => return None,
        _ => {
            import.ledger.lost(
                own,
                "a certificate by nobody's authority is not asked for: clients show none",
            );
            return None;
        }
    };
    let Some(authority) = server.scope.one("ssl_client_certificate") else {
        import.ledger.lost(
            own,
            "without `ssl_client_certificate` no authority is believed",
        );
        return None;
    };
    let file = draft::text(&import.absolute(&authority.argument(0)));
    let mut words = vec![format!("mode = \"{mode}\""), format!("ca_file = {file}")];
    import.ledger.carried(own, "`tls.client_certificate.mode`");
    import
        .ledger
        .carried(authority, "`tls.client_certificate.ca_file`");
    if let Some(crl) = server.scope.one("ssl_crl") {
        words.push(format!(
            "crl_files = {}",
            draft::texts([import.absolute(&crl.argument(0))])
        ));
        import
            .ledger
            .carried(crl, "`tls.client_certificate.crl_files`");
    }
    Some(format!("client_certificate = {{ {} }}", words.join(", ")))
}

/// A plain server that sends everybody to https.
fn redirects<'t>(
    import: &mut Import<'t>,
    server: &Server<'t>,
    to: ToHttps<'t>,
    sites: &mut Vec<Site>,
) {
    if let Some(port) = to.port {
        import
            .listen
            .set("redirect_port", port.to_string(), Some(to.from));
    }
    let mut left = Vec::new();
    let all = server.hosts.is_empty();
    for site in sites.iter_mut() {
        if all || site.hosts.iter().any(|host| server.hosts.contains(host)) {
            status(to, &mut site.table);
        }
    }
    for host in &server.hosts {
        if !sites.iter().any(|site| site.hosts.contains(host)) {
            left.push(host.clone());
        }
    }
    let mut fallback = None;
    let name = hosts::name(&left);
    let mut table = Draft::new(
        format!("[site.{}]", draft::text(&name)),
        Some(server.directive),
    );
    if let Ok(locations) = Locations::new(&server.scope) {
        let mut none = Vec::new();
        let mut kept = locations;
        kept.list.retain(|location| {
            let same = location.directive.children().contains(to.from);
            if same {
                import
                    .ledger
                    .carried(location.directive, "`http = \"redirect\"`");
            }
            !same
        });
        route::routes(import, &name, &kept, &mut none, &mut fallback);
        for location in kept.list.iter().filter(|_| !none.is_empty()) {
            let what = "the plain host redirects, and does nothing else";
            if location.scope.one("proxy_pass").is_some() && location.path() != Some(b"/") {
                import.ledger.lost(location.directive, what);
            }
        }
    }
    if let Some((upstream, from)) = &fallback {
        for site in sites
            .iter_mut()
            .filter(|site| site.hosts.iter().any(|host| server.hosts.contains(host)))
        {
            site.table
                .set("challenge_fallback", draft::text(upstream), Some(from));
        }
        table.set("challenge_fallback", draft::text(upstream), Some(from));
    }
    if !left.is_empty() {
        hosts::write(&left, &mut table, None);
        table.set("certificate", "\"none\"", None);
        table.set("http", "\"redirect\"", Some(to.from));
        status(to, &mut table);
        sites.push(Site {
            hosts: left,
            table,
            routes: Vec::new(),
        });
    }
    tell_redirect(import, server, to, all);
}

fn status(to: ToHttps<'_>, table: &mut Draft) {
    if to.status != 301 {
        table.set("redirect_status", to.status.to_string(), Some(to.from));
    }
}

fn tell_redirect<'t>(import: &mut Import<'t>, server: &Server<'t>, to: ToHttps<'t>, all: bool) {
    let text = match all {
        true => "`http = \"redirect\"` of every site; unknown hosts get 421",
        false => "`http = \"redirect\"` of the site",
    };
    import.ledger.carried(server.directive, text);
    import.ledger.carried(to.from, text);
    for own in server.directive.children() {
        let answered = own.children().contains(to.from);
        if own.is("if") && (answered || own.argument(0).contains("$host")) {
            import.ledger.carried(own, text);
            for inner in own.children() {
                import.ledger.carried(inner, text);
            }
        }
        if own.is("return") && own.argument(0) == "404" {
            import.ledger.not_needed(own, "unknown hosts get 421");
        }
    }
}
