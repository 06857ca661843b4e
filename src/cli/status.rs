//! `hubgate status`: what the running process does, as a table for a person or as JSON for a script.
//!
//! Shows what `GET /status` told; decides nothing but the layout.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{Door, client, complain, exit, open, print};
use crate::admin::{EndpointStatus, NameStatus, SiteStatus, StatusReport, UpstreamStatus};
use crate::types::amount::format_duration;

/// Prints the status, with so many open connections one by one. Gives the exit code.
pub(super) fn run(door: &Door, json: bool, listed: Option<usize>) -> u8 {
    let most = listed.unwrap_or(if json { 0 } else { open::USUAL });
    let target = match most {
        0 => "/status".to_owned(),
        most => format!("/status?open={most}"),
    };
    let answer = match client::ask(door, Method::GET, &target) {
        Ok(answer) => answer,
        Err(failure) => {
            complain(&format!("hubgate status: {}", failure.text));
            return failure.code;
        }
    };
    if answer.status != StatusCode::OK {
        let body = answer.body.trim_end();
        complain(&format!(
            "hubgate status: the process answered {}: {body}\n",
            answer.status
        ));
        return exit::UNREACHABLE;
    }
    if json {
        print(&answer.body);
        return exit::OK;
    }
    match serde_json::from_str(&answer.body) {
        Ok(report) => {
            print(&told(&report));
            print(&open::tables(
                &report,
                listed.is_some() || report.status.draining,
            ));
            exit::OK
        }
        Err(error) => {
            complain(&format!(
                "hubgate status: the running hubgate is of another version and answers in a form that is not known here: \
                 {error}\n  `hubgate status --json` prints it as it is\n"
            ));
            exit::UNREACHABLE
        }
    }
}

/// A table of all endpoints.
pub(super) fn upstreams(upstreams: &[UpstreamStatus]) -> String {
    let mut out = String::new();
    table(
        &mut out,
        &["UPSTREAM", "ENDPOINT", "STATE", "IN FLIGHT", "REASON"],
        upstreams.iter().flat_map(upstream_rows).collect(),
    );
    let head = [
        "UPSTREAM",
        "REQUESTS",
        "IN FLIGHT",
        "WAITING",
        "RETRIES LEFT",
        "CIRCUIT",
    ];
    table(&mut out, &head, upstreams.iter().map(load_row).collect());
    let names = upstreams.iter().flat_map(name_rows).collect();
    let head = ["UPSTREAM", "NAME", "ADDRESSES", "AGE", "LAST ERROR"];
    table(&mut out, &head, names);
    out
}

fn told(report: &StatusReport) -> String {
    let status = &report.status;
    let traffic = &report.traffic;
    let mut out = format!(
        "hubgate {} {}, up {}, process {}\nconfiguration  generation {} of {}\n",
        report.version,
        match (status.draining, status.ends_in) {
            (true, Some(left)) => format!("is stopping, within {left} s"),
            (true, None) => "is stopping".to_owned(),
            (false, _) => "serves".to_owned(),
        },
        format_duration(Duration::from_secs(report.uptime())),
        report.pid,
        status.generation,
        status.config_file,
    );
    if let Some(file) = &status.tls_key_log {
        out.push_str(&format!(
            "WARNING        the secrets of all TLS connections are written to {file}\n"
        ));
    }
    let listeners = status
        .listeners
        .iter()
        .map(|listener| format!("{} {}", listener.kind, listener.address));
    for (label, text) in [
        ("listeners", listeners.collect::<Vec<_>>().join(", ")),
        (
            "connections",
            format!(
                "{} open, {} accepted; {}",
                traffic.connections_open,
                traffic.connections_accepted,
                open::kinds(&report.open.open)
            ),
        ),
        (
            "requests",
            format!(
                "{} in flight, {} finished",
                traffic.requests_in_flight, traffic.requests
            ),
        ),
        (
            "tunnels",
            format!(
                "{} open, {} opened",
                traffic.tunnels_open, traffic.tunnels_opened
            ),
        ),
        (
            "bytes",
            format!("{} received, {} sent", traffic.bytes_in, traffic.bytes_out),
        ),
    ] {
        out.push_str(&format!("{label:<13}  {text}\n"));
    }
    out.push_str(&open::before(report));
    if traffic.access_log_lines_dropped > 0 {
        out.push_str(&format!(
            "access log     {} lines lost\n",
            traffic.access_log_lines_dropped
        ));
    }
    table(
        &mut out,
        &[
            "SITE",
            "CERTIFICATE",
            "PLAIN HTTP",
            "PATH",
            "UPSTREAM",
            "PRESET",
        ],
        site_rows(&status.sites),
    );
    out.push_str(&upstreams(&status.upstreams));
    table(
        &mut out,
        &["CERTIFICATE FOR", "SOURCE", "DAYS LEFT", "TROUBLE"],
        certificate_rows(report),
    );
    let causes = traffic
        .causes
        .iter()
        .map(|(cause, count)| vec![cause.clone(), count.to_string()]);
    table(&mut out, &["ANSWERED HERE", "COUNT"], causes.collect());
    out
}

