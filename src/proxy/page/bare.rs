//! Answers in nginx's words, for who asks for them: the names it has for statuses, and the page that is nothing else.
//!
//! Pure. What came from a file, from the configuration or from an upstream keeps its body.
#![deny(clippy::disallowed_methods)]

use http::header::{self, HeaderName, HeaderValue};

use crate::observe::cause::Cause;
use crate::proxy::answer::Answer;

/// What nginx calls a status in its first line, where that is not what all others do.
const REASONS: &[(u16, &str)] = &[
    (302, "Moved Temporarily"),
    (405, "Not Allowed"),
    (408, "Request Time-out"),
    (413, "Request Entity Too Large"),
    (414, "Request-URI Too Large"),
    (416, "Requested Range Not Satisfiable"),
    (503, "Service Temporarily Unavailable"),
    (504, "Gateway Time-out"),
];

/// What it calls one in its page, where that is another name still.
const TITLES: &[(u16, &str)] = &[(302, "Found"), (401, "Authorization Required")];

/// What it says besides of causes for which it has statuses of its own, and answers 400.
const MORE: &[(Cause, &str)] = &[
    (Cause::HeadTooLarge, "Request Header Or Cookie Too Large"),
    (
        Cause::PlainOnTls,
        "The plain HTTP request was sent to HTTPS port",
    ),
    (
        Cause::ClientCertificateMissing,
        "No required SSL certificate was sent",
    ),
    (Cause::ClientCertificateRefused, "The SSL certificate error"),
    (Cause::ClientCertificateExpired, "The SSL certificate error"),
    (Cause::ClientCertificateRevoked, "The SSL certificate error"),
];

/// Statuses that have no page.
const WITHOUT: &[u16] = &[
    304, 305, 306, 407, 417, 418, 422, 423, 424, 425, 426, 428, 451,
];

/// Fields about a page that goes.
const OF_PAGES: &[HeaderName] = &[
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::CONTENT_LANGUAGE,
    header::CONTENT_SECURITY_POLICY,
    header::X_CONTENT_TYPE_OPTIONS,
];

/// Whether what an answer says is hubgate's own to say: an error's page, or nothing in a redirect.
pub fn is_page(answer: &Answer) -> bool {
    let own = answer.cause.is_some() || answer.body.is_empty();
    answer.status >= 300 && own && answer.rest.is_none() && !WITHOUT.contains(&answer.status)
}

/// Puts an answer into nginx's words, and with `page` its page in the place of its body.
pub fn dress(answer: &mut Answer, page: bool) {
    let find = |names: &[(u16, &'static str)]| {
        let mut names = names.iter();
        names
            .find(|(status, _)| *status == answer.status)
            .map(|(_, name)| *name)
    };
    answer.reason = find(REASONS);
    let usual = answer.status().canonical_reason().unwrap_or_default();
    if !page || usual.is_empty() {
        return;
    }
    let more = MORE.iter().find(|(cause, _)| Some(*cause) == answer.cause);
    let usual = find(TITLES).or(answer.reason).unwrap_or(usual);
    let status = answer.status;
    let (title, more) = match more {
        Some((_, more)) => (*more, format!("<center>{more}</center>\r\n")),
        None => (usual, String::new()),
    };
    let body = format!(
        "<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n<center><h1>{status} {usual}</h1></center>\r\n{more}\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    answer.body = body.into_bytes();
    answer.fields.retain(|(name, _)| !OF_PAGES.contains(name));
    let kind = HeaderValue::from_static("text/html");
    answer.fields.push((header::CONTENT_TYPE, kind));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_nginxs_page_and_what_was_configured_stays() {
        let mut refused = Answer::text(405, Vec::new(), None);
        let page = is_page(&refused);
        dress(&mut refused, page);
        assert_eq!(refused.reason, Some("Not Allowed"));
        assert!(
            refused
                .body
                .starts_with(b"<html>\r\n<head><title>405 Not Allowed</title>")
        );
        assert_eq!(refused.fields().len(), 2);
        let mut said = Answer::text(404, b"gone".to_vec(), None);
        let page = is_page(&said);
        dress(&mut said, page);
        assert_eq!(said.body, b"gone");
        assert!(!is_page(&Answer::text(306, Vec::new(), None)));
    }
}
