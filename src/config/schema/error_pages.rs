//! `[error_pages]` of the whole or of a site: the language of what people are told, and pages of the operator's own.
//!
//! Besides its named keys the table takes statuses and causes. Templates are read and taken apart here, so that a fault in
//! one is a fault of the configuration, with its place in the template and in the configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::reader::{At, Context, Reader};
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::error_pages::{ErrorPages, Language, Page, PageFor};
use crate::config::page::{self, Placeholder, Template};
use crate::config::source::Source;
use crate::config::suggest::nearest;

pub(in crate::config) static TABLE: Table = Table {
    header: "[error_pages]",
    about: "What people are told when something goes wrong. Also `[site.\"HOST\".error_pages]`: there each key overrides what is inherited. Besides the keys below it takes statuses (`502 = \"pages/502.html\"`) and causes (`upstream_connect = \"FILE\"`, see docs/causes.md): HTML files of up to 64 KiB with {status}, {reason}, {cause}, {title}, {sentence}, {advice}, {request_id}, {contact} and {language} in them. The narrowest one is shown. They are read at start and by each reload.",
    keys: &[
        Key::new(
            "language",
            Kind::Word(&["en", "de", "fr", "es"]),
            "\"en\"",
            "The language of built-in pages and messages.",
        ),
        Key::rule(
            "contact",
            Kind::Text,
            "none",
            "\"the help desk, help@example.org\"",
            "Whom to tell when it happens again; shown with the request's id.",
        ),
        Key::rule(
            "bare",
            Kind::Flag,
            "false",
            "true",
            "Whether built-in pages are nginx's: a status in its words and nothing else, for redirects too.",
        ),
        Key::rule(
            "launch",
            Kind::Path,
            "built in",
            "\"pages/launch.html\"",
            "The page for a launch (BinderHub's build, a JupyterHub spawn) that came to nothing.",
        ),
        Key::rule(
            "default",
            Kind::Path,
            "built in",
            "\"pages/error.html\"",
            "The page for everything else.",
        ),
    ],
};

/// What a status or a cause takes.
static PAGE: Key = Key::rule("page", Kind::Path, "built in", "\"FILE\"", "");

/// What one table says; `None` inherits.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Overlay {
    language: Option<Language>,
    contact: Option<String>,
    bare: Option<bool>,
    pages: BTreeMap<PageFor, Page>,
}

impl Overlay {
    /// What is in force where this table stands.
    pub(in crate::config) fn over(self, inherited: &Arc<ErrorPages>) -> Arc<ErrorPages> {
        let short = self.bare.unwrap_or(inherited.bare);
        let same = self.language.is_none() && self.contact.is_none() && short == inherited.bare;
        if same && self.pages.is_empty() {
            return inherited.clone();
        }
        let mut pages = inherited.pages.clone();
        pages.extend(self.pages);
        Arc::new(ErrorPages {
            language: self.language.unwrap_or(inherited.language),
            contact: self.contact.or_else(|| inherited.contact.clone()),
            bare: short,
            pages,
        })
    }
}

/// The `error_pages` table inside `of`; without one everything is inherited.
pub(in crate::config) fn read(of: &Reader<'_>, context: Context<'_>) -> Option<Overlay> {
    let Some(table) = of.table("error_pages")? else {
        return Some(Overlay::default());
    };
    let name = match of.name() {
        "" => "`[error_pages]`".to_owned(),
        site => format!("the error_pages of {site}"),
    };
    let known = |key: &str| PageFor::of_key(key).is_some();
    let reader = Reader::open(&TABLE, name, Some(table), context, known);
    let language = reader.optional("language", Reader::word);
    let contact = reader.optional("contact", Reader::text);
    let bare = reader.optional("bare", Reader::flag);
    let mut pages = BTreeMap::new();
    let mut whole = true;
    for key in reader.written() {
        if let Some(shown) = PageFor::of_key(&key) {
            match read_page(&reader, &key, context) {
                Some(page) => drop(pages.insert(shown, page)),
                None => whole = false,
            }
        }
    }
    let language = language?.and_then(|word| {
        let mut all = Language::ALL.into_iter();
        all.find(|language| language.code() == word.value)
    });
    Some(Overlay {
        language,
        contact: contact?.map(|at| at.value),
        bare: bare?.map(|at| at.value),
        pages,
    })
    .filter(|_| whole)
}

fn read_page(reader: &Reader<'_>, key: &str, context: Context<'_>) -> Option<Page> {
    let file = reader.path_as(key, &PAGE)?;
    let template = match context.files.read(&file.value, page::MOST_BYTES) {
        None => None,
        Some(Ok(text)) => Some(Arc::new(taken_apart(reader, &file, text)?)),
        Some(Err(why)) => {
            let message = format!("cannot read the page `{}`: {why}", file.value.display());
            return reader.refuse(Diagnostic::error("bad-page", file.span, message));
        }
    };
    Some(Page {
        file: file.value,
        template,
    })
}

fn taken_apart(reader: &Reader<'_>, file: &At<impl AsRef<Path>>, text: String) -> Option<Template> {
    let name = file.value.as_ref().display().to_string();
    let source = Source::new(name.as_str(), "/", text);
    let place = |byte: usize| {
        let at = source.position(byte);
        format!("{name}:{}:{}", at.line, at.column)
    };
    match Template::parse(source.text()) {
        Ok(template) => {
            if !template.shows(Placeholder::RequestId) {
                let message = format!("the page `{name}` does not show {{request_id}}");
                reader.note(
                    Diagnostic::warning("page-without-id", file.span.clone(), message)
                        .hint("without it nobody can ask `hubgate why` what happened"),
                );
            }
            Some(template)
        }
        Err(unknown) => {
            for one in unknown {
                let message = format!(
                    "{}: `{{{}}}` is not a placeholder",
                    place(one.at.start),
                    one.name
                );
                let known: Vec<_> = page::names().map(|name| format!("{{{name}}}")).collect();
                reader.note(
                    Diagnostic::error("unknown-placeholder", file.span.clone(), message)
                        .did_you_mean(nearest(&one.name, page::names()))
                        .hint(format!(
                            "there are {}; for the text itself write `{{{{{}}}}}`",
                            known.join(", "),
                            one.name
                        )),
                );
            }
            None
        }
    }
}
