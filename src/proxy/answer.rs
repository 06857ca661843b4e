//! Answers that hubgate makes itself: errors with their cause, redirects, challenge tokens.
//!
//! Pure: a status, fields and a body, which `page` makes. Each names the cause's code and the request's id, which is what
//! an operator asks `hubgate why` for.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, Version};
use pingora::http::RequestHeader;

use super::files::body::FileBody;
use super::filter::edit::Line;
use super::filter::request::{field, named_field};
use super::filter::response::{self, Afterwards, Framing};
use super::page::Facts;
use super::page::form::{self, Form};
use super::recode::Plan;
use crate::config::{Lookup, Respond, RouteAction, Variable, media_types};
use crate::observe::cause::{Cause, Situation};
use crate::types::header::{X_HUBGATE_CAUSE, X_REQUEST_ID};

/// Methods that pass, apart from those that extensions define.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What browsers are told to remember of a site.
pub fn strict(value: &HeaderValue) -> (HeaderName, HeaderValue) {
    (header::STRICT_TRANSPORT_SECURITY, value.clone())
}

/// The media type of what is said at the path at hand.
fn kind_of<'a>(respond: &'a Respond, values: &dyn Lookup) -> &'a str {
    let mut path = Vec::new();
    if respond.by_extension {
        values.append(&Variable::Uri, &mut path);
    }
    let found = media_types::of_path(&path, respond.types.as_ref());
    found.unwrap_or(&respond.kind)
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Fields besides `Content-Length`.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// What follows of a body that is too large to be held.
    pub rest: Option<Box<FileBody>>,
    /// The words of its status, where they are not the usual ones.
    pub reason: Option<&'static str>,
    /// What is done to the body on its way; its length is not known then.
    pub(super) recode: Option<Plan>,
    /// Names of its fields that were written in a case of their own.
    pub(super) written: Vec<Box<str>>,
    /// Why it was made; `None` for an answer that was asked for.
    pub cause: Option<Cause>,
}

impl Answer {
    /// With nothing about it but these.
    pub fn new(
        status: u16,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Vec<u8>,
        cause: Option<Cause>,
    ) -> Self {
        Self {
            status,
            fields,
            body,
            rest: None,
            reason: None,
            recode: None,
            written: Vec::new(),
            cause,
        }
    }

