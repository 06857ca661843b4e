//! `upstream` blocks, and addresses that `proxy_pass` names by themselves, as `[upstream]` tables.
//!
//! A block becomes a table when something uses it. Names are followed by hubgate, where nginx asks
//! for them once; sockets are told as lost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::draft::{self, Draft};
use super::kept;
use super::ledger::Ledger;
use crate::nginx::tree::Directive;
use crate::nginx::value;
use crate::types::address::Address;
use crate::types::host::Host;
use crate::types::name::UpstreamName;

/// The upstreams of `http` or of `stream`.
#[derive(Debug, Default)]
pub(super) struct Upstreams<'t> {
    blocks: BTreeMap<String, &'t Directive>,
    /// Tables by the names hubgate gives them.
    made: BTreeMap<String, Draft>,
    /// What blocks hash, as texts of hubgate's.
    hashed: BTreeMap<String, String>,
    /// Put before names that `stream` and `http` both use.
    prefix: &'static str,
}

/// Where a `proxy_pass` goes, as far as it is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// As written: a block's name, or an address.
    pub(super) host: &'a str,
    pub(super) default_port: u16,
}

impl<'t> Upstreams<'t> {
    pub(super) fn new(directives: &'t [Directive], prefix: &'static str) -> Self {
        let blocks = directives.iter().filter(|own| own.is("upstream"));
        Self {
            blocks: blocks
                .map(|own| (own.argument(0).into_owned(), own))
                .collect(),
            made: BTreeMap::new(),
            hashed: BTreeMap::new(),
            prefix,
        }
    }

    /// The name of the table for a target, which `more` may add keys to. The same target with other keys gets a table
    /// of its own. `None`, with what is lost told at `from`, for one that hubgate cannot reach.
    pub(super) fn table(
        &mut self,
        target: Target<'_>,
        from: &Directive,
        ledger: &mut Ledger,
        more: impl FnOnce(&mut Draft),
    ) -> Option<String> {
        let mut table = match self.blocks.get(target.host) {
            Some(block) => {
                let hashed = self.hashed.get(target.host).map(|text| &**text);
                converted(block, target.default_port, hashed, ledger)
            }
            None => single(target, from),
        };
        if table.get("endpoints").is_none_or(|list| list == "[]") {
            let host = target.host;
            ledger.lost(
                from,
                format!("`{host}` is neither an address nor a name that hubgate can follow"),
            );
            return None;
        }
        more(&mut table);
        let name = format!("{}{}", self.prefix, name_of(target.host));
        for number in 1.. {
            let name = match number {
                1 => name.clone(),
                number => format!("{name}-{number}"),
            };
            table.header = format!("[upstream.{}]", quoted(&name));
            match self.made.get(&name) {
                Some(made) if !made.same(&table) => {}
                _ => {
                    self.made.insert(name.clone(), table);
                    return Some(name);
                }
            }
        }
        None
    }

    /// Whether all servers of the block of this name are down, which is told.
    pub(super) fn is_down(&self, name: &str, ledger: &mut Ledger) -> bool {
        let Some(block) = self.blocks.get(name) else {
            return false;
        };
        let mut servers = block.children().iter().filter(|own| own.is("server"));
        let is_down = servers.all(|own| own.arguments().iter().any(|word| word.text() == "down"));
        if is_down {
            ledger.block_not_needed(block, "all its servers are down");
        }
        is_down
    }

