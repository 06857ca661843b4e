//! Turns a record into one line: `combined`, `json` or the operator's own template.
//!
//! Pure. Secrets are redacted and everything a client can choose is escaped here. Invariant: a line holds one line
//! end, its last byte, unless the operator wrote one into the template.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use http::header::{
    AUTHORIZATION, COOKIE, HOST, HeaderName, PROXY_AUTHORIZATION, REFERER, USER_AGENT,
};

use super::clock::{self, Clock};
use super::record::{ClientCertificate, Record};
use super::{escape, redact};
use crate::config::{AccessLogFormat, Escape, TextPart, Variable};
use crate::transport::proxy_protocol::Proxied;
use crate::transport::proxy_values::{ALPN, AUTHORITY, TLS_CIPHER, TLS_CN, TLS_VERSION, UNIQUE_ID};
use crate::types::address::THIS_HOST;

/// Appends `record` as one line, its line end included. `secrets` are parameter names in lower case; `escape` is of templates.
pub(super) fn line(
    format: &AccessLogFormat,
    (secrets, escape): (&[String], Escape),
    record: &Record<'_>,
    clock: &mut Clock,
    out: &mut Vec<u8>,
) {
    let mut line = Line {
        secrets,
        escape: Escape::Default,
        record,
        clock,
        out,
    };
    match format {
        AccessLogFormat::Combined => line.combined(),
        AccessLogFormat::Json => line.json(),
        AccessLogFormat::Template(text) => {
            line.escape = escape;
            for part in text.parts() {
                match part {
                    TextPart::Literal(text) => line.raw(text),
                    TextPart::Variable(variable) => line.variable(variable),
                }
            }
        }
    }
    line.raw("\n");
}

struct Line<'l, 'r> {
    secrets: &'l [String],
    escape: Escape,
    record: &'l Record<'r>,
    clock: &'l mut Clock,
    out: &'l mut Vec<u8>,
}

