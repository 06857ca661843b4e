//! Reads an access log's line back into what happened.
//!
//! Pure. JSON by its keys; a template by the texts between its variables, as far as they tell them apart. Invariant: a line
//! that cannot be read gives nothing, never a wrong request.
#![deny(clippy::disallowed_methods)]

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

use crate::config::{AccessLogFormat, TextPart, Variable};
use crate::observe::history::{Told, ToldTry};

/// The request of a line without its end.
pub(super) fn read(line: &[u8], format: &AccessLogFormat) -> Option<Told> {
    let text = String::from_utf8_lossy(line);
    let mut told = match format {
        AccessLogFormat::Json => json(&text)?,
        AccessLogFormat::Template(format) => template(&text, format.parts())?,
        AccessLogFormat::Combined => return None,
    };
    told.line = Some(text.into_owned());
    Some(told.explained()).filter(|told| !told.request_id.is_empty())
}

fn json(line: &str) -> Option<Told> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let seconds = |key: &str| value.get(key).and_then(Value::as_f64);
    let status = |key: &str| number(key).and_then(|status| u16::try_from(status).ok());
    let one = text("upstream_addr").map(|endpoint| ToldTry {
        endpoint,
        connect: seconds("upstream_connect_time"),
        took: seconds("upstream_response_time"),
        status: status("upstream_status"),
        ..ToldTry::default()
    });
    Some(Told {
        request_id: text("request_id")?,
        ended: text("time").as_deref().and_then(iso).unwrap_or_default(),
        took: seconds("request_time"),
        client: match number("remote_port") {
            Some(port) => format!("{}:{port}", text("remote_addr")?),
            None => text("remote_addr")?,
        },
        method: text("method"),
        scheme: text("scheme"),
        host: text("host"),
        target: text("uri"),
        protocol: text("protocol"),
        tls: text("tls_protocol"),
        server_name: text("tls_server_name"),
        site: text("site"),
        route: text("route"),
        upstream: text("upstream"),
        status: status("status")?,
        upstream_status: status("upstream_status"),
        bytes_received: number("request_length").unwrap_or_default(),
        bytes_sent: number("body_bytes_sent").unwrap_or_default(),
        tunnel_received: number("tunnel_bytes_in").unwrap_or_default(),
        tunnel_sent: number("tunnel_bytes_out").unwrap_or_default(),
        cause: text("cause"),
        tries: one.into_iter().collect(),
        ..Told::default()
    })
}

fn template(line: &str, parts: &[TextPart]) -> Option<Told> {
    let mut told = Told::default();
    let mut one = ToldTry::default();
    let mut rest = line;
    let mut parts = parts.iter().peekable();
    while let Some(part) = parts.next() {
        let variable = match part {
            TextPart::Literal(text) => {
                rest = rest.strip_prefix(&**text)?;
                continue;
            }
            TextPart::Variable(variable) => variable,
        };
        let value = match parts.peek() {
            Some(TextPart::Literal(next)) => &rest[..rest.find(&**next)?],
            Some(TextPart::Variable(_)) => "",
            None => rest,
        };
        rest = &rest[value.len()..];
        if value != "-" && !value.is_empty() {
            take(variable, value, &mut told, &mut one);
        }
    }
    if !one.endpoint.is_empty() {
        told.tries.push(one);
    }
    Some(told)
}

fn take(variable: &Variable, value: &str, told: &mut Told, one: &mut ToldTry) {
    let text = || Some(value.to_owned());
    let number = || value.parse().unwrap_or_default();
    match variable {
        Variable::RequestId => told.request_id = value.to_owned(),
        Variable::RemoteAddr => told.client = value.to_owned(),
        Variable::TimeIso8601 => told.ended = iso(value).unwrap_or_default(),
        Variable::TimeLocal => told.ended = common(value).unwrap_or_default(),
        Variable::Msec => {
            let seconds: f64 = value.parse().unwrap_or_default();
            told.ended = (seconds * 1000.0).round() as u64;
        }
        Variable::Request => {
            let mut words = value.split(' ').map(str::to_owned);
            (told.method, told.target, told.protocol) = (words.next(), words.next(), words.next());
        }
        Variable::RequestMethod => told.method = text(),
        Variable::RequestUri => told.target = text(),
        Variable::ServerProtocol => told.protocol = text(),
        Variable::Host => told.host = text(),
        Variable::Scheme => told.scheme = text(),
        Variable::Status => told.status = value.parse().unwrap_or_default(),
        Variable::BodyBytesSent => told.bytes_sent = number(),
        Variable::RequestLength => told.bytes_received = number(),
        Variable::TunnelIn => told.tunnel_received = number(),
        Variable::TunnelOut => told.tunnel_sent = number(),
        Variable::RequestTime => told.took = value.parse().ok(),
        Variable::UpstreamAddr => one.endpoint = value.to_owned(),
        Variable::UpstreamName => told.upstream = text(),
        Variable::UpstreamStatus => {
            told.upstream_status = value.parse().ok();
            one.status = told.upstream_status;
        }
        Variable::UpstreamConnectTime => one.connect = value.parse().ok(),
        Variable::UpstreamResponseTime => one.took = value.parse().ok(),
        Variable::Cause => told.cause = text(),
        Variable::Route => told.route = text(),
        Variable::TlsProtocol => told.tls = text(),
        Variable::ServerName => told.server_name = text(),
        _ => {}
    }
}

