//! What changes from one configuration to the next, in words.
//!
//! Pure. Sites go by their name, routes by their path, upstreams by their name. What a reload cannot change in
//! a running process is marked: it takes effect at the next start.

use std::collections::{BTreeMap, HashMap};

use super::access_log::AccessLog;
use super::error_pages::ErrorPages;
use super::listener::Listener;
use super::model::{Config, Listen, Route, Site};
use super::plan::{Action, Change, Field, Plan, Subject};
use super::show::{self, Entry};
use super::show_definition;
use super::show_listener;
use super::stream::Stream;
use crate::types::pause::pause;

/// Compares two configurations.
pub fn diff(old: &Config, new: &Config) -> Plan {
    let mut changes = Vec::new();
    settings(&mut changes, old, new);
    things(
        &mut changes,
        Subject::Listener,
        "",
        listeners(&old.listen),
        listeners(&new.listen),
    );
    things(
        &mut changes,
        Subject::Setting,
        "rate",
        zones(old),
        zones(new),
    );
    sites(&mut changes, old, new);
    let streams = |config: &Config| -> BTreeMap<String, Vec<Entry>> {
        let entries = |stream: &Stream| {
            let mut entries = show::stream(stream);
            entries.extend(show::access_log(&stream.access_log));
            entries
        };
        config
            .streams
            .iter()
            .map(|stream| (stream.name(), entries(stream)))
            .collect()
    };
    things(
        &mut changes,
        Subject::Stream,
        "upstream",
        streams(old),
        streams(new),
    );
    let by_name = |config: &Config| -> BTreeMap<String, Vec<Entry>> {
        config
            .upstreams
            .values()
            .map(|upstream| (upstream.name.to_string(), show::upstream(upstream)))
            .collect()
    };
    things(
        &mut changes,
        Subject::Upstream,
        "endpoints",
        by_name(old),
        by_name(new),
    );
    Plan { changes }
}

/// Keys that the running process has built itself around.
const AT_RESTART: &[(&str, &str)] = &[
    ("server", "workers"),
    ("server", "state_dir"),
    ("server", "pid_file"),
    ("server", "user"),
    ("server", "group"),
    ("server", "worker_user"),
    ("server", "worker_group"),
    ("admin", "socket"),
    ("why", "memory"),
    ("why", "sample"),
];

fn settings(changes: &mut Vec<Change>, old: &Config, new: &Config) {
    // Addresses come and go as listeners.
    let ports = |config: &Config| -> Vec<Entry> {
        show::listen(&config.listen)
            .into_iter()
            .filter(|(key, _)| !matches!(*key, "http" | "https"))
            .collect()
    };
    for (name, old, new) in [
        (
            "server",
            show::server(&old.server),
            show::server(&new.server),
        ),
        ("listen", ports(old), ports(new)),
        (
            "limits",
            show::limits(&old.limits),
            show::limits(&new.limits),
        ),
        (
            "timeouts",
            show::timeouts(&old.timeouts),
            show::timeouts(&new.timeouts),
        ),
        ("tls", show::tls(&old.tls), show::tls(&new.tls)),
        ("log", show::log(&old.log), show::log(&new.log)),
        (
            "access_log",
            show::access_log(&old.access_log),
            show::access_log(&new.access_log),
        ),
        ("admin", show::admin(&old.admin), show::admin(&new.admin)),
        ("why", show::why(&old.why), show::why(&new.why)),
        ("acme", show::acme(&old.acme), show::acme(&new.acme)),
        (
            "resolver",
            show::resolver(&old.resolver),
            show::resolver(&new.resolver),
        ),
    ] {
        let mut fields = fields("", old, new);
        for field in &mut fields {
            field.at_restart = AT_RESTART.contains(&(name, field.key.as_str()));
        }
        changed(changes, Subject::Setting, name, fields);
    }
    let pages = pages("", &old.error_pages, &new.error_pages);
    changed(changes, Subject::Setting, "error_pages", pages);
    let defined = |config: &Config| -> BTreeMap<String, Vec<Entry>> {
        let each = config.definitions.iter().map(|(name, definition)| {
            let table = show_definition::word(definition);
            let entries = show_definition::definition(definition);
            (format!("{table}.{name}"), entries)
        });
        each.collect()
    };
    things(changes, Subject::Setting, "of", defined(old), defined(new));
}