/// One row per route; the site's own columns stand in its first.
fn upstream_rows(upstream: &UpstreamStatus) -> Vec<Vec<String>> {
    let row = |endpoint: &EndpointStatus| {
        let name = match upstream.fails_open {
            true => format!("{} (all down, all are tried)", upstream.name),
            false => upstream.name.clone(),
        };
        let state = match endpoint.backup {
            true => format!("{} (backup)", endpoint.state),
            false => endpoint.state.clone(),
        };
        vec![
            name,
            endpoint.address.clone(),
            state,
            endpoint.in_flight.to_string(),
            endpoint.reason.clone().unwrap_or_default(),
        ]
    };
    upstream.endpoints.iter().map(row).collect()
}

/// What an upstream gets, beside how much it may get.
fn load_row(upstream: &UpstreamStatus) -> Vec<String> {
    let of = |number: u64, most: Option<usize>| match most {
        Some(most) => format!("{number} of {most}"),
        None => number.to_string(),
    };
    let queue = Some(upstream.queue).filter(|queue| *queue > 0);
    let circuit = match (&upstream.circuit, upstream.circuit_tries_in) {
        (Some(circuit), Some(wait)) => format!("{circuit}, tries again in {wait} s"),
        (Some(circuit), None) => circuit.clone(),
        (None, _) => "-".to_owned(),
    };
    vec![
        upstream.name.clone(),
        upstream.requests.to_string(),
        of(upstream.in_flight, upstream.max_in_flight),
        of(upstream.waiting as u64, queue),
        upstream.retries_left.to_string(),
        circuit,
    ]
}

fn name_rows(upstream: &UpstreamStatus) -> Vec<Vec<String>> {
    let row = |name: &NameStatus| {
        let age = name.age.map(Duration::from_secs);
        vec![
            upstream.name.clone(),
            name.name.clone(),
            name.addresses.len().to_string(),
            age.map_or("never".to_owned(), format_duration),
            name.error.clone().unwrap_or_default(),
        ]
    };
    upstream.names.iter().map(row).collect()
}

fn site_rows(sites: &[SiteStatus]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for site in sites {
        let mut hosts = site.hosts.join(" ");
        if site.default {
            hosts.push_str(" (default)");
        }
        let mut own = vec![hosts, site.certificate.clone(), site.http.clone()];
        for route in &site.routes {
            let mut row = std::mem::replace(&mut own, vec![String::new(); 3]);
            row.extend([
                route.path.clone(),
                route.upstream.clone(),
                route.preset.clone().unwrap_or_default(),
            ]);
            rows.push(row);
        }
        if site.routes.is_empty() {
            rows.push(own);
        }
    }
    rows
}

fn certificate_rows(report: &StatusReport) -> Vec<Vec<String>> {
    let row = |certificate: &crate::admin::CertificateStatus| {
        let days = certificate.days_left(report.now);
        vec![
            certificate.host.clone(),
            certificate.source.clone(),
            days.map_or("unknown".to_owned(), |days| days.to_string()),
            certificate.trouble.clone().unwrap_or_default(),
        ]
    };
    report.status.certificates.iter().map(row).collect()
}

/// Appends `rows` in columns under `head`; nothing when there are none.
pub(super) fn table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let head = head.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    out.push('\n');
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::admin::{RouteStatus, Status, StillOpen};
    use crate::observe::metrics::Metrics;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = String::new();
        table(
            &mut out,
            &["A", "B"],
            vec![
                vec!["größer".to_owned(), "x".to_owned()],
                vec!["y".to_owned()],
            ],
        );
        assert_eq!(out, "\nA       B\ngrößer  x\ny\n");
    }

    #[test]
    fn a_site_is_named_once_however_many_routes_it_has() {
        let route = |path: &str| RouteStatus {
            path: path.to_owned(),
            upstream: "hub".to_owned(),
            preset: None,
        };
        let site = SiteStatus {
            name: "a.example".to_owned(),
            hosts: vec!["a.example".to_owned()],
            default: false,
            certificate: "acme".to_owned(),
            http: "redirect".to_owned(),
            routes: vec![route("/x/"), route("/y/")],
        };
        let status = Status {
            sites: vec![site],
            ..Status::default()
        };
        let text = told(&StatusReport::new(
            status,
            &Metrics::new(),
            StillOpen::default(),
            SystemTime::now(),
        ));
        assert_eq!(text.matches("a.example").count(), 1, "{text}");
        assert!(text.contains("/x/") && text.contains("/y/"), "{text}");
    }
}
