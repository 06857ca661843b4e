//! `[map.NAME]`, `[geo.NAME]`, `[split.NAME]` and `[signed.NAME]` as keys and TOML values.
//!
//! The counterpart of `schema::definition`: what is printed here is read there.

use super::definition::{Case, Definer, Definition};
use super::show::{Entry, list, quoted};
use super::text::Text;

/// The word of its table.
pub(super) fn word(definition: &Definition) -> &'static str {
    match &definition.by {
        Definer::Map(_) => "map",
        Definer::Geo { .. } => "geo",
        Definer::Split(_) => "split",
        Definer::Signed(_) => "signed",
    }
}

/// Its keys.
pub(super) fn definition(definition: &Definition) -> Vec<Entry> {
    let mut entries = vec![("of", quoted(&definition.of))];
    match &definition.by {
        Definer::Map(map) => {
            entries.push(("default", quoted(&map.default)));
            let cases = map.cases.iter();
            entries.push(("cases", table(cases.map(|(of, text)| (case(of), text)))));
            entries.push(("hosts", map.hosts.to_string()));
        }
        Definer::Geo {
            networks,
            default,
            proxies,
            recursive,
        } => {
            entries.push(("default", quoted(default)));
            let networks = networks.iter();
            entries.push((
                "cases",
                table(networks.map(|(net, text)| (net.to_string(), text))),
            ));
            entries.push(("proxies", list(proxies)));
            entries.push(("recursive", recursive.to_string()));
        }
        Definer::Signed(signed) => {
            entries.push(("md5", quoted(&signed.md5)));
            let expires = signed.expires.iter();
            entries.extend(expires.map(|text| ("expires", quoted(text))));
            entries.push(("in_path", signed.in_path.to_string()));
        }
        Definer::Split(shares) => {
            let shares = shares.iter().map(|(share, text)| {
                let share = match share {
                    0 => "*".to_owned(),
                    share => format!("{}.{:02}%", share / 100, share % 100),
                };
                format!("[{}, {}]", quoted(share), quoted(text))
            });
            let shares: Vec<_> = shares.collect();
            entries.push(("shares", format!("[{}]", shares.join(", "))));
        }
    }
    entries
}

fn case(case: &Case) -> String {
    match case {
        Case::Text(text) if text.starts_with(['~', '\\']) => format!("\\{text}"),
        Case::Text(text) => text.to_string(),
        Case::Pattern(pattern) => {
            let mark = if pattern.ignores_case() { "~*" } else { "~" };
            format!("{mark}{}", pattern.as_str())
        }
    }
}

fn table<'a>(cases: impl Iterator<Item = (String, &'a Text)>) -> String {
    let cases = cases.map(|(case, text)| format!("{} = {}", quoted(case), quoted(text)));
    let cases: Vec<_> = cases.collect();
    format!("{{ {} }}", cases.join(", "))
}
