//! `fields` of a site: with which names request fields count at all.
//!
//! A value; `proxy::client` leaves out those that do not.
#![deny(clippy::disallowed_methods)]

/// Which names count, besides letters, digits and `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldNames {
    /// All that HTTP allows.
    #[default]
    All,
    /// Those with `_`.
    Underscores,
    /// No others.
    Plain,
}

impl FieldNames {
    /// As they are written.
    pub const WORDS: &[&str] = &["all", "underscores", "plain"];

    /// What a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "underscores" => Some(Self::Underscores),
            "plain" => Some(Self::Plain),
            _ => None,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Underscores => "underscores",
            Self::Plain => "plain",
        }
    }

    /// Whether a field with this name counts.
    pub fn admit(self, name: &str) -> bool {
        let odd = |byte: u8| match byte {
            b'_' => self == Self::Plain,
            byte => !(byte.is_ascii_alphanumeric() || byte == b'-'),
        };
        self == Self::All || !name.bytes().any(odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_as_each_word_says() {
        for (word, counts) in [
            ("all", [true, true, true]),
            ("underscores", [true, true, false]),
            ("plain", [true, false, false]),
        ] {
            let names = FieldNames::parse(word).unwrap();
            assert_eq!(names.as_str(), word);
            assert_eq!(["x-a1", "x_a", "x.a"].map(|name| names.admit(name)), counts);
        }
    }
}