    /// The `hash` of the block of this name, where it goes by what only a text can say.
    pub(super) fn hashes(&self, name: &str) -> Option<&'t Directive> {
        let block: &'t Directive = self.blocks.get(name)?;
        let mut own = block.children().iter();
        own.find(|own| own.is("hash") && simple(&own.argument(0)).is_none())
    }

    /// The tables made so far.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Draft> {
        self.made.values()
    }

    /// Has it go by this text.
    pub(super) fn hash_by(&mut self, name: &str, text: String) {
        self.hashed.insert(name.to_owned(), text);
    }

    /// Leaves those with these names, as they are written, without checks.
    pub(super) fn unchecked(&mut self, names: &BTreeSet<&str>) {
        for (name, table) in &mut self.made {
            if names.contains(&*draft::text(name)) {
                table.set("health", "{ kind = \"off\" }", None);
            }
        }
    }

    /// The names of all blocks.
    pub(super) fn names(&self) -> Vec<String> {
        self.blocks.keys().cloned().collect()
    }

    /// What was made.
    pub(super) fn into_tables(self) -> impl Iterator<Item = Draft> {
        self.made.into_values()
    }

    /// Tells of blocks that nothing uses.
    pub(super) fn tell_unused(&self, ledger: &mut Ledger) {
        for block in self
            .blocks
            .values()
            .filter(|block| !ledger.has(block))
            .collect::<Vec<_>>()
        {
            ledger.block_not_needed(block, "nothing that is carried uses this upstream");
        }
    }
}

/// A name hubgate takes: `hub`, `10-0-0-1-80`.
fn name_of(host: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String = host
        .chars()
        .map(|c| if fine(c) { c } else { '-' })
        .collect();
    let name = name.trim_matches('-').chars().take(50).collect::<String>();
    match UpstreamName::parse(&name) {
        Ok(_) => name,
        Err(_) => "upstream".to_owned(),
    }
}

/// A key of TOML, in quotes where it needs them.
pub(super) fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => draft::text(name),
    }
}

fn single(target: Target<'_>, from: &Directive) -> Draft {
    let mut table = Draft::new("", Some(from));
    if let Some(endpoint) = endpoint(target.host, target.default_port) {
        table.set("endpoints", draft::texts([endpoint]), None);
    }
    table
}

/// An endpoint as hubgate writes it: an IP address or a name, with a port; a unix socket by its path.
pub(super) fn endpoint(text: &str, default_port: u16) -> Option<String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(to_connect(address).to_string());
    }
    if let Some(path) = Address::unix_path(text) {
        return path.starts_with('/').then(|| text.to_owned());
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse() {
        return Some(to_connect(SocketAddr::new(ip, default_port)).to_string());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, default_port),
    };
    // What stands for this machine need not be asked for.
    if host == "localhost" {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port).to_string());
    }
    let host = Host::parse(host).ok()?;
    (port > 0).then(|| format!("{}:{port}", host.as_str()))
}