/// What changes in error pages: a page whose file says something else too.
fn pages(prefix: &str, old: &ErrorPages, new: &ErrorPages) -> Vec<Field> {
    let mut told = fields(prefix, show::error_pages(old), show::error_pages(new));
    for (shown, page) in &new.pages {
        let before = old.pages.get(shown);
        if before.is_some_and(|before| before.file == page.file && before != page) {
            let file = page.file.display();
            told.push(Field {
                key: format!("{prefix}{}", shown.key()),
                old: Some(file.to_string()),
                new: Some(format!("{file}, which says something else now")),
                at_restart: false,
            });
        }
    }
    told
}

/// What limits count by, by the names of their tables.
fn zones(config: &Config) -> BTreeMap<String, Vec<Entry>> {
    let rates = config.rates.iter();
    let rates = rates.map(|(name, zone)| (format!("rate.{name}"), show::rate(zone)));
    let concurrency = config.concurrency.iter();
    let concurrency =
        concurrency.map(|(name, zone)| (format!("concurrency.{name}"), show::concurrency(zone)));
    rates.chain(concurrency).collect()
}

/// By scheme and address, with the options that are not the default.
fn listeners(listen: &Listen) -> BTreeMap<String, Vec<Entry>> {
    let of = |scheme: &'static str, all: &[Listener]| {
        let all = all.iter().map(move |one| {
            let options = show_listener::options(one);
            (format!("{scheme} {}", one.address), options)
        });
        all.collect::<Vec<_>>()
    };
    let (http, https) = (of("http", &listen.http), of("https", &listen.https));
    http.into_iter().chain(https).collect()
}

fn sites(changes: &mut Vec<Change>, old: &Config, new: &Config) {
    let (before, after) = (by_name(old), by_name(new));
    for site in &old.sites {
        pause();
        if after.contains_key(&site.name()) {
            continue;
        }
        let entries = show::site(site);
        changes.push(whole(
            Subject::Site,
            site.name(),
            Action::Removed,
            "certificate",
            entries,
        ));
        things(
            changes,
            Subject::Route,
            "upstream",
            routes(Some(site)),
            BTreeMap::new(),
        );
    }
    for site in &new.sites {
        pause();
        match before.get(&site.name()) {
            None => {
                changes.push(whole(
                    Subject::Site,
                    site.name(),
                    Action::Added,
                    "certificate",
                    show::site(site),
                ));
                things(
                    changes,
                    Subject::Route,
                    "upstream",
                    BTreeMap::new(),
                    routes(Some(site)),
                );
            }
            // Most sites of most reloads.
            Some(before) if *before == site => {}
            Some(before) => changed_site(changes, (before, old), (site, new)),
        }
    }
}

fn by_name(config: &Config) -> HashMap<String, &Site> {
    let named = config.sites.iter().map(|site| {
        pause();
        (site.name(), site)
    });
    named.collect()
}

fn changed_site(
    changes: &mut Vec<Change>,
    (before, old): (&Site, &Config),
    (site, new): (&Site, &Config),
) {
    let mut fields = fields("", show::site(before), show::site(site));
    fields.extend(own_access_log(
        (&before.access_log, &old.access_log),
        (&site.access_log, &new.access_log),
    ));
    // Pages that only follow what they inherit are told there.
    if before.error_pages != old.error_pages || site.error_pages != new.error_pages {
        let (before, site) = (&before.error_pages, &site.error_pages);
        fields.extend(pages("error_pages.", before, site));
    }
    if before.tls != old.tls || site.tls != new.tls {
        fields.extend(self::fields(
            "tls.",
            show::tls(&before.tls),
            show::tls(&site.tls),
        ));
    }
    changed(changes, Subject::Site, &site.name(), fields);
    let at = changes.len();
    things(
        changes,
        Subject::Route,
        "upstream",
        routes(Some(before)),
        routes(Some(site)),
    );
    access_logs_of_routes(changes, at, (before, site));
}

