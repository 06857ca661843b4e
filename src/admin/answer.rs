//! What each admin request gets.
//!
//! Over TCP only reading is allowed, and only under a name that cannot be someone else's: a page of another origin
//! can make a browser resolve its own host name to this address (DNS rebinding), but then `Host` is that name.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use super::{Admin, ReloadOutcome, StatusReport, Wish, page};
use crate::acme::Renew;
use crate::observe::metrics::CertificateFacts;
use crate::types::host::Authority;
use crate::upstream::endpoint::Override;

/// Through which door a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The unix socket: everything.
    Socket,
    /// TCP at this address: reading.
    Tcp(SocketAddr),
}

type Answer = Response<Full<Bytes>>;

/// Connections told one by one in an answer.
const MOST_OPEN: usize = 10_000;

const TEXT: &str = "text/plain; charset=utf-8";
const PATHS: &str = "GET /, GET /status, GET /status?open=NUMBER, GET /metrics, GET /health, GET /why?id=REQUEST_ID, POST /reload, POST /reload?plan=1, POST /upgrade?program=PATH, POST /endpoint?to=WORD&endpoint=IP:PORT, POST /challenge-probe?host=HOST, \
     POST /certificates/renew?host=HOST, POST /certificates/revoke?host=HOST, \
     POST /certificates/rollover?ca=NAME";

/// Answers one request; its body, if any, is not read.
pub(super) async fn answer(admin: &Admin, door: Door, head: &http::request::Parts) -> Answer {
    if let Door::Tcp(own) = door {
        if !is_own_name(&head.headers, own) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "ask for this page by the address it listens on or as localhost\n",
            );
        }
        if head.method != Method::GET && head.method != Method::HEAD {
            return text(
                StatusCode::FORBIDDEN,
                "this listener is read only; use `hubgate reload` or the unix socket\n",
            );
        }
    }
    let reading = head.method == Method::GET || head.method == Method::HEAD;
    match (head.uri.path(), reading) {
        ("/", true) => of_type(
            "text/html; charset=utf-8",
            page::render(&report(admin, 0).await),
        ),
        ("/status", true) => status(admin, door, head.uri.query()).await,
        ("/metrics", true) => of_type("text/plain; version=0.0.4; charset=utf-8", metrics(admin)),
        ("/health", true) if admin.control.is_draining() => {
            text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        }
        ("/health", true) => text(StatusCode::OK, "ok\n"),
        ("/why", true) => why(admin, door, head.uri.query()),
        ("/reload", false) if head.method == Method::POST => reload(admin, head.uri.query()).await,
        ("/upgrade", false) if head.method == Method::POST => {
            upgrade(admin, head.uri.query()).await
        }
        ("/endpoint", false) if head.method == Method::POST => {
            override_endpoint(admin, head.uri.query())
        }
        ("/challenge-probe", false) if head.method == Method::POST => {
            probe(admin, head.uri.query())
        }
        (path @ ("/certificates/renew" | "/certificates/revoke"), false)
            if head.method == Method::POST =>
        {
            wish(admin, path, head.uri.query()).await
        }
        ("/certificates/rollover", false) if head.method == Method::POST => {
            roll_over(admin, head.uri.query()).await
        }
        ("/" | "/status" | "/metrics" | "/health" | "/why", false) => wrong_method("GET, HEAD"),
        (
            "/reload"
            | "/upgrade"
            | "/endpoint"
            | "/challenge-probe"
            | "/certificates/renew"
            | "/certificates/revoke"
            | "/certificates/rollover",
            _,
        ) => wrong_method("POST"),
        _ => text(
            StatusCode::NOT_FOUND,
            format!("nothing is here; there are: {PATHS}\n"),
        ),
    }
}

/// A reload runs in its own task, to its end, whether or not the client waits for it.
async fn reload(admin: &Admin, query: Option<&str>) -> Answer {
    let plan = match query {
        None | Some("") => false,
        Some("plan=1") => true,
        Some(_) => return text(StatusCode::BAD_REQUEST, "the only parameter is `plan=1`\n"),
    };
    let control = admin.control.clone();
    let task = tokio::spawn(async move {
        if plan {
            control.plan().await
        } else {
            control.reload().await
        }
    });
    match task.await {
        Ok(ReloadOutcome::Done(report)) => json(StatusCode::OK, &report),
        Ok(ReloadOutcome::Refused { diagnostics }) => {
            text(StatusCode::UNPROCESSABLE_ENTITY, diagnostics)
        }
        Ok(ReloadOutcome::TakenOver(pid)) => text(
            StatusCode::CONFLICT,
            format!("error: process {pid} has taken over meanwhile; ask again\n"),
        ),
        Err(error) => {
            tracing::error!(%error, "a reload ended unexpectedly");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the reload ended unexpectedly; the log says more\n",
            )
        }
    }
}