/// Milliseconds since 1970 of `2026-11-21T07:06:11.042Z`.
fn iso(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Milliseconds since 1970 of `21/Nov/2026:07:06:11 +0000`, as we write it: in UTC.
fn common(text: &str) -> Option<u64> {
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.splitn(4, ['/', ':']);
    let day = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = u8::try_from(months.find(name)? / 3 + 1).ok()?;
    let year = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(str::parse);
    let mut next = || clock.next()?.ok();
    let time = Time::from_hms(next()?, next()?, next()?).ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let seconds = date.with_time(time).assume_utc().unix_timestamp();
    u64::try_from(seconds)
        .ok()
        .filter(|_| zone == "+0000")?
        .checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: u64 = 1_795_244_771_000;

    fn parts(text: &str) -> AccessLogFormat {
        let toml = format!(
            "[access_log]\nformat = '{text}'\n[[site.\"a.example\".route]]\npath = \"/\"\nupstream = \"u\"\n[upstream.u]\nendpoints = [\"192.0.2.1:80\"]\n"
        );
        let source = crate::config::Source::new("c.toml", "/etc", toml);
        let config = crate::config::parse(&source).unwrap().config;
        config.access_log.format.clone()
    }

    #[test]
    fn a_json_line_is_read_back() {
        let line = br#"{"time":"2026-11-21T07:06:11.000Z","remote_addr":"192.0.2.7","remote_port":5,"method":"GET","uri":"/x","status":504,"request_time":1.5,"request_id":"abc","upstream_addr":"192.0.2.1:80","cause":"upstream_response_timeout"}"#;
        let told = read(line, &AccessLogFormat::Json).unwrap();
        assert_eq!((told.ended, told.status, told.took), (AT, 504, Some(1.5)));
        assert_eq!(told.tries[0].endpoint, "192.0.2.1:80");
        assert!(told.advice.is_some());
    }

    #[test]
    fn a_line_of_the_operators_own_form_is_read_back() {
        let format = parts(
            r#"$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_user_agent" $request_id $upstream_addr $upstream_connect_time $cause"#,
        );
        let line = br#"192.0.2.7 - - [21/Nov/2026:07:06:11 +0000] "GET /x?y HTTP/1.1" 502 7 "a b" abc 192.0.2.1:80 - upstream_closed"#;
        let told = read(line, &format).unwrap();
        assert_eq!((told.ended, told.status, told.bytes_sent), (AT, 502, 7));
        assert_eq!(told.target.as_deref(), Some("/x?y"));
        assert_eq!(told.request_id, "abc");
        assert_eq!(told.cause.as_deref(), Some("upstream_closed"));
        assert_eq!(told.tries[0].connect, None);
        assert!(read(b"something else", &format).is_none());
    }

    #[test]
    fn times_of_every_form_are_the_same() {
        assert_eq!(iso("2026-11-21T07:06:11+00:00"), Some(AT));
        assert_eq!(common("21/Nov/2026:07:06:11 +0000"), Some(AT));
        assert_eq!(common("21/Nov/2026:07:06:11 +0100"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line: Vec<u8>, text in "\\PC{0,60}") {
            let format = parts("[$time_local] $msec $request $request_id$status é$cause");
            drop(read(&line, &format));
            drop(read(text.as_bytes(), &format));
            drop(read(text.as_bytes(), &AccessLogFormat::Json));
            assert!(common(&text).is_none_or(|millis| millis % 1000 == 0));
        }
    }
}
