//! `hubgate doctor`: whether the endpoints of the configuration can be reached from this host, and what they say.
//!
//! Needs no running hubgate. `endpoint` looks at one, as traffic would: the same address, the same TLS settings, the check
//! of the upstream or the path of a route; `check` then makes the upstream's own check. This file asks for all of them at
//! once and reports. Exit code: 0 all is well, 1 something wants attention, 2 an endpoint cannot serve.

mod check;
mod endpoint;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use self::endpoint::Seen;
use super::finding::{self, Finding, Level};
use super::names;
use super::status::table;
use super::{complain, exit, print};
use crate::config::{self, CheckKind, Config, Paint, Upstream};
use crate::observe::reasons::with_reasons;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoints_file;
use crate::upstream::names::Book;
use crate::upstream::tls::ClientTls;

/// Endpoints looked at at once.
const AT_ONCE: usize = 32;

/// What is asked of an endpoint, and how.
struct Question<'a> {
    upstream: &'a Upstream,
    address: EndpointAddress,
    tls: Option<Arc<ClientTls>>,
    /// For a connection, and for a TLS handshake.
    patience: (Duration, Duration),
    /// `Host`; `None` is the address.
    host: Option<String>,
    path: String,
    /// Whether the path is one that has to answer well.
    is_check: bool,
}

/// What scripts get.
#[derive(Serialize)]
struct Report<'a> {
    endpoints: Vec<&'a Seen>,
    findings: Vec<&'a Finding>,
}

/// Looks at all endpoints, or those of one upstream. Gives the exit code.
pub(super) fn run(file: &Path, only: Option<&str>, json: bool) -> u8 {
    crate::tls::install_provider();
    let config = match crate::nginx::origin::read(file) {
        Ok(loaded) => loaded.config,
        Err(report) => {
            complain(&report.render(Paint::Plain));
            return exit::REFUSED;
        }
    };
    let chosen = |upstream: &&Upstream| only.is_none_or(|name| upstream.name.as_str() == name);
    let upstreams: Vec<_> = config.upstreams.values().filter(chosen).collect();
    if let Some(name) = only.filter(|_| upstreams.is_empty()) {
        complain(&format!("hubgate doctor: there is no upstream `{name}`\n"));
        return exit::REFUSED;
    }
    let mut findings = Vec::new();
    let book = names::look_up(&config.resolver, &upstreams);
    let questions: Vec<_> = upstreams
        .iter()
        .flat_map(|upstream| questions(&config, upstream, &book, &mut findings))
        .collect();
    let seen = ask(&questions);
    findings.extend(seen.iter().map(|(_, finding)| finding.clone()));
    findings.extend(
        upstreams
            .iter()
            .filter_map(|upstream| whole(upstream, &seen)),
    );
    match json {
        true => finding::print_json(
            "hubgate doctor",
            &Report {
                endpoints: seen.iter().map(|(seen, _)| seen).collect(),
                findings: findings.iter().collect(),
            },
        ),
        false => print(&told(&seen, &findings)),
    }
    finding::exit_code(&findings)
}

