//! The end of a sentence in the event log that tells of one request, in the words that watchers of nginx's log look for:
//! `, client: 192.0.2.1, server: hub.test, request: "GET / HTTP/1.1", host: "hub.test"`.
//!
//! Secrets in the target are replaced as in access logs, and nothing in it can end the line or its quotes.
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::net::IpAddr;

use super::{escape, redact};

/// A request, for such a sentence.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The client; `None` for a program on a unix socket.
    pub client: Option<IpAddr>,
    /// The site.
    pub site: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its target, raw.
    pub target: &'a [u8],
    /// As `HTTP/1.1`.
    pub protocol: &'a str,
    /// What an upstream was asked for; empty where none was.
    pub upstream: &'a str,
    /// Its host, as it was written.
    pub host: &'a [u8],
    /// Where it comes from, as it says; empty where it does not.
    pub referrer: &'a [u8],
    /// Parameters that are secret, in lower case.
    pub secrets: &'a [String],
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Vec::with_capacity(128);
        escape::text(self.method.as_bytes(), &mut line);
        line.push(b' ');
        escape::text(&redact::url(self.target, self.secrets), &mut line);
        line.push(b' ');
        line.extend_from_slice(self.protocol.as_bytes());
        let line = String::from_utf8_lossy(&line);
        match self.client {
            Some(client) => write!(f, ", client: {client}")?,
            None => f.write_str(", client: unix:")?,
        }
        write!(f, ", server: {}, request: \"{line}\"", self.site)?;
        let referrer = redact::url(self.referrer, self.secrets);
        let upstream = redact::url(self.upstream.as_bytes(), self.secrets);
        let rest = [
            ("upstream", &*upstream),
            ("host", self.host),
            ("referrer", &*referrer),
        ];
        for (name, value) in rest.into_iter().filter(|(_, value)| !value.is_empty()) {
            let mut safe = Vec::with_capacity(value.len());
            escape::text(value, &mut safe);
            write!(f, ", {name}: \"{}\"", String::from_utf8_lossy(&safe))?;
        }
        Ok(())
    }
}

/// Any text of a client, safe within quotes.
pub fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape::text(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_request_ends_the_line_or_its_quotes_and_no_secret_is_told() {
        let told = Told {
            client: Some([192, 0, 2, 1].into()),
            site: "hub.test",
            method: "GET",
            target: b"/\"x\n?token=abc",
            protocol: "HTTP/1.1",
            upstream: "http://192.0.2.9:80/?token=abc",
            host: b"hub.test",
            referrer: b"",
            secrets: &["token".to_owned()],
        };
        assert_eq!(
            told.to_string(),
            ", client: 192.0.2.1, server: hub.test, request: \"GET /\\x22x\\x0A?token=REDACTED HTTP/1.1\", upstream: \"http://192.0.2.9:80/?token=REDACTED\", host: \"hub.test\""
        );
        assert_eq!(quoted("a\"\n"), "a\\x22\\x0A");
    }
}
