//! `files` of a route as keys and TOML values.
//!
//! A part of `show`: what is printed loads to what it was printed from.

use super::files::{Attempts, Files, FilesPlace, Last, Listing};
use super::media_types::MediaTypes;
use super::show::{Entry, list, quoted};

pub(super) fn files(files: &Files) -> Vec<Entry> {
    let mut entries = vec![match &files.place {
        FilesPlace::Root(place) => ("root", quoted(place)),
        FilesPlace::Alias(place) => ("alias", quoted(place)),
    }];
    entries.extend({ files.below.as_ref() }.map(|below| ("below", quoted(below))));
    entries.push(("index", list(&files.index)));
    entries.extend(files.attempts.as_ref().map(|own| ("try", attempts(own))));
    let (listing, sizes) = match files.listing {
        Listing::Off => ("off", "exact"),
        Listing::Html { exact: true } => ("html", "exact"),
        Listing::Html { exact: false } => ("html", "rounded"),
        Listing::Json => ("json", "exact"),
        Listing::Jsonp => ("jsonp", "exact"),
        Listing::Xml => ("xml", "exact"),
    };
    entries.push(("listing", quoted(listing)));
    entries.push(("listing_sizes", quoted(sizes)));
    if let Some(types) = &files.types {
        entries.push(("types", media_types(types)));
    }
    entries.extend([
        ("default_type", quoted(&files.default_type)),
        ("symlinks", quoted(files.links.as_str())),
        ("etag", files.etag.to_string()),
        ("if_modified_since", quoted(files.since.as_str())),
        ("max_ranges", files.max_ranges.to_string()),
        ("precompressed", quoted(files.packed.as_str())),
        ("precompressed_vary", files.packed_vary.to_string()),
        ("missing_told", files.missing_told.to_string()),
    ]);
    entries
}

fn attempts(own: &Attempts) -> String {
    let first = own.first.iter().map(|attempt| {
        let path = attempt.path.to_string();
        match attempt.folder && path != "/" {
            true => path + "/",
            false => path,
        }
    });
    let last = match &own.last {
        Last::Status(status) => format!("={status}"),
        Last::Route(name) => name.to_string(),
        Last::Path(path) => path.to_string(),
    };
    let all: Vec<_> = first.chain([last]).collect();
    list(&all)
}

/// A table of media types.
pub(super) fn media_types(types: &MediaTypes) -> String {
    let types = types.iter();
    let types: Vec<_> = types
        .map(|(extension, kind)| format!("{} = {}", quoted(extension), quoted(kind)))
        .collect();
    format!("{{ {} }}", types.join(", "))
}
