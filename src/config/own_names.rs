//! The variables that a configuration names itself: by tables such as `[map.NAME]`, by groups of regexes, by `set`.
//!
//! Read off the document before anything else, for a text may name what stands below it. Whether a name has a value where
//! a text uses it is for whoever has the request: an unset one is empty, as in nginx.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::variable::Variable;
use crate::types::pause::pause;

/// Tables whose keys are variables.
const TABLES: &[&str] = &["map", "geo", "split", "signed"];

/// Keys whose tables set variables.
const SETTING: &[&str] = &["set", "take"];

/// The query, which `set` changes.
pub const ARGS: &str = "args";

/// The variable that is how fast an answer may go.
pub const LIMIT_RATE: &str = "limit_rate";

/// How groups of regexes are named.
const GROUPS: &[(&str, char)] = &[("(?<", '>'), ("(?P<", '>'), ("(?'", '\'')];

/// Names, without their dollar signs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNames(BTreeSet<String>);

impl OwnNames {
    /// All that a document names.
    pub fn of(document: &DeTable<'_>) -> Self {
        let mut names = Self::default();
        names.add_of(document);
        names
    }

    /// Adds what another part of the document names.
    pub(super) fn add_of(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            if TABLES.contains(&&**key.get_ref()) {
                self.keys_of(value.get_ref());
            }
            self.look_into(value.get_ref());
        }
    }

    /// Whether the text of sites may have any. It says so of more texts than have.
    pub(super) fn may_be_in(sites: &str) -> bool {
        let groups = GROUPS.iter().map(|(start, _)| *start);
        // An escape may be any letter.
        let signs = SETTING.iter().copied().chain(groups).chain(["\\"]);
        signs.into_iter().any(|sign| sites.contains(sign))
    }

    /// These.
    pub fn with<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.map(str::to_owned).collect())
    }

    /// Those of an expression's groups.
    pub fn of_expression(expression: &str) -> Self {
        let mut names = Self::default();
        names.groups_of(expression);
        names
    }

    /// The variable of that name, if there is one.
    pub fn named(&self, name: &str) -> Option<Variable> {
        self.0.contains(name).then(|| Variable::Own(name.into()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    fn keys_of(&mut self, value: &DeValue<'_>) {
        if let DeValue::Table(table) = value {
            let keys = table.iter().map(|(key, _)| key.get_ref().to_string());
            // These are there already: setting them changes the query, and the pace of the answer.
            let known = |key: &str| key == ARGS || key == LIMIT_RATE;
            self.0
                .extend(keys.filter(|key| is_name(key) && !known(key)));
        }
    }

    fn look_into(&mut self, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => {
                pause();
                for (key, value) in table {
                    if SETTING.contains(&&**key.get_ref()) {
                        self.keys_of(value.get_ref());
                    }
                    self.groups_of(key.get_ref());
                    self.look_into(value.get_ref());
                }
            }
            DeValue::Array(array) => array
                .iter()
                .for_each(|value| self.look_into(value.get_ref())),
            DeValue::String(text) => self.groups_of(text),
            _ => {}
        }
    }

    fn groups_of(&mut self, text: &str) {
        for (start, end) in GROUPS {
            for (at, _) in text.match_indices(start) {
                let name = text.get(at + start.len()..).unwrap_or_default();
                let name = name.split_once(*end).map_or("", |(name, _)| name);
                if is_name(name) {
                    self.0.insert(name.to_owned());
                }
            }
        }
    }
}

/// Whether a text can name it.
pub(super) fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_tables_groups_and_sets_and_of_nothing_else() {
        let text = "[map.a]\nof = \"$uri\"\n[geo.b]\n[split.c]\n[upstream.d]\n[site.x]\nhosts = ['~^(?<e>.)$']\n[[site.x.route]]\nrules = [{ set = { f = \"1\" } }, { when = \"$a ~ (?P<g>.)(?<=h)(?<!i)\" }]\n";
        let (document, _) = DeTable::parse_recoverable(text);
        let names = OwnNames::of(document.get_ref());
        assert_eq!(names.iter().collect::<String>(), "abcefg");
    }
}