impl<'r> Line<'_, 'r> {
    /// nginx's `combined`.
    fn combined(&mut self) {
        self.variable(&Variable::RemoteAddr);
        self.raw(" - ");
        self.variable(&Variable::RemoteUser);
        self.raw(" [");
        self.variable(&Variable::TimeLocal);
        self.raw("] \"");
        self.variable(&Variable::Request);
        self.raw("\" ");
        self.variable(&Variable::Status);
        self.raw(" ");
        self.variable(&Variable::BodyBytesSent);
        self.raw(" \"");
        self.field(&REFERER);
        self.raw("\" \"");
        self.field(&USER_AGENT);
        self.raw("\"");
    }

    fn variable(&mut self, variable: &Variable) {
        let record = self.record;
        if let Some(values) = record.values.filter(|_| record.values_first) {
            let mut value = Vec::new();
            values.append(variable, &mut value);
            if !value.is_empty() {
                return self.text(&value);
            }
        }
        match variable {
            // Of requests more is known than of streams.
            Variable::UpstreamAddr
            | Variable::UpstreamStatus
            | Variable::UpstreamConnectTime
            | Variable::UpstreamResponseTime
            | Variable::RequestLength
                if record.values.is_some() =>
            {
                self.looked_up(variable);
            }
            // No connection by TCP comes from port 0.
            Variable::RemoteAddr if record.client == THIS_HOST => self.raw("unix:"),
            Variable::RemoteAddr => self.display(record.client.ip()),
            Variable::RemotePort if record.client == THIS_HOST => {}
            Variable::RemotePort => self.display(record.client.port()),
            Variable::TimeLocal => self.clock.common(record.time, self.out),
            Variable::TimeIso8601 => self.clock.iso(record.time, self.out),
            Variable::Msec => clock::epoch(record.time, self.out),
            Variable::Request => self.request(),
            Variable::RequestMethod => self.text(record.method.as_bytes()),
            Variable::RequestUri => self.text(&redact::url(record.target, self.secrets)),
            Variable::ServerProtocol => self.text(record.protocol.as_bytes()),
            Variable::Host => self.optional(record.host),
            Variable::Scheme => self.text(record.scheme.as_bytes()),
            Variable::Status => self.status(Some(record.status)),
            Variable::BodyBytesSent => {
                clock::number(record.body_sent + record.tunnel_out, self.out);
            }
            Variable::RequestLength => clock::number(record.body_received, self.out),
            Variable::RequestTime => clock::seconds(record.duration, self.out),
            Variable::RequestId => self.text(record.request_id.as_bytes()),
            Variable::UpstreamAddr => match record.endpoint {
                Some(endpoint) => self.display(endpoint),
                None => self.nothing(),
            },
            Variable::UpstreamName => self.optional(record.upstream),
            Variable::UpstreamStatus => self.status(record.upstream_status),
            Variable::UpstreamConnectTime => self.seconds(record.connect_time),
            Variable::UpstreamResponseTime => self.seconds(record.response_time),
            // Over HTTP/2 it is no field.
            Variable::RequestField(name)
                if name == HOST.as_str() && !record.fields.contains_key(HOST) =>
            {
                self.looked_up(variable);
            }
            Variable::RequestField(name) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => self.field(&name),
                Err(_) => self.nothing(),
            },
            Variable::Cause => self.optional(record.cause.map(|cause| cause.code())),
            Variable::Route => self.optional(record.route),
            Variable::TlsProtocol => self.optional(record.tls_version),
            Variable::ServerName => self.optional(record.server_name),
            Variable::ClientVerify => {
                let shown = record.client_certificate;
                self.raw(shown.map_or("NONE", |shown| shown.verify()));
            }
            Variable::ClientSubject => self.shown(|shown| shown.subject),
            Variable::ClientIssuer => self.shown(|shown| shown.issuer),
            Variable::ClientSerial => self.shown(|shown| shown.serial),
            Variable::ClientFingerprint => self.shown(|shown| shown.sha1),
            Variable::ClientSha256 => self.shown(|shown| shown.fingerprint),
            Variable::TunnelIn => clock::number(record.tunnel_in, self.out),
            Variable::TunnelOut => clock::number(record.tunnel_out, self.out),
            Variable::DatagramsIn => self.count(record.datagrams.map(|(came, _)| came)),
            Variable::DatagramsOut => self.count(record.datagrams.map(|(_, went)| went)),
            // It may be said to be called otherwise.
            Variable::Site if record.values.is_none() => self.optional(record.site),
            Variable::Args => {
                let target = redact::url(record.target, self.secrets);
                let query = memchr::memchr(b'?', &target).map(|mark| &target[mark + 1..]);
                self.text(query.unwrap_or_default());
            }
            Variable::Argument(name) if self.is_secret(name) => self.text(redact::REDACTED),
            // Credentials are often in one.
            Variable::Cookie(_) => self.text(redact::REDACTED),
            other => self.looked_up(other),
        }
    }

    fn count(&mut self, count: Option<u64>) {
        match count {
            Some(count) => clock::number(count, self.out),
            None => self.nothing(),
        }
    }

    fn shown(&mut self, of: impl FnOnce(&ClientCertificate<'r>) -> &'r str) {
        let record = self.record;
        self.optional(record.client_certificate.as_ref().map(of));
    }

    fn is_secret(&self, name: &str) -> bool {
        let mut secrets = self.secrets.iter();
        secrets.any(|secret| secret.eq_ignore_ascii_case(name))
    }

    fn looked_up(&mut self, variable: &Variable) {
        let mut value = Vec::new();
        if let Some(values) = self.record.values {
            values.append(variable, &mut value);
        }
        // To nginx these are there, and empty.
        let there = matches!(
            variable,
            Variable::Site
                | Variable::Https
                | Variable::Http2
                | Variable::IsArgs
                | Variable::Completion
                | Variable::Own(_)
        );
        if !(there && value.is_empty()) {
            self.text(&value);
        }
    }

    fn request(&mut self) {
        let record = self.record;
        if record.method.is_empty() && record.target.is_empty() {
            return self.nothing();
        }
        self.text(record.method.as_bytes());
        self.raw(" ");
        self.text(&redact::url(record.target, self.secrets));
        self.raw(" ");
        self.text(record.protocol.as_bytes());
    }

    fn field(&mut self, name: &HeaderName) {
        match self.field_value(name) {
            Some(value) => self.text(&value),
            None => self.nothing(),
        }
    }

    /// Credentials never reach a log, not even when a template names their field.
    fn field_value(&self, name: &HeaderName) -> Option<Cow<'r, [u8]>> {
        let value = self.record.fields.get(name)?.as_bytes();
        Some(
            if [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name) {
                Cow::Borrowed(redact::REDACTED)
            } else {
                redact::url(value, self.secrets)
            },
        )
    }

    fn optional(&mut self, value: Option<&str>) {
        self.text(value.unwrap_or_default().as_bytes());
    }

    /// nginx writes `-` for what is not there; an empty value reads the same.
    fn text(&mut self, value: &[u8]) {
        match self.escape {
            Escape::Default if value.is_empty() => self.raw("-"),
            Escape::Default => escape::text(value, self.out),
            Escape::Json => escape::json(value, self.out),
            Escape::None => {
                let bytes = value.iter().copied();
                self.out
                    .extend(bytes.filter(|byte| !b"\r\n".contains(byte)));
            }
        }
    }

    /// What is not there.
    fn nothing(&mut self) {
        self.text(b"");
    }

    fn status(&mut self, status: Option<u16>) {
        match status {
            Some(status) => clock::number(u64::from(status), self.out),
            None => self.nothing(),
        }
    }

    fn seconds(&mut self, duration: Option<Duration>) {
        match duration {
            Some(duration) => clock::seconds(duration, self.out),
            None => self.nothing(),
        }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn display(&mut self, value: impl Display) {
        let written = write!(self.out, "{value}");
        debug_assert!(written.is_ok(), "a Vec takes every write");
    }

    /// One object with fixed keys; what is not known is left out.
    fn json(&mut self) {
        let record = self.record;
        self.raw("{\"time\":\"");
        self.clock.iso_millis(record.time, self.out);
        self.raw("\",\"remote_addr\":\"");
        self.display(record.client.ip());
        self.raw("\",\"remote_port\":");
        self.display(record.client.port());
        self.key_text("method", Some(record.method));
        self.key_bytes("uri", &redact::url(record.target, self.secrets));
        self.key_text("protocol", Some(record.protocol));
        self.key_text("scheme", Some(record.scheme));
        self.key_text("host", record.host);
        self.key_number("status", Some(u64::from(record.status)));
        self.key_number("body_bytes_sent", Some(record.body_sent));
        self.key_number("request_length", Some(record.body_received));
        self.key_seconds("request_time", Some(record.duration));
        self.key_text("request_id", Some(record.request_id));
        for (key, name) in [("referer", &REFERER), ("user_agent", &USER_AGENT)] {
            self.key_bytes(key, &self.field_value(name).unwrap_or_default());
        }
        self.key_text("site", record.site);
        self.key_text("route", record.route);
        self.key_text("upstream", record.upstream);
        if let Some(endpoint) = record.endpoint {
            self.raw(",\"upstream_addr\":\"");
            self.display(endpoint);
            self.raw("\"");
        }
        self.key_number("upstream_status", record.upstream_status.map(u64::from));
        self.key_seconds("upstream_connect_time", record.connect_time);
        self.key_seconds("upstream_response_time", record.response_time);
        self.key_text("cause", record.cause.map(|cause| cause.code()));
        self.key_text("tls_protocol", record.tls_version);
        self.key_text("tls_server_name", record.server_name);
        if let Some(shown) = &record.client_certificate {
            self.key_text("tls_client_verify", Some(shown.verify()));
            self.key_text("tls_client_subject", Some(shown.subject));
            self.key_text("tls_client_fingerprint", Some(shown.fingerprint));
        }
        if let Some(proxied) = record.proxied {
            self.proxied(proxied);
        }
        let tunnelled = record.tunnel_in > 0 || record.tunnel_out > 0;
        self.key_number("tunnel_bytes_in", tunnelled.then_some(record.tunnel_in));
        self.key_number("tunnel_bytes_out", tunnelled.then_some(record.tunnel_out));
        if let Some((came, went)) = record.datagrams {
            self.key_number("datagrams_in", Some(came));
            self.key_number("datagrams_out", Some(went));
        }
        self.raw("}");
    }

    /// What a PROXY header said beside the client's address.
    fn proxied(&mut self, proxied: &Proxied) {
        self.raw(",\"proxy_server_addr\":\"");
        self.display(proxied.destination);
        self.raw("\"");
        let values = &proxied.values;
        for (key, value) in [
            ("proxy_alpn", values.get(ALPN)),
            ("proxy_authority", values.get(AUTHORITY)),
            ("proxy_unique_id", values.get(UNIQUE_ID)),
            ("proxy_tls_protocol", values.of_tls(TLS_VERSION)),
            ("proxy_tls_cipher", values.of_tls(TLS_CIPHER)),
            ("proxy_tls_client_cn", values.of_tls(TLS_CN)),
        ] {
            self.key_bytes(key, value.unwrap_or_default());
        }
        let verify = values.tls_verify().map(u64::from);
        self.key_number("proxy_tls_client_verify", verify);
    }

    fn key(&mut self, key: &str) {
        self.raw(",\"");
        self.raw(key);
        self.raw("\":");
    }

    fn key_text(&mut self, key: &str, value: Option<&str>) {
        self.key_bytes(key, value.unwrap_or_default().as_bytes());
    }

    fn key_bytes(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            self.key(key);
            self.raw("\"");
            escape::json(value, self.out);
            self.raw("\"");
        }
    }

    fn key_number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.key(key);
            clock::number(value, self.out);
        }
    }

    fn key_seconds(&mut self, key: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.key(key);
            clock::seconds(value, self.out);
        }
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