    /// For a cause, in the form `head` asks for.
    pub fn of_cause(facts: &Facts<'_>, head: Option<&RequestHeader>) -> Self {
        let cause = facts.cause;
        let (form, status) = match form::of(head) {
            // An error status would have BinderHub's page try again for ever, and a browser can show none of its body.
            Form::Event if facts.launch && cause.situation() == Situation::Late => {
                (Form::Event, 200)
            }
            Form::Event => (Form::Text, cause.status()),
            form => (form, cause.status()),
        };
        let body = facts.body(form);
        let mut fields = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(body.kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (X_HUBGATE_CAUSE, HeaderValue::from_static(cause.code())),
        ];
        if let Ok(id) = HeaderValue::from_str(facts.request_id) {
            fields.push((X_REQUEST_ID, id));
        }
        if form == Form::Page {
            let language = facts.pages.language.code();
            fields.push((header::CONTENT_LANGUAGE, HeaderValue::from_static(language)));
        }
        if body.built_in {
            let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
            fields.push((header::CONTENT_SECURITY_POLICY, policy));
        }
        if let Some(seconds) = cause.retry_after() {
            fields.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        let allowed = match cause {
            Cause::MethodRefused => Some(ALLOWED),
            Cause::FileMethod => Some("GET, HEAD"),
            _ => None,
        };
        fields.extend(allowed.map(|all| (header::ALLOW, HeaderValue::from_static(all))));
        Self::new(status, fields, body.bytes, Some(cause))
    }

    /// With another time after which to come back than its cause's; at least a second, and rounded up.
    #[must_use]
    pub fn again_in(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        for (name, value) in &mut self.fields {
            if *name == header::RETRY_AFTER {
                *value = HeaderValue::from(seconds.max(1));
            }
        }
        self
    }

    /// Has its fields, and its text if there is one, say its cause and the request's id, unless they say the cause already.
    pub fn name_cause(&mut self, request_id: &str) {
        let Some(cause) = self.cause else { return };
        if self.fields.iter().any(|(name, _)| *name == X_HUBGATE_CAUSE) {
            return;
        }
        let code = HeaderValue::from_static(cause.code());
        self.fields.push((X_HUBGATE_CAUSE, code));
        let id = HeaderValue::from_str(request_id).ok();
        self.fields.extend(id.map(|id| (X_REQUEST_ID, id)));
        if !self.body.is_empty() {
            let told = format!("cause: {}\nrequest: {request_id}\n", cause.code());
            self.body.extend_from_slice(told.as_bytes());
        }
    }

    /// Takes these lines for its fields, as far as they can be any.
    pub(super) fn take_lines(&mut self, lines: &[Line]) {
        let fields = lines.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name).ok()?;
            Some((name, HeaderValue::from_bytes(value).ok()?))
        });
        self.fields = fields.collect();
    }

    /// Says what it said by its own, and the configuration in the same words, but once.
    pub(super) fn leave_out_twins(&mut self, own: &[(HeaderName, HeaderValue)]) {
        for field in own {
            let same = self.fields.iter().filter(|other| *other == field).count();
            let own_same = own.iter().filter(|other| *other == field).count();
            if same > own_same
                && let Some(first) = self.fields.iter().position(|other| other == field)
            {
                self.fields.remove(first);
            }
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

    /// A redirect to `location`, whose bytes come from the configuration and the request; without a cause when it is what
    /// was configured.
    pub fn redirect(status: u16, location: &[u8], cause: Option<Cause>) -> Self {
        let location =
            HeaderValue::from_bytes(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
        let mut fields = vec![(header::LOCATION, location)];
        let code = |cause: Cause| HeaderValue::from_static(cause.code());
        fields.extend(cause.map(|cause| (X_HUBGATE_CAUSE, code(cause))));
        Self::new(status, fields, Vec::new(), cause)
    }

    /// What may be asked for here, in answer to OPTIONS.
    pub fn options() -> Self {
        let allowed = (header::ALLOW, HeaderValue::from_static(ALLOWED));
        Self::new(200, vec![allowed], Vec::new(), None)
    }

    /// What a route without an upstream says. A value that cannot stand in a field is left out of it.
    pub fn of_route(action: &RouteAction, values: &dyn Lookup) -> Self {
        match action {
            RouteAction::Respond(respond) => Self::of_respond(respond, values),
            RouteAction::Redirect(redirect) => {
                let location = redirect.to.value(values);
                Self::redirect(redirect.status, &location, None)
            }
            RouteAction::Forward(_)
            | RouteAction::Choose(..)
            | RouteAction::Files(_)
            | RouteAction::Own(_) => Self::text(500, Vec::new(), Some(Cause::Internal)),
        }
    }

    /// What `respond` says.
    pub fn of_respond(respond: &Respond, values: &dyn Lookup) -> Self {
        let mut fields = Vec::new();
        if let Ok(kind) = HeaderValue::from_str(kind_of(respond, values))
            && !matches!(respond.status, 204 | 304)
        {
            fields.push((header::CONTENT_TYPE, kind));
        }
        let body = respond.body.value(values).into_owned();
        Self::new(respond.status, fields, body, None)
    }

    /// Text that was asked for.
    pub fn text(status: u16, body: Vec<u8>, cause: Option<Cause>) -> Self {
        let fields = [
            (header::CONTENT_TYPE, "text/plain"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self::new(status, fields.into(), body, cause)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// The bytes of its whole body.
    pub fn length(&self) -> u64 {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.length());
        self.body.len() as u64 + rest
    }

    /// Whether its head says how long its body is: not with a status that has none, nor of another answer's (RFC 9110
    /// section 8.6).
    fn has_length(&self) -> bool {
        !matches!(self.status, 204 | 304) && self.recode.is_none()
    }

    /// Its fields as HTTP/2 needs them.
    pub fn fields(&self) -> HeaderMap {
        let mut fields: HeaderMap = self.fields.iter().cloned().collect();
        if self.has_length() {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(self.length()));
        }
        fields
    }

    /// How its body is framed for a client of HTTP/1.
    pub fn framing(&self, version: Version) -> Framing {
        match self.recode {
            None => Framing::Length(self.length()),
            Some(_) if version == Version::HTTP_11 => Framing::Chunked,
            Some(_) => Framing::UntilClose,
        }
    }

    /// Writes its head for HTTP/1.1. `date` is the value of `Date`.
    pub fn write_head(&self, date: &[u8], framing: Framing, after: Afterwards, wire: &mut Vec<u8>) {
        let status = self.status();
        let usual = status.canonical_reason().unwrap_or("Error");
        let reason = self.reason.unwrap_or(usual);
        response::status_line(status, reason.as_bytes(), wire);
        field(wire, b"Date", date);
        for (name, value) in &self.fields {
            let mut written = self.written.iter();
            match written.find(|own| own.eq_ignore_ascii_case(name.as_str())) {
                Some(own) => field(wire, own.as_bytes(), value.as_bytes()),
                None => named_field(wire, name, value.as_bytes()),
            }
        }
        if self.has_length() {
            response::write_length(self.length(), wire);
        }
        if framing == Framing::Chunked {
            wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        response::write_connection(after, wire);
        wire.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ErrorPages;

    fn answer(cause: Cause, accept: &str, launch: bool) -> Answer {
        let mut head = RequestHeader::build("GET", b"/build/x", None).unwrap();
        head.append_header("accept", accept).unwrap();
        let pages = ErrorPages::default();
        let facts = Facts {
            cause,
            request_id: "0123",
            launch,
            pages: &pages,
        };
        Answer::of_cause(&facts, Some(&head))
    }

    #[test]
    fn whoever_waits_for_a_build_is_told_by_an_event_when_it_took_too_long_and_only_then() {
        let stream = "text/event-stream";
        let late = answer(Cause::UpstreamResponseTimeout, stream, true);
        assert_eq!(late.status, 200);
        assert!(late.body.starts_with(b"data: "));
        assert_eq!(answer(Cause::UpstreamConnect, stream, true).status, 502);
        assert_eq!(
            answer(Cause::UpstreamResponseTimeout, stream, false).status,
            504
        );
        assert_eq!(
            answer(Cause::UpstreamResponseTimeout, "text/html", true).status,
            504
        );
    }

    #[test]
    fn an_error_is_not_stored_and_says_when_to_try_again() {
        let fields = answer(Cause::QueueFull, "text/html", false).fields();
        assert_eq!(fields[header::CACHE_CONTROL], "no-store");
        assert_eq!(fields[header::RETRY_AFTER], "5");
        assert_eq!(fields[X_HUBGATE_CAUSE], "queue_full");
        assert_eq!(fields[X_REQUEST_ID], "0123");
        assert_eq!(fields[header::CONTENT_LANGUAGE], "en");
    }

    #[test]
    fn what_the_configuration_says_in_the_same_words_is_said_once() {
        let mut answer = Answer::text(404, Vec::new(), None);
        let own = answer.fields.clone();
        let nosniff = HeaderValue::from_static("nosniff");
        answer
            .fields
            .push((header::X_CONTENT_TYPE_OPTIONS, nosniff.clone()));
        let public = HeaderValue::from_static("public");
        answer.fields.push((header::CACHE_CONTROL, public.clone()));
        answer.leave_out_twins(&own);
        let all = |name: &HeaderName| -> Vec<_> {
            let fields = answer.fields.iter().filter(|(own, _)| own == name);
            fields.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(all(&header::X_CONTENT_TYPE_OPTIONS), [nosniff]);
        let no_store = HeaderValue::from_static("no-store");
        assert_eq!(all(&header::CACHE_CONTROL), [no_store, public]);
    }

    #[test]
    fn an_answer_without_a_body_says_no_length() {
        for (status, says) in [(200, true), (204, false), (304, false)] {
            let answer = Answer::text(status, Vec::new(), None);
            let mut wire = Vec::new();
            answer.write_head(b"today", Framing::Length(0), Afterwards::Keep, &mut wire);
            let text = String::from_utf8(wire).unwrap();
            assert_eq!(text.contains("Content-Length: 0"), says, "{text}");
            let fields = answer.fields();
            assert_eq!(fields.contains_key(header::CONTENT_LENGTH), says);
        }
    }

    #[test]
    fn a_location_with_a_line_break_is_not_sent() {
        let answer = Answer::redirect(301, b"https://h/\r\nX: y", None);
        assert_eq!(answer.fields[0].1, "/");
    }
}
