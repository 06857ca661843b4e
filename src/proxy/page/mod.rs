//! Bodies of hubgate's own errors: a page for people, a problem for programs, a line of text for everything else, and an
//! event for those who wait for a build.
//!
//! `form` says who gets which, `words` has the texts, `built_in` the page, `launch` knows who waits for a server. Pure,
//! and only run when something failed. Invariant: nothing that a client chose is shown unescaped; nothing is loaded from
//! elsewhere.
#![deny(clippy::disallowed_methods)]

pub mod bare;
mod built_in;
pub mod form;
pub mod launch;
pub mod words;

use http::StatusCode;

use self::form::Form;
use self::words::{Told, Words};
use crate::config::{ErrorPages, Piece, Placeholder};
use crate::observe::cause::Cause;

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Why.
    pub cause: Cause,
    /// The request's id.
    pub request_id: &'a str,
    /// Whether somebody waits for a server to start.
    pub launch: bool,
    /// The site's language, contact and pages.
    pub pages: &'a ErrorPages,
}

/// A body with its type.
#[derive(Clone, Debug)]
pub struct Body {
    /// `Content-Type`.
    pub kind: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether it is ours alone, so that a browser can be told to load nothing.
    pub built_in: bool,
}

impl Facts<'_> {
    /// The body in this form.
    pub fn body(&self, form: Form) -> Body {
        let (kind, text, built_in) = match form {
            Form::Page => match self.pages.find(self.cause, self.launch) {
                Some(template) => (HTML, self.filled(template.pieces()), false),
                None => (HTML, built_in::page(self), true),
            },
            Form::Problem => ("application/problem+json", self.problem(), false),
            Form::Text => ("text/plain; charset=utf-8", self.text(), false),
            Form::Event => ("text/event-stream", self.event(), false),
        };
        Body {
            kind,
            bytes: text.into_bytes(),
            built_in,
        }
    }

    fn words(&self) -> Words {
        let told = Told::of(self.cause.situation(), self.launch);
        words::of(self.pages.language, told)
    }

    fn reason(&self) -> &'static str {
        let status = StatusCode::from_u16(self.cause.status()).ok();
        status
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error")
    }

    /// RFC 9457; `message` is what JupyterHub's pages show.
    fn problem(&self) -> String {
        let code = self.cause.code();
        let message = self.sentences();
        serde_json::json!({
            "type": format!("urn:hubgate:cause:{code}"),
            "title": self.cause.sentence(),
            "status": self.cause.status(),
            "detail": message,
            "instance": format!("urn:hubgate:request:{}", self.request_id),
            "cause": code,
            "request_id": self.request_id,
            "message": message,
        })
        .to_string()
            + "\n"
    }

    fn text(&self) -> String {
        let (cause, id) = (self.cause, self.request_id);
        let (status, sentence) = (cause.status(), cause.sentence());
        format!("{status} {sentence}\ncause: {cause}\nrequest: {id}\n")
    }

    /// What BinderHub sends when a build fails, which its page shows and does not try again.
    fn event(&self) -> String {
        let (cause, id) = (self.cause, self.request_id);
        let message = format!("{} ({cause}, {id})\n", self.sentences());
        let data = serde_json::json!({"phase": "failed", "message": message});
        format!("data: {data}\n\n")
    }

    fn sentences(&self) -> String {
        let words = self.words();
        let shared = words::shared(self.pages.language);
        let mut text = format!("{} {}", words.sentence, words.advice);
        if let Some(contact) = &self.pages.contact {
            text.push_str(&format!(" {} {contact}.", shared.tell));
        }
        text
    }

    fn filled(&self, pieces: &[Piece]) -> String {
        let words = self.words();
        let mut page = String::with_capacity(4096);
        for piece in pieces {
            match piece {
                Piece::Text(text) => page.push_str(text),
                Piece::Placeholder(placeholder) => match placeholder {
                    Placeholder::Status => page.push_str(&self.cause.status().to_string()),
                    Placeholder::Reason => page.push_str(self.reason()),
                    Placeholder::Cause => page.push_str(self.cause.code()),
                    Placeholder::Title => escape(words.title, &mut page),
                    Placeholder::Sentence => escape(words.sentence, &mut page),
                    Placeholder::Advice => escape(words.advice, &mut page),
                    Placeholder::RequestId => escape(self.request_id, &mut page),
                    Placeholder::Contact => {
                        escape(self.pages.contact.as_deref().unwrap_or_default(), &mut page);
                    }
                    Placeholder::Language => page.push_str(self.pages.language.code()),
                },
            }
        }
        page
    }
}

