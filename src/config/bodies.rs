//! What a site or a route does to the bodies of answers, and says of them: `compress`, `decompress`, `charset` and
//! `replace`, as checked.
//!
//! Values only; which answers they are about is `proxy::recode`'s to decide.

use std::sync::Arc;

use super::suggest::nearest;
use super::text::Text;
use crate::types::amount::ByteSize;
use crate::types::pattern::Pattern;

/// What happens to bodies. What is not said is as what is around says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bodies {
    /// `compress`
    pub compress: Option<Arc<Compression>>,
    /// `decompress`: for clients that cannot read what the upstream has compressed.
    pub decompress: Option<bool>,
    /// `charset`; the inner `None` says nothing.
    pub charset: Option<Option<Arc<Charset>>>,
    /// `replace`; the inner `None` replaces nothing.
    pub replace: Option<Option<Arc<Replace>>>,
}

impl Bodies {
    /// What is in force where `around` holds for what is not said.
    #[must_use]
    pub fn over(mut self, around: &Self) -> Self {
        self.compress = self.compress.or_else(|| around.compress.clone());
        self.decompress = self.decompress.or(around.decompress);
        self.charset = self.charset.or_else(|| around.charset.clone());
        self.replace = self.replace.or_else(|| around.replace.clone());
        self
    }

    /// How answers are compressed, if they are.
    pub fn compression(&self) -> Option<&Compress> {
        match self.compress.as_deref()? {
            Compression::Off => None,
            Compression::On(compress) => Some(compress),
        }
    }

    /// What is said of texts that do not say it themselves.
    pub fn charset(&self) -> Option<&Charset> {
        self.charset.as_ref()?.as_deref()
    }

    /// Which texts are replaced, if any are.
    pub fn replace(&self) -> Option<&Replace> {
        self.replace.as_ref()?.as_deref()
    }

    /// Its texts with variables.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let pairs = self.replace().into_iter().flat_map(|own| &own.pairs);
        pairs.flat_map(|(from, to)| [from, to])
    }

    /// Whether bodies, or what is said of them, may change.
    pub fn change(&self) -> bool {
        let recodes = self.compression().is_some() || self.decompress == Some(true);
        recodes || self.charset().is_some() || self.replace().is_some()
    }
}

/// Texts in answers that others take the places of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace {
    /// What is looked for, whatever its case, and what comes.
    pub pairs: Vec<(Text, Text)>,
    /// Whether only the first of each is replaced.
    pub once: bool,
    /// In which media types.
    pub types: MediaTypes,
    /// Whether `Last-Modified` and `ETag` stay.
    pub last_modified: bool,
}

/// The charset that answers are said to have. Nothing is recoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charset {
    /// Its name.
    pub name: Box<str>,
    /// Of which media types.
    pub types: MediaTypes,
    /// Whether of those too that say another one.
    pub replace: bool,
}

/// Whether answers are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `false`
    Off,
    /// A table.
    On(Box<Compress>),
}

/// Which answers are compressed with gzip, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress {
    /// Media types.
    pub types: MediaTypes,
    /// Answers that say that they are shorter stay as they are.
    pub min_length: ByteSize,
    /// 1 is fast, 9 is small.
    pub level: u8,
    /// Whether caches are told that it depends on `Accept-Encoding`.
    pub vary: bool,
    /// Which answers to requests that came through another proxy (`Via`).
    pub proxied: Proxied,
    /// Whether clients of HTTP/1.0 get it too.
    pub http_1_0: bool,
    /// Clients, by `User-Agent`, that do not.
    pub except: Vec<Pattern>,
}

/// Media types, without parameters; `*` is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTypes(Box<[Box<str>]>);

