//! nginx's tables of names: those whose buckets are too small for a name, and those that have too few of them.
//!
//! hubgate's own tables have no such bounds; `nginx -t` says it all the same, for the file is not one that nginx would serve.
//! The arithmetic is nginx's, for pointers of 8 bytes and cache lines of 64. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use super::addresses;
use super::model::Scope;
use super::table::{self, Context};
use super::tree::{Block, Directive};
use super::value;

const POINTER: usize = 8;
const CACHE_LINE: usize = 64;

/// A table, and what is in it.
struct Names<'a> {
    table: &'a str,
    bucket: usize,
    most: usize,
    names: BTreeSet<Vec<u8>>,
}

impl<'a> Names<'a> {
    fn new(table: &'a str, scope: &Scope<'_>, most: usize) -> Self {
        let said = |what: &str| {
            let own = scope.one(&format!("{table}_{what}"))?;
            usize::try_from(value::number(&own.arguments().first()?.bytes)?).ok()
        };
        Self {
            table,
            bucket: said("bucket_size").unwrap_or(CACHE_LINE),
            most: said("max_size").unwrap_or(most),
            names: BTreeSet::new(),
        }
    }

    fn add(&mut self, name: &[u8]) {
        self.names.insert(name.to_ascii_lowercase());
    }

    /// A name of hosts: one with a wildcard is kept label by label.
    fn host(&mut self, name: &str) {
        let wild = name.starts_with(['*', '.']) || name.ends_with(".*");
        if wild {
            let labels = name.split('.').filter(|own| !own.is_empty() && *own != "*");
            labels.for_each(|label| self.add(label.as_bytes()));
        }
        if !wild {
            self.add(name.as_bytes());
        }
    }

    fn bucket(&self) -> usize {
        self.bucket.div_ceil(CACHE_LINE) * CACHE_LINE
    }

    /// What a name takes.
    fn room(name: &[u8]) -> usize {
        POINTER + (name.len() + 2).div_ceil(POINTER) * POINTER
    }

    /// A name that no bucket is large enough for.
    fn fault(&self) -> Option<String> {
        if self.names.is_empty() {
            return None;
        }
        let (table, bucket) = (self.table, self.bucket());
        let too_long = |name: &Vec<u8>| bucket < Self::room(name) + POINTER;
        if self.most == 0 {
            return Some(format!(
                "could not build {table}, you should increase {table}_max_size: 0"
            ));
        }
        self.names.iter().any(too_long).then(|| {
            format!("could not build {table}, you should increase {table}_bucket_size: {bucket}")
        })
    }

    /// Whether no number of buckets up to the most holds all names.
    fn warning(&self) -> Option<String> {
        let keys = self.names.iter().map(|name| {
            let key = { name.iter() }.fold(0_u64, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
            });
            (key, Self::room(name))
        });
        let keys: Vec<_> = keys.collect();
        let room = self.bucket().saturating_sub(POINTER);
        let first = keys.len() / (room / (2 * POINTER)).max(1);
        let first = match self.most > 10_000 && !keys.is_empty() && self.most / keys.len() < 100 {
            true => self.most - 1_000,
            false => first.max(1),
        };
        let fits = |count: usize| {
            let mut filled = vec![0_usize; count];
            keys.iter().all(|(key, own)| {
                let at = key % u64::try_from(count).unwrap_or(1);
                let bucket = usize::try_from(at).ok().and_then(|at| filled.get_mut(at));
                bucket.is_some_and(|bucket| {
                    *bucket += own;
                    *bucket <= room
                })
            })
        };
        // The tables that are usual fit at once: what is tried has a bound.
        let tried = first..=self.most.min(first.saturating_add(TRIED));
        let fine = keys.is_empty() || { tried }.any(fits);
        let (table, most, bucket) = (self.table, self.most, self.bucket());
        (!fine && self.most <= TRIED).then(|| {
            format!(
                "could not build optimal {table}, you should increase either {table}_max_size: {most} or {table}_bucket_size: {bucket}; ignoring {table}_bucket_size"
            )
        })
    }
}

/// Numbers of buckets that are tried.
const TRIED: usize = 4_096;

/// The first table of a block that cannot be built.
pub(super) fn fault(block: &Directive) -> Option<String> {
    maps(block).iter().find_map(Names::fault).or_else(|| {
        let outermost = outermost(block);
        let of_http = || {
            let inner = within(&outermost, block);
            inner.or_else(|| servers(&outermost, block).iter().find_map(Names::fault))
        };
        variables(&outermost, block)
            .fault()
            .or_else(|| of_http().filter(|_| block.is("http")))
    })
}

