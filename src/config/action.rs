//! What a route does with a request: passes it to an upstream, or answers it here.
//!
//! As checked by `validate`; carrying it out is `proxy`'s.

use std::fmt;

use super::files::{Files, FilesPlace};
use super::media_types::MediaTypes;
use super::text::Text;
use crate::types::name::UpstreamName;

/// What a route does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAction {
    /// An upstream answers.
    Forward(UpstreamName),
    /// An upstream answers, whose name this text says for each request.
    Choose(Text, Strangers),
    /// `respond`: the same text for everybody, but for its variables.
    Respond(Respond),
    /// `redirect`: somebody else is to be asked.
    Redirect(Redirect),
    /// `files`: what is in a folder.
    Files(Box<Files>),
    /// `answer`: something that hubgate knows.
    Own(OwnAnswer),
}

/// What hubgate can answer by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnAnswer {
    /// How many connections and requests there are, and were.
    Counts,
    /// An image of one pixel that is not to be seen.
    Pixel,
}

impl OwnAnswer {
    /// As they are written.
    pub const WORDS: &[&str] = &["counts", "pixel"];

    /// What a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "counts" => Some(Self::Counts),
            "pixel" => Some(Self::Pixel),
            _ => None,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Pixel => "pixel",
        }
    }
}

/// Who else may be meant by a text that names no upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strangers {
    /// Nobody.
    #[default]
    None,
    /// Whoever has the address that it is.
    Addresses,
    /// As that, or one of those that it is the name of.
    Names,
}

impl Strangers {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Addresses => "addresses",
            Self::Names => "names",
        }
    }
}

/// An answer made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// Its status, 200 to 599.
    pub status: u16,
    /// Its body.
    pub body: Text,
    /// `Content-Type`.
    pub kind: Box<str>,
    /// Whether the extension of the path says that, where it says one.
    pub by_extension: bool,
    /// What extensions say; `None` is the built-in table.
    pub types: Option<MediaTypes>,
}

/// An answer that says where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `Location`.
    pub to: Text,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl RouteAction {
    /// The upstream, when one answers.
    pub fn upstream(&self) -> Option<&UpstreamName> {
        match self {
            Self::Forward(upstream) => Some(upstream),
            Self::Choose(..)
            | Self::Respond(_)
            | Self::Redirect(_)
            | Self::Files(_)
            | Self::Own(_) => None,
        }
    }

    /// Whether an upstream answers.
    pub fn forwards(&self) -> bool {
        matches!(self, Self::Forward(_) | Self::Choose(..))
    }

    /// Its texts with variables.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let texts = match self {
            Self::Forward(_) | Self::Own(_) => Vec::new(),
            Self::Choose(name, _) => vec![name],
            Self::Respond(respond) => vec![&respond.body],
            Self::Redirect(redirect) => vec![&redirect.to],
            Self::Files(files) => files.texts(),
        };
        texts.into_iter()
    }
}

/// As in listings: the upstream's name, or what is answered in brackets.
impl fmt::Display for RouteAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward(upstream) => upstream.fmt(f),
            Self::Choose(name, _) => name.fmt(f),
            Self::Respond(respond) => write!(f, "({})", respond.status),
            Self::Redirect(redirect) => write!(f, "({} {})", redirect.status, redirect.to),
            Self::Own(own) => write!(f, "({})", own.as_str()),
            Self::Files(files) => match &files.place {
                FilesPlace::Root(place) | FilesPlace::Alias(place) => write!(f, "({place})"),
            },
        }
    }
}