/// An upgrade runs in its own task, to its end, whether or not the client waits for it.
async fn upgrade(admin: &Admin, query: Option<&str>) -> Answer {
    let program = match query.filter(|query| !query.is_empty()) {
        None => None,
        Some(query) => match query.strip_prefix("program=").and_then(decoded) {
            Some(path) if path.starts_with('/') => Some(PathBuf::from(path)),
            _ => {
                return text(
                    StatusCode::BAD_REQUEST,
                    "the only parameter is `program=PATH`, absolute\n",
                );
            }
        },
    };
    let control = admin.control.clone();
    told(tokio::spawn(async move { control.upgrade(program).await }).await)
}

/// Takes an operator's word on an endpoint.
fn override_endpoint(admin: &Admin, query: Option<&str>) -> Answer {
    let (mut to, mut endpoint, mut upstream) = (None, None, None);
    for parameter in query.unwrap_or_default().split('&') {
        match parameter.split_once('=') {
            Some(("to", word)) => to = Override::parse(word),
            Some(("endpoint", text)) => endpoint = Some(text),
            Some(("upstream", name)) => upstream = Some(name),
            _ => {}
        }
    }
    let (Some(to), Some(endpoint)) = (to, endpoint) else {
        return text(
            StatusCode::BAD_REQUEST,
            "the parameters are `to=enabled`, `draining` or `disabled`, `endpoint=IP:PORT`, and `upstream=NAME`\n",
        );
    };
    match admin.control.override_endpoint(upstream, endpoint, to) {
        Ok(done) => text(StatusCode::OK, done),
        Err(fault) => text(StatusCode::NOT_FOUND, fault),
    }
}

/// What is remembered of a request: 404 with what there is to look in, when it is not known.
fn why(admin: &Admin, door: Door, query: Option<&str>) -> Answer {
    if door != Door::Socket {
        // It tells clients' addresses and what they asked for.
        return text(
            StatusCode::FORBIDDEN,
            "this listener does not tell of single requests; use `hubgate why`\n",
        );
    }
    match query.and_then(|query| query.strip_prefix("id=")) {
        Some(id) if !id.is_empty() => {
            let explained = admin.control.explain(id);
            let status = match explained.found.is_empty() {
                true => StatusCode::NOT_FOUND,
                false => StatusCode::OK,
            };
            json(status, &explained)
        }
        _ => text(
            StatusCode::BAD_REQUEST,
            "the parameter is `id=REQUEST_ID`\n",
        ),
    }
}

/// Carries out what a person wishes for a host's certificate, in a task of its own, whether or not the client waits.
async fn wish(admin: &Admin, path: &str, query: Option<&str>) -> Answer {
    let mut parameters = query.unwrap_or_default().split('&');
    let host = parameters
        .next()
        .and_then(|first| first.strip_prefix("host="));
    let wish = match path {
        "/certificates/renew" => renewal(parameters),
        _ => revocation(parameters),
    };
    let (Some(host), Some(wish)) = (host, wish) else {
        return text(
            StatusCode::BAD_REQUEST,
            "the parameters are `host=HOST`, then `force=1`, `due=1`, `staging=1` to renew, `reason=NUMBER` to revoke\n",
        );
    };
    let (control, host) = (admin.control.clone(), host.to_owned());
    let task = tokio::spawn(async move { control.wish(&host, wish).await });
    told(task.await)
}

/// What came of a wish.
fn told(outcome: Result<Result<String, String>, tokio::task::JoinError>) -> Answer {
    match outcome {
        Ok(Ok(done)) => text(StatusCode::OK, format!("{done}\n")),
        Ok(Err(why)) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")),
        Err(error) => {
            tracing::error!(%error, "a wish ended unexpectedly");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "it ended unexpectedly; the log says more\n",
            )
        }
    }
}

fn renewal<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<Wish> {
    let mut wish = Renew::default();
    for parameter in parameters {
        match parameter {
            "force=1" => wish.force = true,
            "due=1" => wish.only_due = true,
            "staging=1" => wish.at_staging = true,
            _ => return None,
        }
    }
    Some(Wish::Renew(wish))
}

fn revocation<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<Wish> {
    let reason = match parameters.next() {
        None => 0,
        Some(one) => one.strip_prefix("reason=")?.parse().ok()?,
    };
    let no_more = parameters.next().is_none();
    no_more.then_some(Wish::Revoke { reason })
}

/// Gives ACME accounts another key, in a task of its own, whether or not the client waits.
async fn roll_over(admin: &Admin, query: Option<&str>) -> Answer {
    let authority = match query.filter(|query| !query.is_empty()) {
        None => None,
        Some(query) => match query.strip_prefix("ca=").and_then(decoded) {
            Some(name) => Some(name),
            None => return text(StatusCode::BAD_REQUEST, "the only parameter is `ca=NAME`\n"),
        },
    };
    let control = admin.control.clone();
    let task = tokio::spawn(async move { control.roll_over(authority.as_deref()).await });
    told(task.await)
}

