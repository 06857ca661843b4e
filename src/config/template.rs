//! Access log format strings: `$remote_addr "$request" $status`.
//!
//! `$name` or `${name}` is a variable, `$$` a dollar sign, everything else text. One table names every variable;
//! printing gives a text that parses to the same parts.

use std::fmt;

use super::model::{LogVariable, TemplatePart};
use super::suggest::nearest;

/// Every variable but `$http_NAME`, with its meaning.
pub(super) static VARIABLES: &[(&str, LogVariable, &str)] = &[
    (
        "remote_addr",
        LogVariable::RemoteAddr,
        "the client's address",
    ),
    ("remote_port", LogVariable::RemotePort, "the client's port"),
    (
        "time_local",
        LogVariable::TimeLocal,
        "21/Nov/2026:07:06:11 +0000",
    ),
    (
        "time_iso8601",
        LogVariable::TimeIso8601,
        "2026-11-21T07:06:11+00:00",
    ),
    (
        "msec",
        LogVariable::Msec,
        "seconds since 1970, with milliseconds",
    ),
    (
        "request",
        LogVariable::Request,
        "method, target and version, redacted",
    ),
    ("request_method", LogVariable::RequestMethod, "the method"),
    (
        "request_uri",
        LogVariable::RequestUri,
        "the raw target, redacted",
    ),
    (
        "server_protocol",
        LogVariable::ServerProtocol,
        "HTTP/1.1 or HTTP/2.0",
    ),
    ("host", LogVariable::Host, "the request's host"),
    ("scheme", LogVariable::Scheme, "http or https"),
    ("status", LogVariable::Status, "the response's status"),
    (
        "body_bytes_sent",
        LogVariable::BodyBytesSent,
        "bytes of the response's body",
    ),
    (
        "request_length",
        LogVariable::RequestLength,
        "bytes of the request's body",
    ),
    (
        "request_time",
        LogVariable::RequestTime,
        "seconds, with milliseconds",
    ),
    (
        "request_id",
        LogVariable::RequestId,
        "the request's identity, as in X-Request-Id",
    ),
    ("upstream_addr", LogVariable::UpstreamAddr, "the endpoint"),
    (
        "upstream_name",
        LogVariable::UpstreamName,
        "the upstream's name",
    ),
    (
        "upstream_status",
        LogVariable::UpstreamStatus,
        "the upstream's status",
    ),
    (
        "upstream_connect_time",
        LogVariable::UpstreamConnectTime,
        "seconds to connect; - without a new connection",
    ),
    (
        "upstream_response_time",
        LogVariable::UpstreamResponseTime,
        "seconds to the response's head",
    ),
    (
        "cause",
        LogVariable::Cause,
        "why hubgate made the answer; - when the upstream did",
    ),
    ("route", LogVariable::Route, "the route's path"),
    ("ssl_protocol", LogVariable::TlsProtocol, "the TLS version"),
    (
        "ssl_server_name",
        LogVariable::ServerName,
        "the name in the TLS handshake",
    ),
    (
        "ssl_client_verify",
        LogVariable::ClientVerify,
        "of the client's certificate: SUCCESS, FAILED, NONE",
    ),
    (
        "ssl_client_s_dn",
        LogVariable::ClientSubject,
        "whom it names: CN=alice,O=Example",
    ),
    ("ssl_client_i_dn", LogVariable::ClientIssuer, "its issuer"),
    (
        "ssl_client_serial",
        LogVariable::ClientSerial,
        "its serial number",
    ),
    (
        "ssl_client_fingerprint",
        LogVariable::ClientFingerprint,
        "its SHA-256",
    ),
    (
        "bytes_tunnelled_in",
        LogVariable::TunnelIn,
        "bytes from the client through a tunnel",
    ),
    (
        "bytes_tunnelled_out",
        LogVariable::TunnelOut,
        "bytes to the client through a tunnel",
    ),
];

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    /// Nothing there.
    #[error("the access log's format is empty")]
    Empty,
    /// A line break would tear the line.
    #[error("the access log's format has a line break or another control character")]
    Control,
    /// A dollar sign without a name.
    #[error(
        "a `$` in the access log's format has no name after it; write `$$` for the sign itself"
    )]
    Nameless,
    /// `${` without its `}`.
    #[error("`${{` in the access log's format has no `}}`")]
    Unclosed,
    /// No such variable.
    #[error("`${name}` is not a variable of the access log")]
    Unknown {
        /// Without the dollar sign.
        name: String,
    },
    /// A text without a variable says the same for every request.
    #[error(
        "`{text}` is not an access log format: neither \"combined\" nor \"json\", and without a $variable"
    )]
    Constant {
        /// The whole text.
        text: String,
    },
}

