//! nginx's configuration as hubgate's: TOML with the lines it came from, and a report of every directive.
//!
//! Each converter makes tables and tells the ledger what it could not; whatever nobody speaks of has the fate that the
//! table of directives says. Invariant: what is written loads, and no directive is missing from the report.

mod access;
mod acme;
mod advice;
mod answer;
mod bodies;
mod clients;
mod cookies;
mod definitions;
mod draft;
mod errors;
mod files;
mod habits;
mod heads;
mod hidden;
mod hosts;
mod kept;
mod ledger;
mod limits;
mod links;
mod listen;
mod log;
mod mirror;
mod pass;
mod proxied;
mod realip;
mod report;
mod route;
mod rules;
mod secured;
mod settings;
mod site;
mod spelling;
mod stream;
mod stream_keys;
mod tls;
mod told;
mod upstream;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use draft::Draft;
pub use habits::{PID, pid_file};
use ledger::Ledger;
pub use report::{Fate, Line, Report};
use upstream::Upstreams;

use super::asked::Asked;
use super::model::{Kind, Scope};
use super::table::Context;
use super::tree::{Directive, Tree};
use crate::config::{Text, Variable};
use crate::types::address::Address;

/// What an import gives.
#[derive(Clone, Debug)]
pub struct Imported {
    /// hubgate's configuration.
    pub toml: String,
    /// What became of what.
    pub report: Report,
}

/// Everything on its way.
struct Import<'t> {
    tree: &'t Tree,
    asked: &'t Asked,
    /// What relative paths of certificates and includes start from.
    folder: PathBuf,
    ledger: Ledger,
    advice: Vec<(String, String)>,
    listen: Draft,
    upstreams: Upstreams<'t>,
    /// What limits count by: the heads of their tables.
    zones: BTreeSet<String>,
    /// Log formats by name.
    formats: BTreeMap<String, log::Format>,
    /// The first name of the server at hand.
    named: String,
    /// Its named locations.
    locations: BTreeSet<String>,
    /// Its `location_base`, and where it is said.
    base: Option<(String, Option<&'t Directive>)>,
    /// Which of the listeners that are to be somewhere else there are.
    met: BTreeSet<usize>,
    /// Addresses where PROXY headers come.
    proxied: Vec<Address>,
    /// What the site that is being made does to bodies: its `compress`, and whether it has `decompress`.
    bodies: (Option<String>, bool),
    /// Variables that the configuration names itself.
    own: Vec<String>,
    /// Those of them that tables define.
    defined: Vec<definitions::Defined<'t>>,
    /// Whether `stream` is being converted, whose variables `http` has not.
    in_stream: bool,
    /// Tables that are done.
    tables: Vec<Draft>,
    /// The variables of `secure_link` where the conversion is.
    link: Option<links::Link>,
    /// Those that have been made, by what they are made of.
    links: BTreeMap<String, links::Link>,
    /// Which paths the location is for that is being converted.
    around: Option<Kind>,
    /// Routes for what its conditions hold, to be put within its own.
    entered: Vec<Draft>,
    /// Who else may be asked by the location that is being converted.
    strangers: Option<&'static str>,
    /// Such routes so far.
    conditions: usize,
}

/// Turns a tree into hubgate's configuration, to be kept in a file.
pub fn import(tree: &Tree) -> Imported {
    import_as(tree, &Asked::default().kept())
}