fn routes(site: Option<&Site>) -> BTreeMap<String, Vec<Entry>> {
    let routes = site.iter().flat_map(|site| {
        site.routes
            .iter()
            .map(|route| (route_name(site, route), show::route(route)))
    });
    routes.collect()
}

fn route_name(site: &Site, route: &Route) -> String {
    let own = format!("{} {}", site.name(), route.path);
    match site.outer(route) {
        Some(outer) => format!("{own} in {}", outer.path),
        None => own,
    }
}

/// Adds what changes in the access logs of routes that are in both; `from` is where the site's routes begin.
fn access_logs_of_routes(changes: &mut Vec<Change>, from: usize, (old, new): (&Site, &Site)) {
    let before: HashMap<_, _> = old
        .routes
        .iter()
        .map(|route| (route_name(old, route), route))
        .collect();
    let told: HashMap<String, usize> = (from..)
        .zip(&changes[from..])
        .map(|(at, change)| (change.name.clone(), at))
        .collect();
    for route in &new.routes {
        let name = route_name(new, route);
        let Some(before) = before.get(&name) else {
            continue;
        };
        let fields = own_access_log(
            (&before.access_log, &old.access_log),
            (&route.access_log, &new.access_log),
        );
        if fields.is_empty() {
            continue;
        }
        match told.get(&name).and_then(|at| changes.get_mut(*at)) {
            Some(change) => change.fields.extend(fields),
            None => changed(changes, Subject::Route, &name, fields),
        }
    }
}

/// What changes in an access log, unless it only follows what it inherits. Each pair is the log and what it inherits.
fn own_access_log(old: (&AccessLog, &AccessLog), new: (&AccessLog, &AccessLog)) -> Vec<Field> {
    if old.0 == old.1 && new.0 == new.1 {
        return Vec::new();
    }
    fields(
        "access_log.",
        show::access_log(old.0),
        show::access_log(new.0),
    )
}

/// Compares named things; `telling` is the key shown of what comes or goes.
fn things(
    changes: &mut Vec<Change>,
    subject: Subject,
    telling: &str,
    old: BTreeMap<String, Vec<Entry>>,
    mut new: BTreeMap<String, Vec<Entry>>,
) {
    for (name, before) in old {
        match new.remove(&name) {
            Some(after) => changed(changes, subject, &name, fields("", before, after)),
            None => changes.push(whole(subject, name, Action::Removed, telling, before)),
        }
    }
    for (name, after) in new {
        changes.push(whole(subject, name, Action::Added, telling, after));
    }
}

fn changed(changes: &mut Vec<Change>, subject: Subject, name: &str, fields: Vec<Field>) {
    if !fields.is_empty() {
        let (name, action) = (name.to_owned(), Action::Changed);
        changes.push(Change {
            subject,
            name,
            action,
            fields,
        });
    }
}

fn whole(
    subject: Subject,
    name: String,
    action: Action,
    telling: &str,
    entries: Vec<Entry>,
) -> Change {
    let told: Vec<_> = entries
        .into_iter()
        .filter(|(key, _)| *key == telling)
        .collect();
    let fields = match action {
        Action::Removed => fields("", told, Vec::new()),
        _ => fields("", Vec::new(), told),
    };
    Change {
        subject,
        name,
        action,
        fields,
    }
}

/// The keys whose values differ, in the order of `new`, those that go last.
fn fields(prefix: &str, old: Vec<Entry>, new: Vec<Entry>) -> Vec<Field> {
    let of = |entries: &[Entry], key: &str| {
        entries
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| plain(value))
    };
    let gone = old.iter().filter(|(key, _)| of(&new, key).is_none());
    new.iter()
        .chain(gone)
        .map(|(key, _)| Field {
            key: format!("{prefix}{key}"),
            old: of(&old, key),
            new: of(&new, key),
            at_restart: false,
        })
        .filter(|field| field.old != field.new)
        .collect()
}

/// A TOML string without its quotes, when nothing in it needs them.
fn plain(value: &str) -> String {
    match value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
    {
        Some(inner) if !inner.is_empty() && !inner.contains(['"', '\\', ' ']) => inner.to_owned(),
        _ => value.to_owned(),
    }
}
