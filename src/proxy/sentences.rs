//! What went wrong with a request, in nginx's sentences: for whoever matches those in the error log.
//!
//! Told when the request is over, one line for each try that failed and one for what its client was refused for; only with
//! `log.format = "nginx"`. Everything a client can choose is escaped.

use http::header::{HOST, REFERER};

use super::trace::{Trace, Try};
use super::values::{self, Values};
use crate::config::{Lookup as _, Variable};
use crate::observe::access_log::sentence::{Told, quoted};
use crate::observe::cause::Cause;
use crate::observe::log::AS_NGINX;

/// How a sentence about the request ends, in which an upstream was asked for this, if one was.
pub(super) fn told<'a>(values: &Values<'a>, upstream: &'a str, secrets: &'a [String]) -> Told<'a> {
    let fields = values.fields;
    let field = |name| fields.get(name).map_or(&b""[..], |value| value.as_bytes());
    let host = match field(HOST) {
        b"" => values.host.as_bytes(),
        host => host,
    };
    Told {
        client: (!values.on_unix_socket()).then_some(values.client),
        site: values.site,
        method: values.method,
        target: values.target,
        protocol: values::protocol(values.version),
        upstream,
        host,
        referrer: field(REFERER),
        secrets,
    }
}

/// Tells what went wrong, if anything did.
#[cold]
pub(super) fn tell(values: &Values<'_>, trace: &Trace, secrets: &[String]) {
    let connection = values.facts.number;
    for tried in trace.failed().iter().chain(&trace.last()) {
        if let Some(what) = tried.cause.and_then(|cause| of_upstream(cause, tried)) {
            let asked = asked(values, &tried.endpoint.to_string());
            let told = told(values, &asked, secrets);
            tracing::error!(target: AS_NGINX, connection, "{what}{told}");
        }
    }
    let Some(cause) = trace.cause else { return };
    match cause {
        Cause::UpstreamEmpty | Cause::UpstreamDown => {
            let group = values
                .running
                .map_or("", |route| route.group.name().as_str());
            let asked = asked(values, group);
            let told = told(values, &asked, secrets);
            tracing::error!(
                target: AS_NGINX,
                connection,
                "no live upstreams while connecting to upstream{told}"
            );
        }
        Cause::ClientGone => {
            let told = told(values, "", secrets);
            tracing::info!(
                target: AS_NGINX,
                severity = "info",
                connection,
                "client prematurely closed connection{told}"
            );
        }
        _ => {
            if let Some(what) = of_request(cause, values) {
                let told = told(values, "", secrets);
                tracing::error!(target: AS_NGINX, connection, "{what}{told}");
            }
        }
    }
}

/// Whom a try asked, and for what.
fn asked(values: &Values<'_>, who: &str) -> String {
    let upstream = values.running.map(|route| &route.group.config);
    let scheme = match upstream.is_some_and(|upstream| upstream.tls.is_some()) {
        true => "https",
        false => "http",
    };
    let colon = if who.starts_with("unix:") { ":" } else { "" };
    format!(
        "{scheme}://{who}{colon}{}",
        String::from_utf8_lossy(values.target)
    )
}

fn of_upstream(cause: Cause, tried: &Try) -> Option<String> {
    const LATE: &str = "upstream timed out (110: Connection timed out) while";
    const CLOSED: &str = "upstream prematurely closed connection while";
    Some(match cause {
        Cause::UpstreamConnect => {
            let number = tried.errno.unwrap_or(111);
            let reason = std::io::Error::from_raw_os_error(number).to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default();
            format!("connect() failed ({number}: {reason}) while connecting to upstream")
        }
        Cause::UpstreamConnectTimeout => format!("{LATE} connecting to upstream"),
        Cause::UpstreamTls => "SSL_do_handshake() failed while SSL handshaking to upstream".into(),
        Cause::UpstreamTlsTimeout => format!("{LATE} SSL handshaking to upstream"),
        Cause::UpstreamSend => {
            "writev() failed (32: Broken pipe) while sending request to upstream".into()
        }
        Cause::UpstreamClosed => format!("{CLOSED} reading response header from upstream"),
        Cause::UpstreamMalformed => {
            "upstream sent no valid HTTP/1.0 header while reading response header from upstream"
                .into()
        }
        Cause::UpstreamResponseTimeout => format!("{LATE} reading response header from upstream"),
        Cause::UpstreamTruncated => format!("{CLOSED} reading upstream"),
        Cause::UpstreamReset => {
            "recv() failed (104: Connection reset by peer) while reading upstream".into()
        }
        Cause::UpstreamIdle => format!("{LATE} reading upstream"),
        _ => return None,
    })
}

fn of_request(cause: Cause, values: &Values<'_>) -> Option<String> {
    let value = |variable: &Variable| {
        let mut out = Vec::new();
        values.append(variable, &mut out);
        quoted(&String::from_utf8_lossy(&out))
    };
    Some(match cause {
        Cause::BodyTooLarge => {
            let length = values.fields.get(http::header::CONTENT_LENGTH);
            let length = length.and_then(|length| length.to_str().ok());
            match length {
                Some(length) => format!(
                    "client intended to send too large body: {} bytes",
                    quoted(length)
                ),
                None => "client intended to send too large chunked body".to_owned(),
            }
        }
        Cause::RouteLoop => {
            let uri = value(&Variable::Uri);
            format!("rewrite or internal redirection cycle while processing \"{uri}\"")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_a_connection_is_told_as_nginx_tells_it() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let mut tried = Try::begun(address.into(), crate::transport::now());
        for (errno, expected) in [
            (
                Some(111),
                "connect() failed (111: Connection refused) while connecting to upstream",
            ),
            (
                Some(113),
                "connect() failed (113: No route to host) while connecting to upstream",
            ),
        ] {
            tried.errno = errno;
            let told = of_upstream(Cause::UpstreamConnect, &tried);
            assert_eq!(told.as_deref(), Some(expected));
        }
        assert_eq!(of_upstream(Cause::ClientGone, &tried), None);
    }
}
