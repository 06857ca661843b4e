//! The status page: one HTML document without scripts or other files, for a person with a browser and a tunnel.
//!
//! Pure. Everything from the configuration is escaped here, though the configuration is the operator's own.
#![deny(clippy::disallowed_methods)]

use std::fmt::{Display, Write};
use std::time::Duration;

use super::open::OpenConnections;
use super::status::{CertificateStatus, SiteStatus, StatusReport, UpstreamStatus};
use crate::types::amount::{ByteSize, format_duration};

const STYLE: &str = include_str!("page.css");
/// Below this many days a certificate is shown as a worry; renewal should have happened long before.
const WORRY_DAYS: i64 = 14;
/// Below this many it is shown as an emergency.
const ALARM_DAYS: i64 = 3;

/// The page for `report`; it loads itself again every five seconds.
pub(super) fn render(report: &StatusReport) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.add(format_args!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta http-equiv=refresh content=5>\
         <meta name=viewport content=\"width=device-width\"><title>hubgate</title><style>{STYLE}</style></head><body>"
    ));
    header(&mut page, report);
    figures(&mut page, report);
    sites(&mut page, &report.status.sites);
    upstreams(&mut page, report);
    certificates(&mut page, &report.status.certificates, report.now);
    causes(&mut page, report);
    page.raw("<footer><a href=status>status as JSON</a> <a href=metrics>metrics</a></footer></body></html>\n");
    page.0
}

fn header(page: &mut Page, report: &StatusReport) {
    let state = if report.status.draining {
        "stopping"
    } else {
        "serving"
    };
    page.add(format_args!(
        "<header><h1>hubgate</h1><span class=\"state {state}\">{state}</span><p>version {} · generation {} of {} · \
         up {} · process {}</p><p>",
        Escaped(&report.version),
        report.status.generation,
        Escaped(&report.status.config_file),
        format_duration(Duration::from_secs(report.uptime())),
        report.pid
    ));
    for listener in &report.status.listeners {
        page.add(format_args!(
            "<code>{} {}</code> ",
            Escaped(&listener.kind),
            Escaped(&listener.address)
        ));
    }
    page.raw("</p>");
    if let Some(file) = &report.status.tls_key_log {
        page.add(format_args!(
            "<p class=\"state stopping\">The secrets of all TLS connections are written to {}</p>",
            Escaped(file)
        ));
    }
    for before in &report.open.predecessors {
        let open = before.open.as_ref().map_or(0, OpenConnections::count);
        page.add(format_args!(
            "<p>process {}, before this one, still has {open} open</p>",
            before.pid
        ));
    }
    page.raw("</header>");
}

fn figures(page: &mut Page, report: &StatusReport) {
    let traffic = &report.traffic;
    page.raw("<section class=figures>");
    for (figure, label, detail) in [
        (
            traffic.connections_open,
            "connections",
            format!("{} accepted", traffic.connections_accepted),
        ),
        (
            traffic.requests_in_flight,
            "requests in flight",
            format!("{} finished", traffic.requests),
        ),
        (
            traffic.tunnels_open,
            "tunnels",
            format!("{} opened", traffic.tunnels_opened),
        ),
    ] {
        page.add(format_args!(
            "<div><b>{figure}</b><span>{label}</span><small>{detail}</small></div>"
        ));
    }
    page.add(format_args!(
        "<div><b>{}</b><span>sent</span><small>{} received</small></div>",
        rounded(traffic.bytes_out),
        rounded(traffic.bytes_in)
    ));
    page.raw("</section>");
    if traffic.access_log_lines_dropped > 0 {
        page.add(format_args!(
            "<p class=alarm>{} access log lines were lost: their file or pipe is too slow or refuses them.</p>",
            traffic.access_log_lines_dropped
        ));
    }
}

fn sites(page: &mut Page, sites: &[SiteStatus]) {
    page.raw("<h2>Sites</h2><table><tr><th>hosts<th>certificate<th>plain HTTP<th>path<th>upstream<th>preset");
    for site in sites {
        let rows = site.routes.len().max(1);
        page.add(format_args!("<tr><td rowspan={rows}>"));
        for host in &site.hosts {
            page.add(format_args!("{}<br>", Escaped(host)));
        }
        if site.default {
            page.raw("<small>default</small>");
        }
        for text in [&site.certificate, &site.http] {
            page.add(format_args!("<td rowspan={rows}>{}", Escaped(text)));
        }
        for (index, route) in site.routes.iter().enumerate() {
            page.raw(if index > 0 { "<tr>" } else { "" });
            let preset = route.preset.as_deref().unwrap_or("");
            page.add(format_args!(
                "<td><code>{}</code><td>{}<td>{}",
                Escaped(&route.path),
                Escaped(&route.upstream),
                Escaped(preset)
            ));
        }
        page.raw(if site.routes.is_empty() {
            "<td colspan=3><small>no routes</small>"
        } else {
            ""
        });
    }
    page.raw("</table>");
}