/// The system connects to this machine where it is asked for no address in particular.
fn to_connect(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// An `upstream` block.
fn converted(
    block: &Directive,
    default_port: u16,
    hashed: Option<&str>,
    ledger: &mut Ledger,
) -> Draft {
    ledger.carried(block, "an `[upstream]`");
    let mut table = Draft::new("", Some(block));
    let mut endpoints: Vec<Server> = Vec::new();
    let says = |own: &Directive, what: &str| {
        let mut words = own.arguments().iter();
        words.any(|word| word.text() == what)
    };
    let servers = || block.children().iter().filter(|own| own.is("server"));
    let all_down = servers().all(|own| says(own, "down"));
    let mut first = servers().filter(|own| !says(own, "backup"));
    if first.all(|own| says(own, "max_fails=0")) {
        outlier(&mut table, "rest", "\"0s\"", block);
    }
    let mut join = |server: Option<Server>| {
        let Some(server) = server else { return };
        let mut known = endpoints.iter_mut();
        match known.find(|known| known.endpoint == server.endpoint) {
            Some(known) => known.join(&server),
            None => endpoints.push(server),
        }
    };
    let lua = block
        .children()
        .iter()
        .any(|own| own.name().contains("_by_lua"));
    for directive in block.children() {
        match &*directive.name() {
            "server" if lua => {
                join(server(
                    directive,
                    (default_port, all_down),
                    &mut table,
                    ledger,
                ));
                let what = "Lua chooses the endpoints: write the service's addresses in its place";
                ledger.lost(directive, what);
            }
            "server" => join(server(
                directive,
                (default_port, all_down),
                &mut table,
                ledger,
            )),
            "ip_hash" => {
                table.set("balance", "\"hash\"", Some(directive));
                table.set("hash_bound", "false", None);
            }
            // Two drawn, and the better of them taken.
            "random" if directive.argument(0) == "two" => {
                table.set("balance", "\"least-requests\"", Some(directive));
            }
            "random" => table.set("balance", "\"random\"", Some(directive)),
            "least_conn" => table.set("balance", "\"least-requests\"", Some(directive)),
            "hash" => hash(directive, hashed, &mut table, ledger),
            _ => kept::of_upstream(directive, &mut table),
        }
    }
    let endpoints: Vec<String> = endpoints.iter().map(Server::text).collect();
    table.set("endpoints", format!("[{}]", endpoints.join(", ")), None);
    table
}

/// The largest weight hubgate takes.
const HEAVIEST: u32 = 255;

/// A `server` of an upstream.
struct Server {
    endpoint: String,
    weight: Option<u32>,
    backup: bool,
    most: Option<u32>,
    times: u32,
}

impl Server {
    /// To nginx a server that is named twice is two, each with its share; a backup of itself helps nobody.
    fn join(&mut self, again: &Self) {
        self.times = (self.times + again.times).min(HEAVIEST);
        self.most = self.most.zip(again.most).map(|(one, other)| one + other);
        if self.backup == again.backup {
            self.weight = Some((self.share() + again.share()).min(HEAVIEST));
        } else if self.backup {
            (self.weight, self.backup) = (again.weight, false);
        }
    }

    fn share(&self) -> u32 {
        self.weight.unwrap_or(1)
    }

    /// As an entry of `endpoints`.
    fn text(&self) -> String {
        let address = draft::text(&self.endpoint);
        let mut words = vec![format!("address = {address}")];
        words.extend(self.weight.map(|weight| format!("weight = {weight}")));
        words.extend(self.backup.then(|| "backup = true".to_owned()));
        words.extend(self.most.map(|most| format!("max_connections = {most}")));
        words.extend((self.times != 1).then(|| format!("times = {}", self.times)));
        match words.len() {
            1 => address,
            _ => format!("{{ {} }}", words.join(", ")),
        }
    }
}

/// A `server` of an upstream as an endpoint; `None` for one that is down or no address.
fn server(
    directive: &Directive,
    (default_port, all_down): (u16, bool),
    table: &mut Draft,
    ledger: &mut Ledger,
) -> Option<Server> {
    let host = directive.argument(0);
    let Some(endpoint) = endpoint(&host, default_port) else {
        ledger.lost(
            directive,
            format!("`{host}` is neither an address nor a name that hubgate can follow"),
        );
        return None;
    };
    let (mut weight, mut backup, mut down) = (None, false, false);
    let mut most = None;
    let (mut fails, mut window) = (1_u32, 10);
    let mut lost = Vec::new();
    for word in directive.arguments().iter().skip(1) {
        let word = word.text();
        match word.split_once('=').unwrap_or((&word, "")) {
            ("weight", number) => weight = Some(number.to_owned()),
            ("backup", _) => backup = true,
            ("max_conns", number) => most = number.parse().ok().filter(|most| *most > 0),
            ("down", _) => down = true,
            ("max_fails", number) => {
                outlier(table, "failures", number, directive);
                fails = number.parse().unwrap_or(1);
            }
            ("fail_timeout", time) => {
                if let Some(time) = value::seconds(time.as_bytes()).filter(|time| *time > 0) {
                    outlier(table, "ejection", &draft::time(time * 1000), directive);
                    outlier_unless_said(table, "rest", &draft::time(time * 1000), directive);
                    window = time;
                }
            }
            // Every name is followed.
            ("resolve", "") => {}
            ("slow_start", time) => {
                if let Some(time) = value::seconds(time.as_bytes()) {
                    table.set("slow_start", draft::time(time * 1000), Some(directive));
                }
            }
            _ => lost.push(format!("`{word}`")),
        }
    }
    if fails > 1 {
        outlier(table, "window", &draft::time(window * 1000), directive);
    }
    let weight = match weight.as_deref().map(str::parse::<u32>) {
        Some(Ok(weight)) if weight > HEAVIEST => {
            lost.push(format!("weight {weight}: hubgate's go up to {HEAVIEST}"));
            Some(HEAVIEST)
        }
        Some(Ok(weight)) => Some(weight),
        _ => None,
    };
    match (lost.is_empty(), down) {
        (false, _) => ledger.lost(directive, format!("without {}", lost.join(", "))),
        (true, true) => ledger.carried(directive, "it is down, so it is left out"),
        (true, false) => ledger.carried(directive, "an endpoint"),
    }
    // One has to stand there, where none is up.
    (!down || all_down).then_some(Server {
        endpoint,
        weight,
        backup,
        most,
        times: u32::from(!down),
    })
}

/// One key of `outlier`, which the last server that says it sets for all.
pub(super) fn outlier(table: &mut Draft, key: &str, value: &str, from: &Directive) {
    let old = table.get("outlier").unwrap_or_default();
    let old = old.trim_start_matches('{').trim_end_matches('}').trim();
    let begins = format!("{key} =");
    let mut entries: Vec<String> = old
        .split(", ")
        .filter(|entry| !entry.is_empty() && !entry.starts_with(&begins))
        .map(str::to_owned)
        .collect();
    entries.push(format!("{key} = {value}"));
    table.set(
        "outlier",
        format!("{{ {} }}", entries.join(", ")),
        Some(from),
    );
}

/// What hubgate has a word for.
fn simple(key: &str) -> Option<String> {
    match key {
        "$remote_addr" | "$binary_remote_addr" => Some("client".to_owned()),
        key => key
            .strip_prefix("$http_")
            .map(|name| format!("header:{}", name.replace('_', "-")))
            .or_else(|| {
                key.strip_prefix("$cookie_")
                    .map(|name| format!("cookie:{name}"))
            })
            .filter(|on| !on.contains('$')),
    }
}

fn hash(directive: &Directive, hashed: Option<&str>, table: &mut Draft, ledger: &mut Ledger) {
    let key = directive.argument(0);
    match simple(&key).or_else(|| hashed.map(str::to_owned)) {
        Some(on) => {
            table.set("balance", "\"hash\"", Some(directive));
            table.set("hash_on", draft::text(&on), Some(directive));
            table.set("hash_bound", "false", None);
        }
        None => ledger.lost(
            directive,
            format!(
                "hubgate hashes the client, a field or a cookie, not `{key}`; requests take turns"
            ),
        ),
    }
}

/// As that, unless a server of the block has said so.
pub(super) fn outlier_unless_said(table: &mut Draft, key: &str, value: &str, from: &Directive) {
    let said = table.get("outlier").unwrap_or_default();
    if !said.contains(&format!("{key} =")) {
        outlier(table, key, value, from);
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn addresses_names_and_sockets_are_endpoints_and_a_socket_without_a_whole_path_is_none() {
        for (text, expected) in [
            ("10.0.0.1", Some("10.0.0.1:80")),
            ("hub:8000", Some("hub:8000")),
            ("unix:/run/app.sock", Some("unix:/run/app.sock")),
            ("unix:app.sock", None),
            ("0.0.0.0:8000", Some("127.0.0.1:8000")),
            ("[::]", Some("[::1]:80")),
        ] {
            assert_eq!(endpoint(text, 80).as_deref(), expected, "{text}");
        }
    }
}
