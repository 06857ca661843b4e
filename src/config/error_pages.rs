//! `[error_pages]` as checked: in what language people are told what went wrong, by which page, and whom to ask.
//!
//! Says which page is the narrowest for a cause; filling it in is `proxy::page`'s.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::page::Template;
use crate::types::cause::Cause;

/// `[error_pages]` of the whole or of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorPages {
    /// Of what hubgate says to people.
    pub language: Language,
    /// Whom to tell, in words.
    pub contact: Option<String>,
    /// Whether what is built in is as short as nginx's.
    pub bare: bool,
    /// Pages of the operator's own.
    pub pages: BTreeMap<PageFor, Page>,
}

/// A language that hubgate speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::English, Self::German, Self::French, Self::Spanish];

    /// As in configurations and in `lang` attributes.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
        }
    }
}

/// When a page is shown. The first that fits: launch, cause, status, default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageFor {
    /// A launch that came to nothing.
    Launch,
    /// One cause.
    Cause(Cause),
    /// All causes with this status.
    Status(&'static str),
    /// All others.
    Default,
}

/// The statuses of answers of our own.
pub(super) const STATUSES: [&str; 19] = [
    "400", "401", "403", "404", "405", "408", "412", "413", "414", "416", "421", "429", "431",
    "500", "501", "502", "503", "504", "505",
];

impl PageFor {
    /// What a key of the table stands for.
    pub(super) fn of_key(key: &str) -> Option<Self> {
        match key {
            "default" => Some(Self::Default),
            "launch" => Some(Self::Launch),
            key => match STATUSES.iter().find(|status| **status == key) {
                Some(status) => Some(Self::Status(status)),
                None => Cause::of_code(key).map(Self::Cause),
            },
        }
    }

    /// As it is written.
    pub fn key(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Cause(cause) => cause.code(),
            Self::Status(status) => status,
            Self::Default => "default",
        }
    }
}

/// A page of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its file.
    pub file: PathBuf,
    /// What it said when the configuration was read; `None` where files are not read.
    pub template: Option<Arc<Template>>,
}

impl ErrorPages {
    /// The page for a cause, if the operator gave one.
    pub fn find(&self, cause: Cause, launch: bool) -> Option<&Template> {
        if self.pages.is_empty() {
            return None;
        }
        let status = cause.status().to_string();
        let by_status = STATUSES.iter().find(|one| **one == status);
        let wanted = [
            launch.then_some(PageFor::Launch),
            Some(PageFor::Cause(cause)),
            by_status.map(|status| PageFor::Status(status)),
            Some(PageFor::Default),
        ];
        let mut found = wanted
            .iter()
            .flatten()
            .filter_map(|one| self.pages.get(one));
        found.next()?.template.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::cause::Situation;

    #[test]
    fn the_statuses_are_those_of_causes_that_people_see() {
        let mut statuses: Vec<_> = Cause::all()
            .filter(|cause| cause.situation() != Situation::Unseen)
            .map(|cause| cause.status().to_string())
            .collect();
        statuses.sort_unstable();
        statuses.dedup();
        assert_eq!(statuses, STATUSES);
    }

    #[test]
    fn the_narrowest_page_is_taken() {
        let mut pages = ErrorPages::default();
        let template = |text: &str| Some(Arc::new(Template::parse(text).unwrap()));
        let cause = Cause::UpstreamConnect;
        for (key, shown) in [
            ("default", cause),
            ("502", cause),
            ("upstream_connect", cause),
        ] {
            let page = Page {
                file: PathBuf::new(),
                template: template(key),
            };
            pages.pages.insert(PageFor::of_key(key).unwrap(), page);
            assert_eq!(pages.find(shown, false), template(key).as_deref());
        }
        assert_eq!(
            pages.find(Cause::UpstreamClosed, true),
            template("502").as_deref()
        );
        assert_eq!(
            pages.find(Cause::RouteMissing, false),
            template("default").as_deref()
        );
        assert!(PageFor::of_key("418").is_none());
    }
}
