//! The page that is shown where the operator gave none.
//!
//! Small, without scripts, pictures or anything from elsewhere; readable without its style, by a screen reader, in the
//! dark and at any size. The link asks for the same address again, and nothing happens without being asked for.
#![deny(clippy::disallowed_methods)]

use super::{Facts, escape, words};

const STYLE: &str = "body{font:1.05rem/1.55 system-ui,sans-serif;max-width:36rem;margin:12vh auto;padding:0 1rem;color:#1b1b1b;background:#fff}\
h1{font-size:1.5rem;line-height:1.25}p{margin:.8em 0}a{color:#0b57a4}.small{font-size:.9rem;color:#4a4a4a}\
code{background:#f0f0f0;padding:.1em .3em;overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){body{background:#121212;color:#e6e6e6}a{color:#8ab8ff}.small{color:#b8b8b8}code{background:#2a2a2a}}";

/// The page.
pub(super) fn page(facts: &Facts<'_>) -> String {
    let language = facts.pages.language;
    let (words, shared) = (facts.words(), words::shared(language));
    let mut page = String::with_capacity(3072);
    let mut put = |text: &str| page.push_str(text);
    put("<!doctype html>\n<html lang=\"");
    put(language.code());
    put(
        "\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    );
    put("<meta name=\"robots\" content=\"noindex\"><title>");
    escape(words.title, &mut page);
    page.push_str("</title>\n<style>");
    page.push_str(STYLE);
    page.push_str("</style></head>\n<body><main>\n<h1>");
    escape(words.title, &mut page);
    page.push_str("</h1>\n<p>");
    escape(words.sentence, &mut page);
    page.push_str("</p>\n<p>");
    escape(words.advice, &mut page);
    page.push_str("</p>\n");
    if facts.cause.status() >= 500 || facts.cause.retry_after().is_some() {
        page.push_str("<p><a href=\"\">");
        escape(shared.again, &mut page);
        page.push_str("</a></p>\n");
    }
    page.push_str("<p class=\"small\">");
    escape(shared.tell, &mut page);
    page.push(' ');
    escape(
        facts.pages.contact.as_deref().unwrap_or(shared.someone),
        &mut page,
    );
    page.push_str(". ");
    escape(shared.id, &mut page);
    page.push_str(": <code>");
    escape(facts.request_id, &mut page);
    page.push_str("</code></p>\n<p class=\"small\">");
    page.push_str(&facts.cause.status().to_string());
    page.push(' ');
    page.push_str(facts.reason());
    page.push_str(". ");
    escape(shared.cause, &mut page);
    page.push_str(": <code>");
    page.push_str(facts.cause.code());
    page.push_str("</code></p>\n</main></body>\n</html>\n");
    page
}
