//! Answers that hubgate makes itself: errors with their cause, redirects, challenge tokens.
//!
//! Pure: a status, fields and a body. A browser gets a small page, a program JSON, everything else a line of text;
//! each names the cause's code and the request's id, which is what an operator looks for in the log.
#![deny(clippy::disallowed_methods)]

use std::fmt::Write as _;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora::http::RequestHeader;

use super::filter::request::field;
use super::filter::response;
use crate::observe::cause::Cause;

/// The cause's code, for scripts and support: `X-Hubgate-Cause`.
pub const CAUSE_FIELD: HeaderName = HeaderName::from_static("x-hubgate-cause");

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Fields besides `Content-Length`.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
    /// Why it was made; `None` for an answer that was asked for.
    pub cause: Option<Cause>,
}

impl Answer {
    /// For a cause, in the form `head` asks for.
    pub fn of_cause(cause: Cause, head: Option<&RequestHeader>, request_id: &str) -> Self {
        let (kind, body) = body(cause, form(head), request_id);
        let mut fields = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (CAUSE_FIELD, HeaderValue::from_static(cause.code())),
        ];
        if let Some(seconds) = cause.retry_after() {
            fields.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if cause == Cause::MethodRefused {
            let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            fields.push((header::ALLOW, HeaderValue::from_static(allowed)));
        }
        Self {
            status: cause.status(),
            fields,
            body: body.into_bytes(),
            cause: Some(cause),
        }
    }

    /// With a further line that says what exactly was wrong; only where the body is text.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        if !detail.is_empty() {
            self.body
                .extend_from_slice(format!("detail: {detail}\n").as_bytes());
        }
        self
    }

    /// A redirect to `location`, whose bytes come from the configuration and the raw target only.
    pub fn redirect(status: u16, location: &[u8], cause: Cause) -> Self {
        let location =
            HeaderValue::from_bytes(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
        Self {
            status,
            fields: vec![(header::LOCATION, location)],
            body: Vec::new(),
            cause: Some(cause),
        }
    }

    /// Text that was asked for.
    pub fn text(status: u16, body: Vec<u8>, cause: Option<Cause>) -> Self {
        Self {
            status,
            fields: vec![
                (header::CONTENT_TYPE, HeaderValue::from_static("text/plain")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (
                    header::X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                ),
            ],
            body,
            cause,
        }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// Its fields as HTTP/2 needs them.
    pub fn fields(&self) -> HeaderMap {
        let mut fields: HeaderMap = self.fields.iter().cloned().collect();
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        fields
    }

    /// Writes its head for HTTP/1.1. `date` is the value of `Date`.
    pub fn write_head(&self, date: &[u8], keep_alive: bool, wire: &mut Vec<u8>) {
        let status = self.status();
        let reason = status.canonical_reason().unwrap_or("Error");
        response::status_line(status, reason.as_bytes(), wire);
        field(wire, b"Date", date);
        for (name, value) in &self.fields {
            field(wire, name.as_str().as_bytes(), value.as_bytes());
        }
        response::write_length(self.body.len() as u64, wire);
        response::write_connection(keep_alive, wire);
        wire.extend_from_slice(b"\r\n");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Json,
    Text,
}

/// What the client can read: APIs and whoever asks for JSON get JSON, browsers a page.
fn form(head: Option<&RequestHeader>) -> Form {
    let Some(head) = head else { return Form::Text };
    let accept = head
        .headers
        .get(header::ACCEPT)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let has = |needle: &[u8]| {
        accept
            .windows(needle.len())
            .any(|window| window.eq_ignore_ascii_case(needle))
    };
    let path = head.raw_path();
    if has(b"application/json") || path.windows(5).any(|window| window == b"/api/") {
        Form::Json
    } else if has(b"text/html") {
        Form::Page
    } else {
        Form::Text
    }
}

fn body(cause: Cause, form: Form, request_id: &str) -> (&'static str, String) {
    let (status, code, sentence) = (cause.status(), cause.code(), cause.sentence());
    match form {
        Form::Json => (
            "application/json",
            serde_json::json!({"status": status, "cause": code, "message": sentence, "request_id": request_id})
                .to_string(),
        ),
        Form::Text => ("text/plain; charset=utf-8", format!("{status} {sentence}\ncause: {code}\nrequest: {request_id}\n")),
        Form::Page => {
            let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
            let mut page = String::with_capacity(900);
            let retry = matches!(status, 502..=504);
            let refresh = if retry { "<meta http-equiv=\"refresh\" content=\"10\">" } else { "" };
            let hint = if retry { "<p>This page tries again by itself in 10 seconds.</p>" } else { "" };
            // Writing to a String cannot fail.
            let written = write!(
                page,
                "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{refresh}\
                 <meta name=\"viewport\" content=\"width=device-width\"><title>{status} {reason}</title>\
                 <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color:#222}}\
                 h1{{font-size:1.4rem}}code{{background:#f2f2f2;padding:.1em .3em}}p{{margin:.6em 0}}\
                 @media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}code{{background:#222}}}}</style>\
                 </head><body><h1>{status} {reason}</h1><p>{sentence}</p>{hint}\
                 <p>Cause <code>{code}</code>, request <code>{request_id}</code></p></body></html>"
            );
            debug_assert!(written.is_ok());
            ("text/html; charset=utf-8", page)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(accept: &str, path: &[u8]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", path, None).unwrap();
        head.append_header("accept", accept).unwrap();
        head
    }

    #[test]
    fn the_form_follows_who_asks() {
        let text = |answer: Answer| String::from_utf8(answer.body).unwrap();
        let page = Answer::of_cause(
            Cause::UpstreamConnect,
            Some(&head("text/html,*/*", b"/x")),
            "i",
        );
        assert!(text(page).starts_with("<!doctype html>"));
        let api = Answer::of_cause(
            Cause::UpstreamConnect,
            Some(&head("*/*", b"/hub/api/users")),
            "i",
        );
        assert!(text(api).contains("\"cause\":\"upstream_connect\""));
        let plain = Answer::of_cause(Cause::UpstreamConnect, None, "i");
        assert!(text(plain).contains("cause: upstream_connect"));
    }

    #[test]
    fn a_location_with_a_line_break_is_not_sent() {
        let answer = Answer::redirect(301, b"https://h/\r\nX: y", Cause::RedirectToHttps);
        assert_eq!(answer.fields[0].1, "/");
    }
}