/// Turns a tree into hubgate's configuration, for whoever asked for it so.
pub fn import_as(tree: &Tree, asked: &Asked) -> Imported {
    let tree = &*spelling::of(tree);
    let main = tree.files.iter().find(|name| *name != "command line");
    let folder = main.and_then(|main| Path::new(main).parent());
    let scope = Scope::outermost(Context::Main, &tree.directives);
    let http = tree.directives.iter().find(|own| own.is("http"));
    let mut import = Import {
        tree,
        asked,
        folder: folder.map(Path::to_path_buf).unwrap_or_default(),
        ledger: Ledger::default(),
        advice: Vec::new(),
        listen: Draft::new("[listen]", None),
        upstreams: Upstreams::new(http.map_or(&[], Directive::children), ""),
        zones: BTreeSet::new(),
        formats: BTreeMap::new(),
        named: String::new(),
        locations: BTreeSet::new(),
        base: None,
        met: BTreeSet::new(),
        proxied: Vec::new(),
        bodies: (None, false),
        own: Vec::new(),
        defined: Vec::new(),
        in_stream: false,
        tables: Vec::new(),
        link: None,
        links: BTreeMap::new(),
        around: None,
        entered: Vec::new(),
        strangers: None,
        conditions: 0,
    };
    let sites = match http {
        Some(http) => import.http(&scope, http),
        None => Vec::new(),
    };
    if sites.is_empty() {
        import.listen.set("http", "[]", None);
        import.listen.set("https", "[]", None);
    }
    settings::of_process(&mut import, &scope);
    habits::of_process(&mut import, &scope);
    import.upstreams.tell_unused(&mut import.ledger);
    for own in tree.directives.iter().filter(|own| own.is("stream")) {
        stream::convert(&mut import, &scope, own);
    }
    import.finish(sites)
}

impl<'t> Import<'t> {
    fn http(&mut self, outer: &Scope<'t>, http: &'t Directive) -> Vec<site::Site> {
        let scope = outer.inner(Context::Http, http.children());
        definitions::learn(self, http);
        for own in http.children().iter().filter(|own| own.is("log_format")) {
            log::format(self, own);
        }
        limits::zones(self, http.children());
        acme::authorities(self, http);
        let blocks = http.children().iter().filter(|own| own.is("server"));
        let mut servers: Vec<_> = blocks
            .map(|own| site::Server::new(self, own, &scope))
            .collect();
        site::agree(&mut servers);
        self.both_families(&servers);
        self.h2c(&servers);
        settings::of_http(self, &scope);
        site::sites(self, &servers)
    }

