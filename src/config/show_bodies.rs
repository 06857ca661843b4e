//! What happens to bodies, where requests go besides and come from, as keys and TOML values.
//!
//! The counterpart of `schema::bodies`: what is printed here is read there.

use super::bodies::{Bodies, Compress, Compression, Replace};
use super::client_address::ClientAddress;
use super::mirror::MirrorTo;
use super::model::{Route, Site};
use super::referers::Referers;
use super::show::{Entry, inline, list, quoted};

/// The keys of a site.
pub(super) fn of_site(site: &Site) -> Vec<Entry> {
    let mut entries = bodies(&site.bodies);
    entries.extend(site.referers.as_deref().map(referers));
    entries.extend(site.client_address.as_deref().map(client_address));
    entries
}

/// The keys of a route.
pub(super) fn of_route(route: &Route) -> Vec<Entry> {
    let mut entries = bodies(&route.bodies);
    entries.extend(route.referers.as_deref().map(referers));
    entries.extend(route.client_address.as_deref().map(client_address));
    entries.extend(route.mirror.as_deref().map(mirror));
    entries
}

fn bodies(bodies: &Bodies) -> Vec<Entry> {
    let mut entries = Vec::new();
    let own = bodies.compress.as_deref();
    entries.extend(own.map(|own| match own {
        Compression::Off => ("compress", "false".to_owned()),
        Compression::On(own) => ("compress", inline(&compress(own))),
    }));
    let own = bodies.decompress;
    entries.extend(own.map(|own| ("decompress", own.to_string())));
    let own = bodies.charset.as_ref();
    entries.extend(own.map(|own| {
        let own = own.as_deref().map(|own| {
            inline(&[
                ("name", quoted(&own.name)),
                ("types", list(own.types.names())),
                ("replace", own.replace.to_string()),
            ])
        });
        ("charset", own.unwrap_or_else(|| "false".to_owned()))
    }));
    let own = bodies.replace.as_ref();
    entries.extend(own.map(|own| {
        let own = own.as_deref().map(|own| inline(&replace(own)));
        ("replace", own.unwrap_or_else(|| "false".to_owned()))
    }));
    entries
}

fn mirror(own: &MirrorTo) -> Entry {
    let entries = [("paths", list(&own.paths)), ("body", own.body.to_string())];
    ("mirror", inline(&entries))
}

fn client_address(own: &ClientAddress) -> Entry {
    let unix = own.from_unix.then(|| "unix:".to_owned());
    let from = own.from.iter().map(ToString::to_string).chain(unix);
    let from: Vec<_> = from.collect();
    let entries = [
        ("from", list(&from)),
        ("header", quoted(own.header.as_str())),
        ("recursive", own.recursive.to_string()),
    ];
    ("client_address", inline(&entries))
}

fn referers(own: &Referers) -> Entry {
    ("referers", list(own.words()))
}

fn replace(own: &Replace) -> Vec<Entry> {
    let pairs = own.pairs.iter();
    let pairs = pairs.map(|(from, to)| format!("[{}, {}]", quoted(from), quoted(to)));
    let pairs: Vec<_> = pairs.collect();
    vec![
        ("pairs", format!("[{}]", pairs.join(", "))),
        ("once", own.once.to_string()),
        ("types", list(own.types.names())),
        ("last_modified", own.last_modified.to_string()),
    ]
}

fn compress(own: &Compress) -> Vec<Entry> {
    let except: Vec<_> = own.except.iter().map(|one| one.as_str()).collect();
    vec![
        ("types", list(own.types.names())),
        ("min_length", quoted(own.min_length)),
        ("level", own.level.to_string()),
        ("vary", own.vary.to_string()),
        ("proxied", list(&own.proxied.words().collect::<Vec<_>>())),
        ("http_1_0", own.http_1_0.to_string()),
        ("except", list(&except)),
    ]
}