const HTML: &str = "text/html; charset=utf-8";

/// Appends `text` so that it means itself in HTML's text and in quoted attributes.
fn escape(text: &str, page: &mut String) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c => page.push(c),
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a page is a file")]
mod tests {
    use super::*;
    use crate::config::{Language, Source};

    fn facts<'a>(pages: &'a ErrorPages, id: &'a str) -> Facts<'a> {
        Facts {
            cause: Cause::UpstreamResponseTimeout,
            request_id: id,
            launch: true,
            pages,
        }
    }

    fn text(facts: &Facts<'_>, form: Form) -> String {
        String::from_utf8(facts.body(form).bytes).unwrap()
    }

    #[test]
    fn an_id_from_a_trusted_proxy_cannot_become_markup() {
        let pages = ErrorPages {
            contact: Some("<b>help</b> & \"co\"".to_owned()),
            ..ErrorPages::default()
        };
        let page = text(&facts(&pages, "a'<script>"), Form::Page);
        assert!(page.contains("a&#39;&lt;script&gt;"), "{page}");
        assert!(
            page.contains("&lt;b&gt;help&lt;/b&gt; &amp; &quot;co&quot;"),
            "{page}"
        );
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }

    #[test]
    fn the_built_in_page_stands_alone_and_says_its_language() {
        for language in Language::ALL {
            let pages = ErrorPages {
                language,
                ..ErrorPages::default()
            };
            let page = text(&facts(&pages, "0123"), Form::Page);
            assert!(page.starts_with(&format!(
                "<!doctype html>\n<html lang=\"{}\">",
                language.code()
            )));
            for part in [
                "<main>",
                "<h1>",
                "0123",
                "upstream_response_timeout",
                "<title>",
            ] {
                assert!(page.contains(part), "{part} in {page}");
            }
            for elsewhere in ["http://", "https://", "src=", "@import", "url(", "<script"] {
                assert!(!page.contains(elsewhere), "{elsewhere} in {page}");
            }
            assert!(page.len() < 4096);
        }
    }

    #[test]
    fn a_problem_is_one_object_and_an_event_is_what_binderhub_sends() {
        let pages = ErrorPages::default();
        let problem = text(&facts(&pages, "0123"), Form::Problem);
        let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
        assert_eq!(problem["status"], 504);
        assert_eq!(problem["cause"], "upstream_response_timeout");
        let event = text(&facts(&pages, "0123"), Form::Event);
        let data = event
            .strip_prefix("data: ")
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["phase"], "failed");
        assert!(
            data["message"]
                .as_str()
                .unwrap()
                .contains("You did nothing wrong")
        );
    }

    #[test]
    fn the_operators_own_page_is_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("p.html"),
            "<p lang=\"{language}\">{status} {reason} {cause} {title}|{request_id}|{contact}</p>",
        )
        .unwrap();
        let toml = "[error_pages]\nlanguage = \"de\"\ncontact = \"A&B\"\nlaunch = \"p.html\"\n[[site.\"a.example\".route]]\npath = \"/\"\nupstream = \"u\"\n[upstream.u]\nendpoints = [\"192.0.2.1:80\"]\n";
        let source = Source::new("c.toml", folder.path(), toml);
        let config = crate::config::load(&source).unwrap().config;
        let page = text(&facts(&config.error_pages, "0123"), Form::Page);
        assert_eq!(
            page,
            "<p lang=\"de\">504 Gateway Timeout upstream_response_timeout Ihr Start hat zu lange gedauert|0123|A&amp;B</p>"
        );
    }
}
