//! The rows of a `geo` against each other: what they say twice, what they delete that is not there, ranges that overlap.
//!
//! Rows are judged one by one in `rows`; here the whole table has been read. Ranges are kept as nginx keeps them, in pieces of
//! 65,536 addresses, because its sentence names such a piece. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use super::url::dotted;
use super::warnings::has_low_bits;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// As many addresses are in one piece.
const PIECE: u32 = 0x1_0000;
/// Ranges that are cut up, of all rows together: nginx's own files of countries have some 100,000.
const PIECES: usize = 4_000_000;

/// What is found about a table.
#[derive(Default)]
pub(in crate::nginx) struct Found<'t> {
    /// What is warned of, in its order.
    pub(in crate::nginx) warnings: Vec<(&'t Directive, String)>,
    /// The row that ends the reading.
    pub(in crate::nginx) fault: Option<(&'t Directive, String)>,
}

/// Looks at the rows of a `geo`.
pub(in crate::nginx) fn table(geo: &Directive) -> Found<'_> {
    let rows = || geo.children().iter();
    match rows().any(|row| row.words.len() == 1 && row.is("ranges")) {
        true => ranges(geo),
        false => networks(geo),
    }
}

/// A row that has a value.
fn values(geo: &Directive) -> impl Iterator<Item = &Directive> {
    let all = geo.children().iter();
    all.filter(|row| row.words.len() == 2 && !row.is("include") && !row.is("proxy"))
}

fn duplicate(network: &str, value: &str, old: &str) -> String {
    format!("duplicate network \"{network}\", value: \"{value}\", old value: \"{old}\"")
}

fn networks(geo: &Directive) -> Found<'_> {
    let mut found = Found::default();
    let mut known: HashMap<(IpAddr, u8), String> = HashMap::new();
    let all = geo.children().iter().filter(|row| row.words.len() == 2);
    for row in all.filter(|row| !row.is("include")) {
        let (name, value) = (row.name(), row.argument(0));
        if matches!(&*name, "delete" | "proxy") {
            if has_low_bits(&value) {
                let text = format!("low address bits of {value} are meaningless");
                found.warnings.push((row, text));
            }
            let gone = || network(&value).and_then(|own| known.remove(&own));
            if name == "delete" && { gone }().is_none() {
                let text = format!("no network \"{value}\" to delete");
                found.warnings.push((row, text));
            }
            continue;
        }
        if has_low_bits(&name) {
            let text = format!("low address bits of {name} are meaningless");
            found.warnings.push((row, text));
        }
        // The default is a network of either family.
        let own = match &*name {
            "default" => vec![network("0.0.0.0/0"), network("::/0")],
            name => vec![network(name)],
        };
        for own in own.into_iter().flatten() {
            if let Some(old) = known.insert(own, value.to_string()) {
                let text = duplicate(&name, &value, &old);
                found.warnings.push((row, text));
            }
        }
    }
    found
}

/// A network without the bits that do not count.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(value::number(length.as_bytes())?)),
        None => (text, None),
    };
    let four = dotted(address).map(IpAddr::V4);
    let address = four.or_else(|| address.parse().ok())?;
    let most: u8 = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => u8::try_from(length).ok().filter(|own| *own <= most)?,
        None => most,
    };
    let rest = u32::from(most - length);
    let kept = match address {
        IpAddr::V4(own) => {
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(u32::from(own) & mask))
        }
        IpAddr::V6(own) => {
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            IpAddr::V6((u128::from(own) & mask).into())
        }
    };
    Some((kept, length))
}

/// A piece of a range, and the row that says it.
struct Part<'t> {
    first: u32,
    last: u32,
    row: &'t Directive,
}