    /// Writes out the addresses that take IPv4 beside IPv6, and unix sockets. The rest are added by their sites, but for those
    /// that another one takes in.
    fn both_families(&mut self, servers: &[site::Server<'t>]) {
        let all = || servers.iter().flat_map(|server| server.listens());
        if !all().any(|own| own.both || own.is_unix()) {
            return;
        }
        for (key, tls) in [("http", false), ("https", true)] {
            let mut written: Vec<String> = Vec::new();
            let special = |own: &&site::Own| own.tls == tls && (own.both || own.is_unix());
            for own in all().filter(special) {
                let address = draft::text(&own.address);
                let one = match own.both {
                    true => format!("{{ address = {address}, ipv6_only = false }}"),
                    // nginx lets everybody connect.
                    false => format!("{{ address = {address}, mode = \"0666\" }}"),
                };
                if !written.contains(&one) {
                    written.push(one);
                }
            }
            self.listen
                .set(key, format!("[{}]", written.join(", ")), None);
        }
    }

    /// Says where HTTP/2 is spoken without TLS: one server that wants it at an address has it for all.
    fn h2c(&mut self, servers: &[site::Server<'t>]) {
        let all = servers.iter().flat_map(|server| server.listens());
        let plain = all.filter(|own| own.h2 && !own.tls);
        let plain: BTreeSet<_> = plain.map(|own| own.address.clone()).collect();
        if !plain.is_empty() {
            self.listen.set("h2c", draft::texts(plain), None);
        }
    }

    /// Whether the server at hand has a named location: `@name`.
    fn has_location(&self, name: &str) -> bool {
        self.locations.contains(name)
    }

    /// Whether a text names only what there is where it stands.
    fn has_all(&self, text: &Text) -> bool {
        let of_streams = |variable: &Variable| matches!(variable, Variable::OfStream(_));
        self.in_stream || !text.variables().any(of_streams)
    }

    /// Where hubgate is to listen for what nginx listens for at `address`.
    fn moved(&mut self, address: Address) -> Address {
        let all = self.asked.moved.iter().enumerate();
        let mut meant = all.filter_map(|(at, one)| Some((at, one.sends(&address)?)));
        match meant.next() {
            Some((at, to)) => {
                self.met.insert(at);
                to
            }
            None => address,
        }
    }

    /// Whether `[resolver]` is written.
    fn has_resolver(&self) -> bool {
        self.tables.iter().any(|table| table.header == "[resolver]")
    }

    /// A path as nginx would open it.
    fn absolute(&self, path: &str) -> String {
        self.folder.join(path).display().to_string()
    }

    /// A path of a log or of files to serve, as nginx would open it.
    fn under_prefix(&self, path: &str) -> String {
        let prefix = self.asked.prefix.as_ref().unwrap_or(&self.folder);
        prefix.join(path).display().to_string()
    }

    /// Whether the upstreams of `stream` may keep their names beside those of `http`.
    fn http_names_free(&self, stream: &Directive) -> bool {
        let http = self.tree.directives.iter().find(|own| own.is("http"));
        let named = |own: &&Directive| own.is("upstream");
        let names = |block: &Directive| -> Vec<String> {
            let blocks = block.children().iter().filter(named);
            blocks.map(|own| own.argument(0).into_owned()).collect()
        };
        let http = http.map(names).unwrap_or_default();
        names(stream).iter().all(|name| !http.contains(name)) && http.is_empty()
    }

    fn finish(mut self, sites: Vec<site::Site>) -> Imported {
        let unmet = self.asked.moved.iter().enumerate();
        for (_, moved) in unmet.filter(|(at, _)| !self.met.contains(at)) {
            let told = "nothing listens there: what is to be somewhere else is said by its port, or by the address of its `listen`";
            self.advice.push((format!("--at {moved}"), told.to_owned()));
        }
        if !self.proxied.is_empty() {
            self.proxied.sort();
            self.proxied.dedup();
            let list = draft::texts(self.proxied.iter().map(ToString::to_string));
            self.listen.set("proxy_protocol_required", list, None);
            let anybody = "proxy_protocol_from_anybody";
            self.listen.set(anybody, "true", None);
        }
        let main = self.tree.files.first().cloned().unwrap_or_default();
        let heads = sites
            .iter()
            .flat_map(|site| [&site.table].into_iter().chain(&site.routes));
        let all = self
            .tables
            .iter()
            .chain(heads)
            .chain(self.upstreams.tables());
        let all: Vec<_> = all.cloned().collect();
        let defined = definitions::named(&mut self, &all.iter().collect::<Vec<_>>());
        // nginx looks at what requests meet, and asks nobody by itself.
        let hubs = sites.iter().flat_map(|site| &site.routes);
        let hubs = hubs.filter(|route| route.get("preset").is_some());
        let hubs: BTreeSet<_> = hubs.filter_map(|route| route.get("upstream")).collect();
        self.upstreams.unchecked(&hubs);
        told::all(&mut self);
        let mut toml = format!(
            "# Made from {main} by `hubgate import nginx`; each part says which line it came from.\n"
        );
        let head = [&self.listen].into_iter().filter(|own| !own.is_empty());
        let sites = sites
            .iter()
            .flat_map(|site| [&site.table].into_iter().chain(&site.routes));
        let upstreams: Vec<_> = self.upstreams.into_tables().collect();
        for table in head
            .chain(&self.tables)
            .chain(sites)
            .chain(&upstreams)
            .chain(&defined)
        {
            table.write(&mut toml, self.tree);
        }
        definitions::empty(self.tree, &mut toml);
        Imported {
            toml,
            report: Report {
                lines: self.ledger.lines(self.tree),
                advice: self.advice,
            },
        }
    }
}
