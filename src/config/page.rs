//! Error pages of the operator's own: HTML with `{placeholders}`, taken apart when the configuration is read.
//!
//! Pure. `{name}` is a placeholder, `{{name}}` the text `{name}`; every other brace is text, as style sheets have them.
//! What stands for a placeholder is escaped by whoever fills the page in, so it belongs into text and quoted attributes.

use std::ops::Range;

/// The largest page, in bytes.
pub(super) const MOST_BYTES: u64 = 64 << 10;

/// A page that can be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// Text, or what is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The value for one request.
    Placeholder(Placeholder),
}

/// What a page can say about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `{status}`: 502.
    Status,
    /// `{reason}`: Bad Gateway.
    Reason,
    /// `{cause}`: the code.
    Cause,
    /// `{title}`: what happened in a few words, in the site's language.
    Title,
    /// `{sentence}`: what happened.
    Sentence,
    /// `{advice}`: what whoever reads it can do.
    Advice,
    /// `{request_id}`
    RequestId,
    /// `{contact}`: `contact` of the configuration, or nothing.
    Contact,
    /// `{language}`: for the `lang` attribute.
    Language,
}

const NAMES: [(&str, Placeholder); 9] = [
    ("status", Placeholder::Status),
    ("reason", Placeholder::Reason),
    ("cause", Placeholder::Cause),
    ("title", Placeholder::Title),
    ("sentence", Placeholder::Sentence),
    ("advice", Placeholder::Advice),
    ("request_id", Placeholder::RequestId),
    ("contact", Placeholder::Contact),
    ("language", Placeholder::Language),
];

/// A placeholder that there is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// Without its braces.
    pub(super) name: String,
    /// Where it is, braces included.
    pub(super) at: Range<usize>,
}

impl Template {
    /// Takes a page apart. Fails with every unknown placeholder.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Unknown>> {
        let (mut pieces, mut unknown) = (Vec::new(), Vec::new());
        let mut literal = String::new();
        let mut at = 0;
        while let Some(brace) = text[at..].find('{').map(|offset| at + offset) {
            literal.push_str(&text[at..brace]);
            let rest = &text[brace + 1..];
            if let Some(name) = rest.strip_prefix('{').and_then(name_of)
                && rest[1 + name.len() + 1..].starts_with('}')
            {
                literal.push_str(&text[brace + 1..brace + 1 + name.len() + 2]);
                at = brace + name.len() + 4;
                continue;
            }
            let Some(name) = name_of(rest) else {
                literal.push('{');
                at = brace + 1;
                continue;
            };
            at = brace + name.len() + 2;
            match NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, placeholder)) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Placeholder(*placeholder));
                }
                None => unknown.push(Unknown {
                    name: name.to_owned(),
                    at: brace..at,
                }),
            }
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        match unknown.is_empty() {
            true => Ok(Self(pieces)),
            false => Err(unknown),
        }
    }

    /// Its pieces, in their order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Whether it shows this anywhere.
    pub(super) fn shows(&self, wanted: Placeholder) -> bool {
        self.0.contains(&Piece::Placeholder(wanted))
    }
}

/// The placeholders there are.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// The word before the closing brace, when all up to it is one.
fn name_of(rest: &str) -> Option<&str> {
    let name = &rest[..rest.find('}')?];
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_word)).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn style_sheets_are_text_and_words_in_braces_are_not() {
        let page = "<style>a{color:red}b{}</style>{{cause}} {status}{cause}{";
        let pieces = Template::parse(page).unwrap().0;
        assert_eq!(
            pieces,
            [
                text("<style>a{color:red}b{}</style>{cause} "),
                Piece::Placeholder(Placeholder::Status),
                Piece::Placeholder(Placeholder::Cause),
                text("{"),
            ]
        );
    }

    #[test]
    fn every_unknown_placeholder_is_told_with_its_place() {
        let unknown = Template::parse("{x} {status} {reqest_id}").unwrap_err();
        assert_eq!(unknown.len(), 2);
        assert_eq!(
            (unknown[1].name.as_str(), unknown[1].at.clone()),
            ("reqest_id", 13..24)
        );
    }

    proptest! {
        #[test]
        fn no_page_makes_the_parser_panic_and_text_is_kept(page in "[{}a_é<]{0,40}") {
            if let Ok(template) = Template::parse(&page) {
                let kept: usize = template.0.iter().map(|piece| match piece {
                    Piece::Text(text) => text.len(),
                    Piece::Placeholder(_) => 0,
                }).sum();
                prop_assert!(kept <= page.len());
            }
        }
    }
}
