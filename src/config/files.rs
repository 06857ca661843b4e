//! `files` of a route as checked: which folder is served, and how.
//!
//! Looking for files and sending them is `proxy::files`'; here is only what is wanted, and which media type a name has.
#![deny(clippy::disallowed_methods)]

use super::media_types::{self, MediaTypes};
use super::text::Text;

/// A folder whose files are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Where they are.
    pub place: FilesPlace,
    /// What is looked for in a folder, in order.
    pub index: Vec<Text>,
    /// What is tried in place of the path itself.
    pub attempts: Option<Attempts>,
    /// What a folder without an index shows.
    pub listing: Listing,
    /// Media types by extension, lower case; `None` is the built-in table.
    pub types: Option<MediaTypes>,
    /// The media type of all other names.
    pub default_type: Box<str>,
    /// Where symbolic links may lead.
    pub links: Links,
    /// Whether an `ETag` is sent.
    pub etag: bool,
    /// When `If-Modified-Since` is taken for met.
    pub since: Since,
    /// Ranges of one request that are answered; with more it gets the whole file.
    pub max_ranges: usize,
    /// Who gets `FILE.gz` in place of `FILE`, where it is there.
    pub packed: Packed,
    /// Whether caches are told that it depends on `Accept-Encoding`.
    pub packed_vary: bool,
    /// Whether the log says which files there are not.
    pub missing_told: bool,
    /// The path that an alias stands for, where that is not the route's own.
    pub below: Option<Box<str>>,
}

/// Who gets files that are compressed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// Nobody.
    Off,
    /// Clients that take gzip.
    On,
    /// Everybody.
    Always,
}

impl Packed {
    /// As they are written.
    pub const WORDS: &[&str] = &["off", "on", "always"];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Always => "always",
        }
    }
}

/// Where files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesPlace {
    /// Here, below the whole path.
    Root(Text),
    /// Here, in place of the route's prefix.
    Alias(Text),
}

/// `try`: names that are looked for, and what happens when none is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// In order.
    pub first: Vec<Attempt>,
    /// What then.
    pub last: Last,
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The path that is looked for, without the slash that asks for a folder.
    pub path: Text,
    /// Whether it has to be a folder.
    pub folder: bool,
}

/// What happens when nothing that was tried is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// An answer with this status.
    Status(u16),
    /// The route with this name.
    Route(Box<str>),
    /// A path, perhaps with a query, whose route is looked for anew.
    Path(Text),
}

/// What a folder without an index shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Nothing: 403.
    Off,
    /// A page.
    Html {
        /// Whether sizes are bytes rather than rounded.
        exact: bool,
    },
    /// A list of objects.
    Json,
    /// The same for scripts of other sites: the function to be called is the argument `callback`.
    Jsonp,
    /// A document.
    Xml,
}

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// To what is below the folder.
    Inside,
    /// Anywhere.
    Follow,
    /// Nowhere.
    Refuse,
}

impl Links {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Follow => "follow",
            Self::Refuse => "refuse",
        }
    }
}

/// When `If-Modified-Since` is taken for met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// When it is the very time of the file.
    Exact,
    /// When it is not before the file's time (RFC 9110 section 13.1.3).
    Before,
    /// Never.
    Off,
}

impl Since {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Before => "before",
            Self::Off => "off",
        }
    }
}

impl Files {
    /// The media type of the file at this path, by its extension.
    pub fn kind(&self, path: &[u8]) -> &str {
        let found = media_types::of_path(path, self.types.as_ref());
        found.unwrap_or(&self.default_type)
    }

    /// Its texts with variables.
    pub fn texts(&self) -> Vec<&Text> {
        let (FilesPlace::Root(place) | FilesPlace::Alias(place)) = &self.place;
        let attempts = self.attempts.as_ref();
        let first = attempts.into_iter().flat_map(|own| &own.first);
        let last = attempts.and_then(|own| match &own.last {
            Last::Path(path) => Some(path),
            Last::Status(_) | Last::Route(_) => None,
        });
        let named = first.map(|attempt| &attempt.path).chain(last);
        [place]
            .into_iter()
            .chain(&self.index)
            .chain(named)
            .collect()
    }
}