fn ranges(geo: &Directive) -> Found<'_> {
    let mut found = Found::default();
    let mut known: HashMap<u32, Vec<Part<'_>>> = HashMap::new();
    let mut default: Option<String> = None;
    let mut pieces: usize = 0;
    for row in values(geo) {
        let (name, value) = (row.name(), row.argument(0));
        if name == "default" {
            if let Some(old) = default.replace(value.to_string()) {
                let text =
                    format!("duplicate default geo range value: \"{value}\", old value: \"{old}\"");
                found.warnings.push((row, text));
            }
            continue;
        }
        let range = if name == "delete" { &value } else { &name };
        let Some((first, last)) = ends(range) else {
            continue;
        };
        let mut missing = false;
        for piece in first / PIECE..=last / PIECE {
            pieces += 1;
            if pieces > PIECES {
                return found;
            }
            let start = piece * PIECE;
            let own = (first.max(start), last.min(start | (PIECE - 1)));
            let parts = known.entry(piece).or_default();
            if name == "delete" {
                let at = { parts.iter() }.position(|part| (part.first, part.last) == own);
                match at {
                    Some(at) => drop(parts.remove(at)),
                    None => missing = true,
                }
                continue;
            }
            match place(parts, own, row) {
                Placed::Fine => {}
                Placed::Twice(old) => {
                    let old = old.argument(0);
                    let text = format!(
                        "duplicate range \"{range}\", value: \"{value}\", old value: \"{old}\""
                    );
                    found.warnings.push((row, text));
                }
                Placed::Across(from, to) => {
                    let (from, to) = (Ipv4Addr::from_bits(from), Ipv4Addr::from_bits(to));
                    let text = format!("range \"{range}\" overlaps \"{from}-{to}\"");
                    found.fault = Some((row, text));
                    return found;
                }
            }
        }
        if missing {
            let text = format!("no address range \"{range}\" to delete");
            found.warnings.push((row, text));
        }
    }
    found
}

fn ends(range: &str) -> Option<(u32, u32)> {
    let (from, to) = range.split_once('-')?;
    let (from, to) = (dotted(from)?.to_bits(), dotted(to)?.to_bits());
    (from <= to).then_some((from, to))
}

enum Placed<'t> {
    Fine,
    /// The same has been said, by this row.
    Twice(&'t Directive),
    /// Neither beside that one nor within it.
    Across(u32, u32),
}

/// Puts a part among those of its piece, which are in order and beside each other; within one of them it takes its place.
fn place<'t>(parts: &mut Vec<Part<'t>>, own: (u32, u32), row: &'t Directive) -> Placed<'t> {
    let (first, last) = own;
    let at = parts.partition_point(|part| part.last < first);
    let part = Part { first, last, row };
    let Some(known) = parts.get_mut(at).filter(|known| known.first <= last) else {
        parts.insert(at, part);
        return Placed::Fine;
    };
    let (from, to) = (known.first, known.last);
    if (from, to) == own {
        let old = std::mem::replace(known, part);
        return Placed::Twice(old.row);
    }
    // nginx looks from the end: of several that are met it names the last.
    if first < from || last > to {
        let met = parts.iter().rfind(|known| known.first <= last);
        return met.map_or(Placed::Fine, |known| {
            Placed::Across(known.first, known.last)
        });
    }
    let row = known.row;
    let piece = |first, last| Part { first, last, row };
    let before = (from < first).then(|| piece(from, first - 1));
    let after = (last < to).then(|| piece(last + 1, to));
    let new = before.into_iter().chain([part]).chain(after);
    parts.splice(at..=at, new);
    Placed::Fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_within_another_takes_its_place_and_one_across_two_names_the_last() {
        let value = Directive {
            words: Vec::new(),
            end_line: 1,
            close_line: 1,
            block: None,
        };
        let mut parts = Vec::new();
        assert!(matches!(place(&mut parts, (0, 255), &value), Placed::Fine));
        assert!(matches!(place(&mut parts, (10, 20), &value), Placed::Fine));
        let ends: Vec<_> = parts.iter().map(|part| (part.first, part.last)).collect();
        assert_eq!(ends, [(0, 9), (10, 20), (21, 255)]);
        assert!(matches!(
            place(&mut parts, (5, 30), &value),
            Placed::Across(21, 255)
        ));
        assert!(matches!(
            place(&mut parts, (10, 20), &value),
            Placed::Twice(_)
        ));
    }
}