impl MediaTypes {
    /// Of these names, whose case counts for nothing.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter();
        Self(names.map(|name| name.to_ascii_lowercase().into()).collect())
    }

    /// Whether a value of `Content-Type` is one of them.
    pub fn has(&self, value: &[u8]) -> bool {
        let end = value.iter().position(|byte| *byte == b';');
        let kind = value.split_at(end.unwrap_or(value.len())).0.trim_ascii();
        !kind.is_empty()
            && self
                .0
                .iter()
                .any(|name| &**name == "*" || name.as_bytes().eq_ignore_ascii_case(kind))
    }

    /// Whether an answer is one of them. One that does not say its type is of `*` alone.
    pub fn fit(&self, kind: Option<&[u8]>) -> bool {
        match kind {
            Some(kind) => self.has(kind),
            None => self.0.iter().any(|name| &**name == "*"),
        }
    }

    /// As they are written.
    pub fn names(&self) -> &[Box<str>] {
        &self.0
    }
}

/// Which answers to proxied requests are compressed: a set of nginx's words for `gzip_proxied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied(u16);

impl Proxied {
    /// None.
    pub const OFF: Self = Self(0);
    /// All.
    pub const ANY: Self = Self(1);
    /// Whose `Expires` has passed.
    pub const EXPIRED: Self = Self(1 << 1);
    /// With `Cache-Control: no-cache`.
    pub const NO_CACHE: Self = Self(1 << 2);
    /// With `Cache-Control: no-store`.
    pub const NO_STORE: Self = Self(1 << 3);
    /// With `Cache-Control: private`.
    pub const PRIVATE: Self = Self(1 << 4);
    /// Without `Last-Modified`.
    pub const NO_LAST_MODIFIED: Self = Self(1 << 5);
    /// Without `ETag`.
    pub const NO_ETAG: Self = Self(1 << 6);
    /// To requests with `Authorization`.
    pub const AUTH: Self = Self(1 << 7);

    const WORDS: &[(&str, Self)] = &[
        ("off", Self::OFF),
        ("any", Self::ANY),
        ("expired", Self::EXPIRED),
        ("no-cache", Self::NO_CACHE),
        ("no-store", Self::NO_STORE),
        ("private", Self::PRIVATE),
        ("no_last_modified", Self::NO_LAST_MODIFIED),
        ("no_etag", Self::NO_ETAG),
        ("auth", Self::AUTH),
    ];

    /// Of these words; the first that is none, with one that is like it.
    ///
    /// # Errors
    /// A word that is none.
    pub fn of<'a>(
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (&'a str, Option<&'static str>)> {
        let mut all = Self::OFF;
        for word in words {
            let mut known = Self::WORDS.iter();
            match known.find(|(name, _)| *name == word) {
                Some((_, own)) => all.0 |= own.0,
                None => {
                    let names = Self::WORDS.iter().map(|(name, _)| *name);
                    return Err((word, nearest(word, names)));
                }
            }
        }
        Ok(all)
    }

    /// With this one too.
    #[must_use]
    pub fn and(self, one: Self) -> Self {
        Self(self.0 | one.0)
    }

    /// Whether it has this one.
    pub fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    /// Its words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let all = Self::WORDS.iter();
        all.filter(move |(_, own)| self.has(*own) || (self == Self::OFF && own.0 == 0))
            .map(|(word, _)| *word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_known_without_its_parameters_and_its_case() {
        let types = MediaTypes::new(["text/HTML", "a/b"]);
        assert!(types.has(b"text/html; charset=utf-8") && types.has(b"A/B"));
        assert!(!types.has(b"text/htmlx") && !types.has(b""));
        assert!(MediaTypes::new(["*"]).has(b"x/y"));
    }

    #[test]
    fn words_for_proxied_answers_are_read_as_they_are_written() {
        let all = Proxied::of(["no-cache", "auth"]).unwrap();
        assert_eq!(all.words().collect::<Vec<_>>(), ["no-cache", "auth"]);
        assert_eq!(Proxied::OFF.words().collect::<Vec<_>>(), ["off"]);
        assert_eq!(
            Proxied::of(["auth", "no_etags"]),
            Err(("no_etags", Some("no_etag")))
        );
    }
}