impl TemplateError {
    /// The word that was probably meant.
    pub(super) fn nearest(&self) -> Option<String> {
        match self {
            Self::Unknown { name } => nearest(name, VARIABLES.iter().map(|(name, ..)| *name))
                .map(|name| format!("${name}")),
            Self::Constant { text } => nearest(text, ["combined", "json"]).map(str::to_owned),
            _ => None,
        }
    }
}

/// Takes a format string apart.
pub(super) fn parse(text: &str) -> Result<Vec<TemplatePart>, TemplateError> {
    if text.is_empty() {
        return Err(TemplateError::Empty);
    }
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(TemplateError::Control);
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            literal.push('$');
            rest = after;
            continue;
        }
        let (name, after) = name_of(after)?;
        if !literal.is_empty() {
            parts.push(TemplatePart::Text(std::mem::take(&mut literal)));
        }
        parts.push(TemplatePart::Variable(variable(name)?));
        rest = after;
    }
    literal.push_str(rest);
    if parts.is_empty() {
        return Err(TemplateError::Constant {
            text: text.to_owned(),
        });
    }
    if !literal.is_empty() {
        parts.push(TemplatePart::Text(literal));
    }
    Ok(parts)
}

fn name_of(text: &str) -> Result<(&str, &str), TemplateError> {
    if let Some(inner) = text.strip_prefix('{') {
        return inner.split_once('}').ok_or(TemplateError::Unclosed);
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    match end {
        0 => Err(TemplateError::Nameless),
        end => Ok(text.split_at(end)),
    }
}

fn variable(name: &str) -> Result<LogVariable, TemplateError> {
    if let Some(field) = name.strip_prefix("http_") {
        let field = field.to_ascii_lowercase().replace('_', "-");
        if http::HeaderName::from_bytes(field.as_bytes()).is_ok() {
            return Ok(LogVariable::RequestField(field));
        }
    }
    VARIABLES
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, variable, _)| variable.clone())
        .ok_or_else(|| TemplateError::Unknown {
            name: name.to_owned(),
        })
}

/// The parts as the text they came from.
pub(super) fn print(parts: &[TemplatePart]) -> String {
    parts.iter().map(ToString::to_string).collect()
}

impl fmt::Display for TemplatePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&text.replace('$', "$$")),
            Self::Variable(LogVariable::RequestField(name)) => {
                write!(f, "${{http_{}}}", name.replace('-', "_"))
            }
            Self::Variable(variable) => {
                let name = VARIABLES
                    .iter()
                    .find(|(_, known, _)| known == variable)
                    .map_or("", |(name, ..)| name);
                write!(f, "${{{name}}}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn variables_and_text_alternate() {
        assert_eq!(
            parse("$status ${host}x $$1").unwrap(),
            [
                TemplatePart::Variable(LogVariable::Status),
                TemplatePart::Text(" ".into()),
                TemplatePart::Variable(LogVariable::Host),
                TemplatePart::Text("x $1".into()),
            ]
        );
    }

    #[test]
    fn a_request_field_is_named_with_underscores() {
        let parts = parse("$http_user_agent").unwrap();
        assert_eq!(
            parts,
            [TemplatePart::Variable(LogVariable::RequestField(
                "user-agent".into()
            ))]
        );
    }

    #[test]
    fn an_unknown_variable_suggests_a_known_one() {
        let error = parse("$remote_adr").unwrap_err();
        assert_eq!(error.nearest().as_deref(), Some("$remote_addr"));
    }

    #[test]
    fn combind_is_not_taken_for_a_format() {
        assert_eq!(
            parse("combind").unwrap_err().nearest().as_deref(),
            Some("combined")
        );
    }

    proptest! {
        #[test]
        fn printing_gives_a_text_that_parses_to_the_same(text in "[$a-z{} _]{0,30}", name in 0..VARIABLES.len()) {
            let text = format!("{text}${{{}}}", VARIABLES[name].0);
            if let Ok(parts) = parse(&text) {
                prop_assert_eq!(parse(&print(&parts)).unwrap(), parts);
            }
        }
    }
}
