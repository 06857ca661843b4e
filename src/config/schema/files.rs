//! `files` of a route: a folder that is served.
//!
//! As typed and in itself sound; that nothing else answers in the route is `validate`'s.

use super::action::{read, text};
use super::reader::{Context, Reader, value};
use super::route::Read;
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::files::{
    Attempt, Attempts, Files, FilesPlace, Last, Links, Listing, Packed, Since,
};
use crate::config::media_types::MediaTypes;
use crate::config::own_names::OwnNames;
use crate::config::text::{Text, TextPart};

pub(super) const FILES: Key = Key::rule(
    "files",
    Kind::Inline,
    "none",
    "{ root = \"/srv/www\", try = [\"$uri\", \"$uri/\", \"=404\"] }",
    "Serves files, in place of an `upstream`: those in `root` below the whole path, or in `alias` below what follows the route's path, or another one that its paths begin with (`below`). `index` (by default [\"index.html\"]) is looked for in folders; `listing` (\"off\", \"html\", \"json\") shows those that have none, with `listing_sizes` \"exact\" or \"rounded\". `try` lists paths that are looked for instead, a slash at the end asks for a folder; the last one is a status (\"=404\"), a route's name (\"@app\") or a path that is routed anew. `types = { EXTENSION = \"TYPE\" }` takes the place of the built-in media types, `default_type` is for all other files. `symlinks`: they may lead \"inside\" the folder, anywhere (\"follow\"), or are refused (\"refuse\"). `etag`, `if_modified_since` (\"exact\", \"before\", \"off\") and `max_ranges` are for programs that ask for what they do not have yet. `precompressed`: FILE.gz, where it is there, is sent in place of FILE to clients that take gzip (\"on\") or to all (\"always\"); `precompressed_vary` tells caches so. `missing_told = false` keeps files that are not there out of error logs of nginx's form.",
);

static TABLE: Table = Table {
    header: "files",
    about: "",
    keys: &[
        Key::rule("root", Kind::Text, "none", "\"/srv/www\"", "The folder."),
        Key::rule("alias", Kind::Text, "none", "\"/srv/static/\"", "It."),
        Key::rule(
            "below",
            Kind::Text,
            "the route's path",
            "\"/static/\"",
            "What `alias` stands for.",
        ),
        Key::new("index", Kind::Texts, "[\"index.html\"]", "Of folders."),
        Key::rule("try", Kind::Texts, "none", "[\"$uri\", \"=404\"]", "Paths."),
        Key::new(
            "listing",
            Kind::Word(&["off", "html", "json", "jsonp", "xml"]),
            "\"off\"",
            "Of folders.",
        ),
        Key::new(
            "listing_sizes",
            Kind::Word(&["exact", "rounded"]),
            "\"exact\"",
            "In it.",
        ),
        Key::table("types", "media types by extension"),
        Key::new(
            "default_type",
            Kind::Text,
            "\"application/octet-stream\"",
            "Of other files.",
        ),
        Key::new(
            "symlinks",
            Kind::Word(&["inside", "follow", "refuse"]),
            "\"inside\"",
            "Where they lead.",
        ),
        Key::new("etag", Kind::Flag, "true", "Whether it is sent."),
        Key::new(
            "if_modified_since",
            Kind::Word(&["exact", "before", "off"]),
            "\"exact\"",
            "When it is met.",
        ),
        Key::new("max_ranges", Kind::Count(0, 1000), "200", "Of a request."),
        Key::new(
            "precompressed",
            Kind::Word(Packed::WORDS),
            "\"off\"",
            "Who gets .gz.",
        ),
        Key::new("precompressed_vary", Kind::Flag, "true", "With Vary."),
        Key::new(
            "missing_told",
            Kind::Flag,
            "true",
            "Whether logs of nginx's form say which files are not there.",
        ),
    ],
};

static TYPES: Table = Table {
    header: "types",
    about: "",
    keys: &[],
};

/// What an extension takes.
static TYPE: Key = Key::rule("type", Kind::Text, "none", "\"text/html\"", "");

/// Reads `files`.
pub(super) fn files(reader: &Reader<'_>, context: Context<'_>) -> Read<Files> {
    let own = context.own;
    read(reader, "files", &TABLE, context, |reader| {
        let place = place(reader, context);
        let below = reader.optional("below", Reader::text)?;
        if let (Some(below), Some(FilesPlace::Root(_))) = (&below, &place) {
            let message = "`below` is for `alias`: `root` has files below the whole path";
            let fault = Diagnostic::error("files-place", below.span.clone(), message);
            return reader.refuse(fault);
        }
        let index = reader.list("index", |field| line(field, own));
        let attempts = match reader.typed("try") {
            Some(_) => reader
                .field("try", |field| attempts(field, own))
                .map(|at| Some(at.value)),
            None => Some(None),
        };
        let listing = reader.word("listing");
        let sizes = reader.word("listing_sizes");
        let types = types(reader, context);
        let default_type = reader.field("default_type", media_type);
        let links = reader.word("symlinks");
        let etag = reader.flag("etag");
        let since = reader.word("if_modified_since");
        let max_ranges = reader.count("max_ranges");
        let packed = reader.word("precompressed");
        let packed_vary = reader.flag("precompressed_vary");
        let missing_told = reader.flag("missing_told");
        let exact = value(sizes)? == "exact";
        Some(Files {
            place: place?,
            index: index?.into_iter().map(|at| at.value).collect(),
            attempts: attempts?,
            listing: match &*value(listing)? {
                "html" => Listing::Html { exact },
                "json" => Listing::Json,
                "jsonp" => Listing::Jsonp,
                "xml" => Listing::Xml,
                _ => Listing::Off,
            },
            types: types?,
            default_type: value(default_type)?,
            links: match &*value(links)? {
                "follow" => Links::Follow,
                "refuse" => Links::Refuse,
                _ => Links::Inside,
            },
            etag: value(etag)?,
            since: match &*value(since)? {
                "before" => Since::Before,
                "off" => Since::Off,
                _ => Since::Exact,
            },
            max_ranges: value(max_ranges)?,
            packed: match &*value(packed)? {
                "on" => Packed::On,
                "always" => Packed::Always,
                _ => Packed::Off,
            },
            packed_vary: value(packed_vary)?,
            missing_told: value(missing_told)?,
            below: below.map(|at| at.value.into()),
        })
    })
}

