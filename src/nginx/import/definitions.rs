//! `map`, `geo` and `split_clients` as variables of the configuration's own.
//!
//! All that can be carried may be named by what is converted after them; those that nothing names in the end are left out.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Subnets;
use toml::de::DeTable;

use super::Import;
use super::draft::{self, Draft};
use super::variables::{self, Known};
use crate::config::{OwnNames, Text};
use crate::nginx::tree::{Directive, Tree};

/// A variable, ready to be written if something names it.
pub(super) struct Defined<'t> {
    pub(super) name: String,
    directive: &'t Directive,
    table: Draft,
    /// The values it may have, where each is a text that is the same for every request.
    values: Option<Vec<String>>,
}

/// Takes the tables of `http`, or of `stream` after those.
pub(super) fn learn<'t>(import: &mut Import<'t>, http: &'t Directive) {
    let is_one = |own: &&Directive| own.is("map") || own.is("geo") || own.is("split_clients");
    let mut blocks: Vec<(String, &Directive)> = http
        .children()
        .iter()
        .filter(is_one)
        .filter_map(|own| {
            Some((
                own.arguments()
                    .last()?
                    .text()
                    .strip_prefix('$')?
                    .to_ascii_lowercase(),
                own,
            ))
        })
        .collect();
    let before = std::mem::take(&mut import.own);
    blocks.retain(|(name, own)| {
        let is_new = !before.contains(name);
        if !is_new {
            let what =
                format!("`${name}` of `http` and of `stream` would be one: name it otherwise");
            import.ledger.lost(own, what);
        }
        is_new
    });
    // One that cannot be carried takes those with it that name it, and none may be made of itself.
    loop {
        let names = blocks.iter().map(|(name, _)| name.clone());
        let set = declared(&import.tree.directives);
        import.own = before.iter().cloned().chain(names).chain(set).collect();
        let mut lost = Vec::new();
        let mut defined: Vec<Defined<'t>> = Vec::new();
        for (name, own) in &blocks {
            match table(import, name, own) {
                Ok(table) => defined.push(table),
                Err(why) => lost.push((name.clone(), *own, why)),
            }
        }
        lost.extend(circular(&defined));
        if lost.is_empty() {
            import.defined.extend(defined);
            return;
        }
        blocks.retain(|(name, _)| lost.iter().all(|(gone, ..)| gone != name));
        for (_, own, why) in lost {
            import.ledger.lost(own, why);
        }
    }
}

/// Variables that `set` and groups of expressions name, wherever they stand.
pub(super) fn declared(directives: &[Directive]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for own in directives {
        match &*own.name() {
            "set" | "auth_request_set" => {
                let name = own.argument(0);
                names.extend(name.strip_prefix('$').map(str::to_owned));
            }
            "location" | "server_name" | "rewrite" | "if" => {
                let words = own.arguments().iter();
                names.extend(words.flat_map(|word| variables::groups(&word.text())));
            }
            _ => {}
        }
        names.extend(declared(own.children()));
    }
    names
}

/// Defines as nothing what texts name and no rule or expression that was carried gives.
pub(super) fn empty(tree: &Tree, toml: &mut String) {
    let (document, _) = DeTable::parse_recoverable(toml);
    let own = OwnNames::of(document.get_ref());
    let mut tables = String::new();
    for name in declared(&tree.directives) {
        let named = [format!("${{{name}}}"), format!("${name}")];
        let built_in = Text::parse(&named[0]).is_ok();
        if !built_in && own.named(&name).is_none() && named.iter().any(|named| toml.contains(named))
        {
            tables.push_str(&format!("\n[map.{name}]\nof = \"\"\ncases = {{}}\n"));
        }
    }
    drop(document);
    toml.push_str(&tables);
}

/// What a variable may be worth, where each is the same for every request.
pub(super) fn values(import: &Import<'_>, name: &str) -> Option<Vec<String>> {
    let one = import.defined.iter().find(|one| one.name == name)?;
    one.values.clone()
}

/// The tables of those that the others name, directly or not.
pub(super) fn named<'t>(import: &mut Import<'t>, written: &[&Draft]) -> Vec<Draft> {
    let mut waiting = std::mem::take(&mut import.defined);
    let mut tables: Vec<Draft> = Vec::new();
    loop {
        let names = |one: &Defined<'t>| {
            let mut all = written.iter().copied().chain(&tables);
            all.any(|table| table.names(&one.name))
        };
        let (found, left): (Vec<_>, Vec<_>) = waiting.into_iter().partition(names);
        waiting = left;
        if found.is_empty() {
            break;
        }
        for one in found {
            let kind = one.directive.name().replace("split_clients", "split");
            let to = format!("`[{kind}.{}]`", one.name);
            import.ledger.carried(one.directive, to);
            tables.push(one.table);
        }
    }
    for one in waiting
        .iter()
        .filter(|one| !one.directive.argument(0).eq("$http_upgrade"))
        .filter(|one| !import.ledger.has(one.directive))
        .collect::<Vec<_>>()
    {
        let why = format!("nothing that is carried over names `${}`", one.name);
        import.ledger.not_needed(one.directive, why);
    }
    tables
}

/// Those that are made of themselves.
fn circular<'t>(defined: &[Defined<'t>]) -> Vec<(String, &'t Directive, String)> {
    let reaches = |one: &Defined<'t>| {
        let mut seen = vec![&*one.name];
        let mut index = 0;
        while let Some(name) = seen.get(index) {
            let of = defined.iter().find(|other| other.name == *name);
            for other in defined
                .iter()
                .filter(|other| of.is_some_and(|of| of.table.names(&other.name)))
            {
                if other.name == one.name {
                    return true;
                }
                if !seen.contains(&&*other.name) {
                    seen.push(&other.name);
                }
            }
            index += 1;
        }
        false
    };
    let found = defined.iter().filter(|one| reaches(one));
    found
        .map(|one| {
            (
                one.name.clone(),
                one.directive,
                "it is made of itself".to_owned(),
            )
        })
        .collect()
}