/// What is warned of.
pub(super) fn warnings(block: &Directive) -> Vec<String> {
    let mut all = maps(block);
    if block.is("http") {
        all.extend(servers(&outermost(block), block));
    }
    all.iter().filter_map(Names::warning).collect()
}

/// Names of servers, for each address that several have: of one alone none is looked at.
fn servers(scope: &Scope<'_>, block: &Directive) -> Vec<Names<'static>> {
    let several = addresses::shared(block).into_iter();
    let tables = several.map(|servers| {
        let mut names = Names::new("server_names_hash", scope, 512);
        for name in servers.into_iter().flat_map(addresses::names_of) {
            names.host(&name);
        }
        names
    });
    tables.collect()
}

fn outermost(block: &Directive) -> Scope<'_> {
    let context = match block.is("stream") {
        true => Context::Stream,
        false => Context::Http,
    };
    Scope::outermost(context, block.children())
}

/// Tables of `map`s; names with wildcards are in others.
fn maps(block: &Directive) -> Vec<Names<'static>> {
    let scope = outermost(block);
    let maps = block.children().iter().filter(|own| own.is("map"));
    let tables = maps.map(|map| {
        let mut names = Names::new("map_hash", &scope, 2048);
        let Some(Block::Rows(rows)) = &map.block else {
            return names;
        };
        let hosts = rows
            .iter()
            .any(|row| row.words.len() == 1 && row.is("hostnames"));
        let plain = rows
            .iter()
            .filter(|row| row.words.len() == 2 && !row.is("include") && !row.is("default"));
        for row in plain.filter(|row| !row.name().starts_with('~')) {
            let name = row.name();
            match hosts {
                true => names.host(&name),
                false => names.add(name.strip_prefix('\\').unwrap_or(&name).as_bytes()),
            }
        }
        names
    });
    tables.collect()
}

/// The variables that a file defines.
fn variables(scope: &Scope<'_>, block: &Directive) -> Names<'static> {
    let mut names = Names::new("variables_hash", scope, 1024);
    gather(block, &mut names);
    names
}

fn gather(block: &Directive, names: &mut Names<'_>) {
    for own in block.children() {
        let word = match &*own.name() {
            "set" | "auth_request_set" => own.arguments().first(),
            "map" | "split_clients" => own.arguments().get(1),
            "geo" => own.arguments().last(),
            _ => None,
        };
        if let Some(name) = word.and_then(|word| word.bytes.strip_prefix(b"$")) {
            names.add(name);
        }
        if !matches!(own.block, Some(Block::Rows(_))) {
            gather(own, names);
        }
    }
}

/// Tables of servers and locations.
fn within(scope: &Scope<'_>, block: &Directive) -> Option<String> {
    { block.children().iter() }.find_map(|own| {
        let context = table::inner(scope.context(), &own.name())?;
        own.block.as_ref()?;
        if matches!(context, Context::Upstream | Context::ServerIf) {
            return None;
        }
        let inner = scope.inner(context, own.children());
        heads(&inner)
            .or_else(|| referers(&inner))
            .or_else(|| kinds(&inner))
            .or_else(|| within(&inner, own))
    })
}

/// Fields that go to upstreams, and those that are hidden from clients.
fn heads(scope: &Scope<'_>) -> Option<String> {
    ["proxy", "grpc"].iter().find_map(|family| {
        let table = format!("{family}_headers_hash");
        let mut names = Names::new(&table, scope, 512);
        for list in ["set_header", "hide_header"] {
            for own in scope.all(&format!("{family}_{list}")) {
                names.add(own.argument(0).as_bytes());
            }
        }
        names.fault()
    })
}

fn referers(scope: &Scope<'_>) -> Option<String> {
    let mut names = Names::new("referer_hash", scope, 2048);
    let own = scope.own().iter().filter(|own| own.is("valid_referers"));
    for word in own.flat_map(Directive::arguments) {
        let text = word.text();
        let host = text.split('/').next().unwrap_or_default();
        let special = matches!(&*text, "none" | "blocked" | "server_names");
        if !special && !host.starts_with('~') {
            names.host(host);
        }
    }
    names.fault()
}

/// Lists of types.
fn kinds(scope: &Scope<'_>) -> Option<String> {
    const LISTS: &[&str] = &[
        "gzip_types",
        "sub_filter_types",
        "charset_types",
        "ssi_types",
        "addition_types",
    ];
    LISTS.iter().find_map(|list| {
        let mut names = Names {
            table: "test_types_hash",
            bucket: CACHE_LINE,
            most: 2048,
            names: BTreeSet::new(),
        };
        let own = scope.all(list);
        for word in own.into_iter().flat_map(Directive::arguments) {
            names.add(&word.bytes);
        }
        names.fault()
    })
}
