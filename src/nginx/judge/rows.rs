//! The rows of `map`, `geo` and `split_clients`.
//!
//! Each is judged when it has been read; what two of them say together, when the block has. Pure.
#![deny(clippy::disallowed_methods)]

use super::condition::marked;
use super::url::dotted;
use crate::nginx::text::Text;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// Why a row of `map` is refused.
pub(in crate::nginx) fn of_map(row: &Directive) -> Option<String> {
    let value = row.argument(0);
    if row.words.len() != 2 || row.is("include") {
        return None;
    }
    let wrong = Text::parse(value.as_bytes()).err();
    wrong.or_else(|| marked(row.words.first()?))
}

/// Why a row of `geo` is refused.
pub(in crate::nginx) fn of_geo(row: &Directive) -> Option<String> {
    let name = row.name();
    if row.words.len() != 2 || matches!(&*name, "default" | "include") {
        return None;
    }
    let given = row.argument(0);
    let network = match &*name {
        "proxy" | "delete" => &given,
        _ => &name,
    };
    let range = network.split_once('-');
    let fits = match (range, network.split_once('/')) {
        // Ranges have their own sentences.
        (Some((from, to)), _) if dotted(from).is_some() && dotted(to).is_some() => true,
        (_, Some(_)) | (None, None) => is_network(network),
        _ => false,
    };
    (!fits).then(|| format!("invalid network \"{network}\""))
}

/// Why a row of a `geo` of ranges is refused.
pub(in crate::nginx) fn of_range(row: &Directive) -> Option<String> {
    let name = row.name();
    let given = row.argument(0);
    let range = if name == "delete" { &given } else { &name };
    let ends = range
        .split_once('-')
        .and_then(|(from, to)| Some((dotted(from)?, dotted(to)?)));
    let fits = ends.is_some_and(|(from, to)| from <= to);
    (!fits).then(|| format!("invalid range \"{range}\""))
}

fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let length = value::number(length.as_bytes());
    match (dotted(address), address.parse::<std::net::Ipv6Addr>()) {
        (Some(_), _) => length.is_some_and(|length| length <= 32),
        (_, Ok(_)) => length.is_some_and(|length| length <= 128),
        _ => false,
    }
}

/// Whether the shares of `split_clients` go past all there is; `*` takes what is left, so nothing can follow it.
pub(in crate::nginx) fn too_much(table: &Directive) -> bool {
    let mut sum: u64 = 0;
    { table.children().iter() }.any(|row| {
        let name = row.name();
        let share = name.strip_suffix('%').and_then(|number| {
            let (whole, part) = number.split_once('.').unwrap_or((number, ""));
            let whole: u64 = format!("0{whole}").parse().ok()?;
            let part: u64 = format!("{part:0<2}").parse().ok()?;
            Some(whole * 100 + part)
        });
        sum = share.map_or(10_000, |share| sum + share);
        sum > 10_000
    })
}