fn table<'t>(import: &Import<'t>, name: &str, own: &'t Directive) -> Result<Defined<'t>, String> {
    let kind = own.name();
    let kind = if kind == "split_clients" {
        "split"
    } else {
        &kind
    };
    let mut table = Draft::new(format!("[{kind}.{name}]"), Some(own));
    let known = Known::default();
    let source = match own.arguments() {
        [source, _] => variables::text(import, &source.bytes, &known)?,
        _ => "$remote_addr".to_owned(),
    };
    table.set("of", draft::text(&source), None);
    let mut rows = Rows::default();
    for row in own.children() {
        match kind {
            "map" => rows.map(import, row)?,
            "geo" => rows.geo(row)?,
            _ => {
                let value = row.argument(0).replace('$', "$$");
                // Two shares may be alike.
                rows.cases.push((row.name().into_owned(), value));
            }
        }
    }
    if let Some(default) = &rows.default {
        table.set("default", draft::text(default), None);
    }
    let ranges: Vec<_> = rows.ranges.cases().collect();
    rows.cases.extend(ranges);
    if !rows.proxies.is_empty() {
        table.set("proxies", draft::texts(&rows.proxies), None);
        if rows.recursive {
            table.set("recursive", "true", None);
        }
    }
    if rows.hosts {
        table.set("hosts", "true", None);
    }
    let pair = |between: &'static str| {
        move |(case, value): &(String, String)| {
            format!("{}{between}{}", draft::text(case), draft::text(value))
        }
    };
    if kind == "split" {
        let shares: Vec<_> = rows.cases.iter().map(pair(", ")).collect();
        table.set("shares", format!("[[{}]]", shares.join("], [")), None);
    } else if !rows.cases.is_empty() {
        let cases: Vec<_> = rows.cases.iter().map(pair(" = ")).collect();
        table.set("cases", format!("{{ {} }}", cases.join(", ")), None);
    }
    let values = rows
        .cases
        .iter()
        .map(|(_, value)| value)
        .chain(&rows.default);
    let values: Vec<_> = values.cloned().collect();
    Ok(Defined {
        name: name.to_owned(),
        directive: own,
        table,
        values: values
            .iter()
            .all(|value| !value.contains('$'))
            .then_some(values),
    })
}

/// Ranges of addresses with their values, none over another.
#[derive(Default)]
struct Ranges(Vec<(u32, u32, String)>);

impl Ranges {
    /// Takes out what of others is in this range; nginx cuts them so.
    fn cut(&mut self, (first, last): (u32, u32)) {
        let mut left = Vec::new();
        for (start, end, value) in self.0.drain(..) {
            if end < first || start > last {
                left.push((start, end, value));
                continue;
            }
            if start < first {
                left.push((start, first - 1, value.clone()));
            }
            if end > last {
                left.push((last + 1, end, value));
            }
        }
        self.0 = left;
    }

    /// As networks.
    fn cases(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().flat_map(|(first, last, value)| {
            let networks = Ipv4Subnets::new((*first).into(), (*last).into(), 0);
            networks.map(|network| (network.to_string(), value.clone()))
        })
    }
}

/// `10.0.0.1-10.0.0.9`
fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (Ipv4Addr, Ipv4Addr) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then(|| (first.into(), last.into()))
}

/// The rows of a table, as they are taken over.
#[derive(Default)]
struct Rows {
    cases: Vec<(String, String)>,
    default: Option<String>,
    hosts: bool,
    ranges: Ranges,
    proxies: Vec<String>,
    recursive: bool,
}

impl Rows {
    /// A later row for the same case counts.
    fn add(&mut self, case: String, value: String) {
        self.cases.retain(|(other, _)| *other != case);
        self.cases.push((case, value));
    }

    fn map(&mut self, import: &Import<'_>, row: &Directive) -> Result<(), String> {
        let case = row.name();
        match (&*case, row.arguments().len()) {
            ("hostnames", 0) => self.hosts = true,
            ("volatile", 0) | ("include", 1) => {}
            _ => {
                let groups = match case.strip_prefix('~') {
                    Some(_) => variables::groups(&case),
                    None => Vec::new(),
                };
                let known = Known::default();
                let value = row.argument(0);
                let value = variables::text_with(import, value.as_bytes(), &known, &groups)?;
                match &*case {
                    "default" => self.default = Some(value),
                    _ => self.add(case.into_owned(), value),
                }
            }
        }
        Ok(())
    }

    fn geo(&mut self, row: &Directive) -> Result<(), String> {
        let (case, value) = (row.name(), row.argument(0).replace('$', "$$"));
        match &*case {
            "include" => {}
            "default" => self.default = Some(value),
            "delete" => {
                let gone = row.argument(0);
                match range(&gone) {
                    Some(range) => self.ranges.cut(range),
                    None => self.cases.retain(|(other, _)| *other != *gone),
                }
            }
            "ranges" if row.arguments().is_empty() => {}
            "proxy_recursive" => self.recursive = true,
            "proxy" => self.proxies.push(value),
            case if case.contains('-') => {
                let (first, last) = range(case).ok_or_else(|| format!("`{case}` is no range"))?;
                self.ranges.cut((first, last));
                self.ranges.0.push((first, last, value));
            }
            _ => self.add(case.into_owned(), value),
        }
        Ok(())
    }
}