fn questions<'a>(
    config: &Config,
    upstream: &'a Upstream,
    book: &Book,
    findings: &mut Vec<Finding>,
) -> Vec<Question<'a>> {
    let about = format!("upstream {}", upstream.name);
    let mut sites = config.sites.iter();
    let led = sites.find_map(|site| {
        let route = site
            .routes
            .iter()
            .find(|route| route.action.upstream() == Some(&upstream.name))?;
        Some((site, route))
    });
    let tls = upstream.tls.as_ref().map(|tls| ClientTls::load(tls, None));
    let tls = match tls.transpose() {
        Ok(tls) => tls,
        Err(error) => {
            let fix = "give the files that `tls` names, readable for hubgate";
            findings.push(Finding::of(
                Level::Broken,
                &about,
                with_reasons(&error),
                fix,
            ));
            return Vec::new();
        }
    };
    let timeouts = led.map(|(_, route)| &route.timeouts);
    let patience = timeouts.map_or(
        (Duration::from_secs(5), Duration::from_secs(5)),
        |timeouts| (timeouts.connect, timeouts.tls),
    );
    let site = led.and_then(|(site, _)| site.hosts.iter().find_map(|host| host.exact()));
    let site = site.map(ToString::to_string);
    let check = upstream
        .health
        .as_ref()
        .and_then(|health| match (&health.kind, health.port) {
            (CheckKind::Http(http), None) => Some(http),
            _ => None,
        });
    let (host, path) = match (check, led) {
        (Some(check), _) => (
            check.host.as_ref().map(ToString::to_string),
            check.path.to_string(),
        ),
        (None, Some((_, route))) => (site, route.path.path().unwrap_or("/").to_owned()),
        (None, None) => (None, "/".to_owned()),
    };
    let question = |endpoint: &config::Endpoint| Question {
        upstream,
        address: endpoint.address,
        tls: tls.clone(),
        patience,
        host: host.clone(),
        path: path.clone(),
        is_check: check.is_some(),
    };
    let mut endpoints = upstream.endpoints.clone();
    for (standing, said) in names::troubles(book, upstream) {
        let found = format!("`{}`: {said}", standing.name);
        let fix = "see that the name is right and that this host's name servers know it, or name others in `[resolver]`";
        let level = match standing.addresses.is_empty() {
            true => Level::Broken,
            false => Level::Attention,
        };
        findings.push(Finding::of(level, &about, found, fix));
    }
    endpoints.extend(book.endpoints(upstream).0);
    if let Some(file) = &upstream.endpoints_file {
        match endpoints_file::read(file) {
            Ok(found) => endpoints.extend(found),
            Err(fault) => {
                let found = with_reasons(&fault);
                let fix = "have what writes the file write it whole, as the manual says, to another name, and rename it";
                findings.push(Finding::of(Level::Broken, &about, found, fix));
            }
        }
    }
    endpoints.iter().map(question).collect()
}

/// Looks at all of them, in the order of the questions.
fn ask(questions: &[Question<'_>]) -> Vec<(Seen, Finding)> {
    let next = AtomicUsize::new(0);
    let mut all: Vec<(usize, (Seen, Finding))> = std::thread::scope(|scope| {
        let work = || {
            let mut own = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(question) = questions.get(at) else {
                    return own;
                };
                own.push((at, endpoint::look(question)));
            }
        };
        let threads: Vec<_> = (0..questions.len().min(AT_ONCE))
            .map(|_| scope.spawn(work))
            .collect();
        let done = threads.into_iter().filter_map(|thread| thread.join().ok());
        done.flatten().collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, seen)| seen).collect()
}

/// Says so when an upstream has nobody left.
fn whole(upstream: &Upstream, seen: &[(Seen, Finding)]) -> Option<Finding> {
    let mut own = seen
        .iter()
        .filter(|(seen, _)| seen.upstream == upstream.name.as_str())
        .peekable();
    own.peek()?;
    own.all(|(_, finding)| finding.level == Level::Broken).then(|| {
        let about = format!("upstream {}", upstream.name);
        let found = "none of its endpoints can serve";
        let fix = "if all are right where they are, look at this host: its routes, its firewall, its name servers";
        Finding::of(Level::Broken, &about, found, fix)
    })
}

fn told(seen: &[(Seen, Finding)], findings: &[Finding]) -> String {
    let mut out = String::new();
    let time =
        |millis: Option<f64>| millis.map_or("-".to_owned(), |millis| format!("{millis:.1} ms"));
    let row = |(seen, finding): &(Seen, Finding)| {
        let state = match finding.level {
            Level::Fine => "ok",
            Level::Unknown => "unknown",
            Level::Attention => "look",
            Level::Broken => "BROKEN",
        };
        vec![
            seen.upstream.clone(),
            seen.endpoint.clone(),
            time(seen.connect_ms),
            time(seen.tls_ms),
            time(seen.answer_ms),
            seen.status
                .map_or("-".to_owned(), |status| status.to_string()),
            state.to_owned(),
        ]
    };
    let head = [
        "UPSTREAM", "ENDPOINT", "CONNECT", "TLS", "ANSWER", "STATUS", "STATE",
    ];
    table(&mut out, &head, seen.iter().map(row).collect());
    out.push('\n');
    out.push_str(&finding::told(findings));
    out.trim_start().to_owned()
}