fn place(reader: &Reader<'_>, context: Context<'_>) -> Option<FilesPlace> {
    let both = |key| reader.typed(key).is_some();
    let folder = |key| reader.field(key, |field| folder(field, context));
    match (both("root"), both("alias")) {
        (true, false) => folder("root").map(|at| FilesPlace::Root(at.value)),
        (false, true) => folder("alias").map(|at| FilesPlace::Alias(at.value)),
        (found, _) => {
            let message = match found {
                true => format!("{} has both `root` and `alias`", reader.name()),
                false => format!("{} has neither `root` nor `alias`", reader.name()),
            };
            reader.refuse(
                Diagnostic::error("files-place", reader.span(), message)
                    .hint("`root` has files below the whole path, `alias` below the rest of it"),
            )
        }
    }
}

/// A folder, absolute or seen from the configuration's; with variables it has to begin at the root.
fn folder(field: &Field<'_>, context: Context<'_>) -> Option<Text> {
    let folder = line(field, context.own)?;
    let refuse = |message: &str| field.refuse("bad-path", message.to_owned(), None);
    match (folder.as_constant(), folder.parts().first()) {
        (Some(""), _) => refuse("the folder has no name"),
        (Some(path), _) => {
            // A slash at the end says something, and resolving would lose it.
            let resolved = context.source.resolve(path).display().to_string();
            let slash = path.ends_with('/') && !resolved.ends_with('/');
            Some(Text::constant(&(resolved + if slash { "/" } else { "" })))
        }
        (None, Some(TextPart::Literal(text))) if !text.starts_with('/') => {
            refuse("a folder with variables begins with `/`")
        }
        (None, Some(TextPart::Variable(_))) => refuse("a folder with variables begins with `/`"),
        (None, _) => Some(folder),
    }
}

fn attempts(field: &Field<'_>, own: &OwnNames) -> Option<Attempts> {
    let elements = field.list()?;
    let Some((last, first)) = elements.split_last().filter(|(_, first)| !first.is_empty()) else {
        return field.refuse(
            "bad-try",
            "`try` has a path to look for, and what happens when it is not there".to_owned(),
            Some("write `try = [\"$uri\", \"=404\"]`".to_owned()),
        );
    };
    let first: Vec<_> = first.iter().map(|one| attempt(one, own)).collect();
    let last = match last.text()? {
        name if name.starts_with('@') => Some(Last::Route(name.into())),
        status if status.starts_with('=') => {
            let code = status.get(1..).and_then(|code| code.parse().ok());
            match code.filter(|code| (200..=599).contains(code)) {
                Some(code) => Some(Last::Status(code)),
                None => last.refuse(
                    "bad-status",
                    format!("`{status}` is not `=` and a status"),
                    None,
                ),
            }
        }
        _ => line(last, own).map(Last::Path),
    };
    Some(Attempts {
        first: first.into_iter().collect::<Option<_>>()?,
        last: last?,
    })
}

fn attempt(field: &Field<'_>, own: &OwnNames) -> Option<Attempt> {
    let path = line(field, own)?;
    let written = field.text()?;
    match written.strip_suffix('/').filter(|rest| !rest.is_empty()) {
        Some(rest) => Text::parse_line(rest, own)
            .ok()
            .map(|path| Attempt { path, folder: true }),
        None => Some(Attempt {
            path,
            folder: written == "/",
        }),
    }
}

/// Reads `types`.
pub(super) fn types(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<MediaTypes>> {
    let Some(table) = reader.table("types")? else {
        return Some(None);
    };
    let name = format!("`types` of {}", reader.name());
    let reader = Reader::open(&TYPES, name, Some(table), context, |_| true);
    let mut types = MediaTypes::new();
    let mut whole = true;
    for extension in reader.written() {
        match reader.field_as(&extension, &TYPE, media_type) {
            Some(kind) => drop(types.insert(extension.to_ascii_lowercase().into(), kind.value)),
            None => whole = false,
        }
    }
    whole.then_some(Some(types))
}

fn line(field: &Field<'_>, own: &OwnNames) -> Option<Text> {
    text(field, Text::parse_line(field.text()?, own))
}

fn media_type(field: &Field<'_>) -> Option<Box<str>> {
    let kind = field.text()?;
    match http::HeaderValue::from_str(kind) {
        Ok(_) if !kind.is_empty() => Some(kind.into()),
        _ => field.refuse("bad-type", format!("`{kind}` is no media type"), None),
    }
}