/// A query's value without its percent signs (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Has a random token answered for a host, so that `certs doctor` can ask for it from outside.
fn probe(admin: &Admin, query: Option<&str>) -> Answer {
    match query.and_then(|query| query.strip_prefix("host=")) {
        Some(host) => match admin.control.probe(host) {
            Some(probe) => json(StatusCode::OK, &probe),
            None => text(StatusCode::NOT_FOUND, "no site has this host\n"),
        },
        None => text(StatusCode::BAD_REQUEST, "the parameter is `host=HOST`\n"),
    }
}

/// The metrics, with the certificates as they are served now: those change without a reload.
fn metrics(admin: &Admin) -> String {
    let certificates = admin.control.status().certificates;
    let facts = certificates.into_iter().filter_map(|row| {
        let facts = CertificateFacts {
            not_before: row.not_before?,
            not_after: row.not_after?,
            served_as_kept: row.served_as_kept,
        };
        Some((row.host, facts))
    });
    admin.metrics.set_certificates(facts);
    admin.metrics.set_acme(admin.control.orders());
    admin.metrics.set_upstreams(admin.control.upstreams());
    admin.metrics.render()
}

async fn report(admin: &Admin, most: usize) -> StatusReport {
    let open = admin.control.open(most).await;
    let status = admin.control.status();
    StatusReport::new(status, &admin.metrics, open, SystemTime::now())
}

/// What runs, with `open=N` of what is open one by one.
async fn status(admin: &Admin, door: Door, query: Option<&str>) -> Answer {
    let most = match query.filter(|query| !query.is_empty()) {
        None => 0,
        // It tells clients' addresses.
        Some(_) if door != Door::Socket => {
            return text(
                StatusCode::FORBIDDEN,
                "this listener does not tell of single connections; use `hubgate status --open`\n",
            );
        }
        Some(query) => match query.strip_prefix("open=").map(str::parse::<usize>) {
            Some(Ok(most)) => most.min(MOST_OPEN),
            _ => {
                return text(
                    StatusCode::BAD_REQUEST,
                    "the only parameter is `open=NUMBER`\n",
                );
            }
        },
    };
    json(StatusCode::OK, &report(admin, most).await)
}

/// Whether `Host` is an address of this listener or a loopback name, once.
fn is_own_name(fields: &HeaderMap, own: SocketAddr) -> bool {
    let mut hosts = fields.get_all(http::header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Some(authority) = host
        .to_str()
        .ok()
        .and_then(|text| Authority::parse(text).ok())
    else {
        return false;
    };
    match authority.host.ip().map(|ip| ip.to_canonical()) {
        // An address in `Host` cannot be rebound; which one a wildcard listener was reached at is not known here.
        Some(ip) => ip.is_loopback() || ip == own.ip().to_canonical() || is_wildcard(own.ip()),
        None => authority.host.as_str() == "localhost",
    }
}

fn is_wildcard(ip: IpAddr) -> bool {
    ip.to_canonical().is_unspecified()
}

fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("allowed here: {allowed}\n"),
    );
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = of_type(TEXT, body);
    *answer.status_mut() = status;
    answer
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            let mut answer = of_type("application/json", body);
            *answer.status_mut() = status;
            answer
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn of_type(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    const FIELDS: [(HeaderName, &str); 4] = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    let mut answer = Response::new(Full::new(body.into()));
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in FIELDS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_name(hosts: &[&str], own: &str) -> bool {
        let mut fields = HeaderMap::new();
        for host in hosts {
            fields.append(http::header::HOST, HeaderValue::from_str(host).unwrap());
        }
        is_own_name(&fields, own.parse().unwrap())
    }

    #[test]
    fn a_name_that_could_be_rebound_is_not_ours() {
        for host in [
            "evil.example",
            "evil.example:9180",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "a b",
        ] {
            assert!(!own_name(&[host], "127.0.0.1:9180"), "{host}");
        }
        assert!(!own_name(&[], "127.0.0.1:9180"));
        assert!(!own_name(&["localhost", "localhost"], "127.0.0.1:9180"));
        assert!(!own_name(&["evil.example"], "0.0.0.0:9180"));
    }

    #[test]
    fn loopback_and_the_listeners_own_address_are_ours() {
        for host in [
            "127.0.0.1:9180",
            "localhost:1234",
            "LOCALHOST",
            "[::1]:9180",
            "127.0.0.2",
        ] {
            assert!(own_name(&[host], "127.0.0.1:9180"), "{host}");
        }
        assert!(own_name(&["10.0.0.1:9180"], "10.0.0.1:9180"));
        assert!(own_name(&["10.0.0.1:9180"], "0.0.0.0:9180"));
    }
}
