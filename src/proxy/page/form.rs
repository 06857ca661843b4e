//! Who gets a page, a problem in JSON, a line of text, or an event.
//!
//! What the client says it accepts decides, by weight and then by order (RFC 9110 section 12.5.1). A client that takes
//! anything gets JSON when it is a script in a page or asks below `/api/`, else text, which is what curl shows best.
#![deny(clippy::disallowed_methods)]

use http::header::{ACCEPT, HeaderValue};
use pingora::http::RequestHeader;

/// What a client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HTML.
    Page,
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// Plain text.
    Text,
    /// One server-sent event.
    Event,
}

/// The form for a request; text without a head that could be read.
pub fn of(head: Option<&RequestHeader>) -> Form {
    let Some(head) = head else { return Form::Text };
    let accepts = head.headers.get_all(ACCEPT).iter();
    let ranges = accepts
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .filter_map(weighed);
    let mut best: Option<(Form, u16)> = None;
    for (form, weight) in ranges {
        if best.is_none_or(|(_, heaviest)| weight > heaviest) {
            best = Some((form, weight));
        }
    }
    match best {
        Some((form, _)) => form,
        None if is_script(head) => Form::Problem,
        None => Form::Text,
    }
}

/// A form that a media range names, and its weight in thousandths.
fn weighed(range: &str) -> Option<(Form, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let form = match kind.as_str() {
        "text/html" | "application/xhtml+xml" => Form::Page,
        "text/event-stream" => Form::Event,
        "text/plain" => Form::Text,
        json if json.ends_with("/json") || json.ends_with("+json") => Form::Problem,
        _ => return None,
    };
    let weight = parts
        .find_map(|parameter| parameter.strip_prefix("q="))
        .and_then(|weight| weight.parse::<f32>().ok())
        .map_or(1000, |weight| (weight.clamp(0.0, 1.0) * 1000.0) as u16);
    (weight > 0).then_some((form, weight))
}

fn is_script(head: &RequestHeader) -> bool {
    let is = |name: &str, wanted: &str| {
        let value = head.headers.get(name).map(HeaderValue::as_bytes);
        value.is_some_and(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let path = head.raw_path();
    is("sec-fetch-dest", "empty")
        || is("x-requested-with", "XMLHttpRequest")
        || path.windows(5).any(|window| window == b"/api/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(path: &[u8], fields: &[(&'static str, &str)]) -> Form {
        let mut head = RequestHeader::build("GET", path, None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        of(Some(&head))
    }

    #[test]
    fn the_form_follows_who_asks() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let jquery = "application/json, text/javascript, */*; q=0.01";
        for (path, accept, wanted) in [
            ("/x", browser, Form::Page),
            ("/hub/api/users", browser, Form::Page),
            ("/hub/home", jquery, Form::Problem),
            ("/x", "application/problem+json", Form::Problem),
            ("/x", "text/html;q=0.5, application/json", Form::Problem),
            ("/x", "text/html;q=0, */*", Form::Text),
            ("/build/gh/a/b/HEAD", "text/event-stream", Form::Event),
            ("/x", "*/*", Form::Text),
            ("/hub/api/users", "*/*", Form::Problem),
        ] {
            assert_eq!(
                form(path.as_bytes(), &[("accept", accept)]),
                wanted,
                "{path} {accept}"
            );
        }
        assert_eq!(form(b"/x", &[]), Form::Text);
        let fetch = [("accept", "*/*"), ("sec-fetch-dest", "empty")];
        assert_eq!(form(b"/x", &fetch), Form::Problem);
        assert_eq!(of(None), Form::Text);
    }
}