fn upstreams(page: &mut Page, report: &StatusReport) {
    page.raw("<h2>Upstreams</h2><table><tr><th>name<th>endpoint<th>state<th>in flight<th>");
    for upstream in &report.status.upstreams {
        let rows = upstream.endpoints.len().max(1);
        let note = match upstream.fails_open {
            true => "<br><span class=\"alarm\">all down, all are tried</span>",
            false => "",
        };
        page.add(format_args!(
            "<tr><td rowspan={rows}>{}{note}",
            Escaped(&upstream.name)
        ));
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            page.raw(if index > 0 { "<tr>" } else { "" });
            let class = if endpoint.state == "down" {
                "alarm"
            } else {
                ""
            };
            page.add(format_args!(
                "<td><code>{}</code>{}<td class=\"{class}\">{}<td>{}<td>{}",
                Escaped(&endpoint.address),
                if endpoint.backup { " (backup)" } else { "" },
                Escaped(&endpoint.state),
                endpoint.in_flight,
                Escaped(endpoint.reason.as_deref().unwrap_or("")),
            ));
        }
    }
    page.raw("</table>");
    names(page, &report.status.upstreams);
}

fn names(page: &mut Page, upstreams: &[UpstreamStatus]) {
    let names = |upstream: &'_ UpstreamStatus| !upstream.names.is_empty();
    if !upstreams.iter().any(names) {
        return;
    }
    page.raw("<h2>Names</h2><table><tr><th>upstream<th>name<th>addresses<th>age in seconds<th>");
    for upstream in upstreams {
        for name in &upstream.names {
            let age = name.age.map_or("never".to_owned(), |age| age.to_string());
            page.add(format_args!(
                "<tr><td>{}<td><code>{}</code><td>{}<td>{age}<td class=\"alarm\">{}",
                Escaped(&upstream.name),
                Escaped(&name.name),
                name.addresses.len(),
                Escaped(name.error.as_deref().unwrap_or("")),
            ));
        }
    }
    page.raw("</table>");
}

fn certificates(page: &mut Page, certificates: &[CertificateStatus], now: i64) {
    if certificates.is_empty() {
        return;
    }
    page.raw("<h2>Certificates</h2><table><tr><th>host<th>source<th>days left<th>");
    for certificate in certificates {
        let days = certificate.days_left(now);
        let class = match days {
            Some(days) if days < ALARM_DAYS => "alarm",
            Some(days) if days < WORRY_DAYS => "worry",
            _ => "",
        };
        page.add(format_args!(
            "<tr><td>{}<td>{}<td class=\"{class}\">{}<td>{}",
            Escaped(&certificate.host),
            Escaped(&certificate.source),
            days.map_or("unknown".to_owned(), |days| days.to_string()),
            Escaped(certificate.trouble.as_deref().unwrap_or(""))
        ));
    }
    page.raw("</table>");
}

fn causes(page: &mut Page, report: &StatusReport) {
    if report.traffic.causes.is_empty() {
        return;
    }
    page.raw("<h2>Answers made here</h2><table><tr><th>cause<th>count");
    for (cause, count) in &report.traffic.causes {
        page.add(format_args!(
            "<tr><td><code>{}</code><td>{count}",
            Escaped(cause)
        ));
    }
    page.raw("</table>");
}

/// Bytes in the largest unit of which there is at least one, for a glance.
fn rounded(bytes: u64) -> ByteSize {
    let step = match bytes {
        0..0x400 => 1,
        0x400..0x10_0000 => 1 << 10,
        0x10_0000..0x4000_0000 => 1 << 20,
        _ => 1 << 30,
    };
    ByteSize(bytes / step * step)
}

struct Page(String);

impl Page {
    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        let written = self.0.write_fmt(text);
        debug_assert!(written.is_ok(), "a String takes every write");
    }
}

/// Prints text so that it is text in HTML, inside quoted attributes too.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::admin::StillOpen;
    use crate::admin::status::{RouteStatus, Status};
    use crate::observe::metrics::Metrics;

    fn report(status: Status) -> StatusReport {
        StatusReport::new(
            status,
            &Metrics::new(),
            StillOpen::default(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        )
    }

    #[test]
    fn text_of_the_configuration_cannot_become_markup() {
        let site = SiteStatus {
            name: String::new(),
            hosts: vec!["a.example".to_owned()],
            default: true,
            certificate: "acme".to_owned(),
            http: "redirect".to_owned(),
            routes: vec![RouteStatus {
                path: "/<script>\"&'".to_owned(),
                upstream: "hub".to_owned(),
                preset: None,
            }],
        };
        let page = render(&report(Status {
            sites: vec![site],
            ..Status::default()
        }));
        assert!(
            page.contains("/&lt;script&gt;&quot;&amp;&#39;") && !page.contains("<script"),
            "{page}"
        );
    }

    #[test]
    fn a_certificate_about_to_expire_stands_out() {
        let certificate = |days: i64| CertificateStatus {
            host: "a.example".to_owned(),
            source: "acme".to_owned(),
            not_after: Some(1_800_000_000 + days * 86_400),
            trouble: None,
            ..CertificateStatus::default()
        };
        for (days, class) in [(2, "alarm"), (10, "worry"), (60, "")] {
            let page = render(&report(Status {
                certificates: vec![certificate(days)],
                ..Status::default()
            }));
            assert!(
                page.contains(&format!("<td class=\"{class}\">{days}")),
                "{days}"
            );
        }
    }
}
