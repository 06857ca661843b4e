//! Prints the metrics in Prometheus' text format, version 0.0.4. Every metric's name is in this file, `acme` or
//! `upstreams`.
//!
//! Invariant: every series is there from the start with 0, so that a rate over its first event is right.

use std::fmt::{Display, Write};
use std::sync::PoisonError;
use std::time::UNIX_EPOCH;

use super::{CLASSES, LISTENERS, Metrics, PROTOCOLS, upstreams};
use crate::observe::cause::Cause;
use crate::observe::count::Counter;

impl Metrics {
    /// All of it in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut page = Page(String::with_capacity(12 * 1024));
        self.render_process(&mut page);
        self.acme
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .render(&mut page);
        self.render_clients(&mut page);
        self.render_requests(&mut page);
        self.render_streams(&mut page);
        self.render_upstreams(&mut page);
        let upstreams = self.upstreams.lock();
        upstreams::render(
            &upstreams.unwrap_or_else(PoisonError::into_inner),
            &mut page,
        );
        page.0
    }

    fn render_process(&self, page: &mut Page) {
        page.gauge("build_info", "The version that runs; always 1.");
        page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.gauge(
            "start_time_seconds",
            "When the process started, in seconds since 1970.",
        );
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.sample("start_time_seconds", &[], started.as_secs());
        page.gauge(
            "config_generation",
            "Number of the running configuration; 1 is the one at start.",
        );
        page.sample("config_generation", &[], self.config_generation.get());
        page.results(
            "reloads_total",
            "Reloads asked for, by result.",
            &[
                ("done", &self.reloads_done),
                ("refused", &self.reloads_refused),
            ],
        );
        page.results(
            "upgrades_total",
            "Binary upgrades asked for, by result.",
            &[
                ("done", &self.upgrades_done),
                ("refused", &self.upgrades_refused),
            ],
        );
        page.results(
            "access_log_lines_total",
            "Access log lines, by what became of them.",
            &[
                ("written", &self.access_log_lines.written),
                ("dropped", &self.access_log_lines.dropped),
            ],
        );
        page.results(
            "log_lines_total",
            "Event log lines, by what became of them.",
            &[
                ("written", &self.log_lines.written),
                ("dropped", &self.log_lines.dropped),
            ],
        );
        page.counter("panics_total", "Tasks ended by a defect in hubgate.");
        page.sample("panics_total", &[], self.panics.get());
        page.gauge(
            "certificate_not_after_seconds",
            "End of a certificate's validity, in seconds since 1970.",
        );
        let certificates = self.certificates.lock();
        let certificates = certificates.unwrap_or_else(PoisonError::into_inner);
        for (host, facts) in &*certificates {
            page.sample(
                "certificate_not_after_seconds",
                &[("host", host)],
                facts.not_after,
            );
        }
        page.gauge(
            "certificate_not_before_seconds",
            "Beginning of a certificate's validity, in seconds since 1970.",
        );
        for (host, facts) in &*certificates {
            page.sample(
                "certificate_not_before_seconds",
                &[("host", host)],
                facts.not_before,
            );
        }
        page.gauge(
            "certificate_served_as_kept",
            "Whether a handshake with ourselves was shown the certificate that is kept (1) or another or none (0).",
        );
        for (host, facts) in &*certificates {
            if let Some(as_kept) = facts.served_as_kept {
                page.sample(
                    "certificate_served_as_kept",
                    &[("host", host)],
                    u8::from(as_kept),
                );
            }
        }
    }

    fn render_clients(&self, page: &mut Page) {
        page.counter("connections_accepted_total", "Client connections accepted.");
        for (label, counter) in LISTENERS.iter().zip(&self.connections_accepted) {
            page.sample(
                "connections_accepted_total",
                &[("listener", label)],
                counter.get(),
            );
        }
        page.gauge("connections_open", "Client connections open now.");
        for (label, gauge) in LISTENERS.iter().zip(&self.connections_open) {
            page.sample("connections_open", &[("listener", label)], gauge.get());
        }
        page.counter(
            "connections_refused_total",
            "Client connections closed at once, by the limit that was reached.",
        );
        for (label, counter) in [
            ("connections", &self.connections_refused_total_cap),
            (
                "connections_per_client",
                &self.connections_refused_client_cap,
            ),
        ] {
            page.sample(
                "connections_refused_total",
                &[("limit", label)],
                counter.get(),
            );
        }
        page.counter(
            "accepts_failed_total",
            "Accepts that failed because the system had no descriptor or memory left.",
        );
        page.sample("accepts_failed_total", &[], self.accepts_failed.get());
        let headers = &self.proxy_headers;
        page.results(
            "proxy_headers_total",
            "Connections where a PROXY header was expected, by what came of it.",
            &[
                ("taken", &headers.taken),
                ("absent", &headers.absent),
                ("missing", &headers.missing),
                ("untrusted", &headers.untrusted),
                ("malformed", &headers.malformed),
                ("too_long", &headers.too_long),
                ("timed_out", &headers.timed_out),
            ],
        );
        page.results(
            "tls_handshakes_total",
            "TLS handshakes with clients, by result.",
            &[
                ("done", &self.tls_handshakes_done),
                ("failed", &self.tls_handshakes_failed),
                ("timed_out", &self.tls_handshakes_timed_out),
            ],
        );
        let refused = &self.tls_refused;
        page.results(
            "tls_refused_total",
            "TLS handshakes that failed, by why: not TLS at all, malformed, no server name or one that is not served, nothing in common, refused by the client, left by it.",
            &[
                ("not_tls", &refused.not_tls),
                ("malformed", &refused.malformed),
                ("no_name", &refused.no_name),
                ("unknown_name", &refused.unknown_name),
                ("no_agreement", &refused.no_agreement),
                ("by_client", &refused.by_client),
                ("left", &refused.left),
            ],
        );
    }

    fn render_requests(&self, page: &mut Page) {
        page.counter(
            "requests_total",
            "Requests finished, by protocol and class of status.",
        );
        for (protocol, classes) in PROTOCOLS.iter().zip(&self.requests) {
            for (class, counter) in CLASSES.iter().zip(classes) {
                page.sample(
                    "requests_total",
                    &[("protocol", protocol), ("class", class)],
                    counter.get(),
                );
            }
        }
        page.gauge(
            "requests_in_flight",
            "Requests being handled now, tunnels left out.",
        );
        page.sample("requests_in_flight", &[], self.requests_in_flight.get());
        page.counter(
            "answers_total",
            "Answers made by hubgate itself and requests that did not end as they should, by cause.",
        );
        for cause in Cause::all() {
            page.sample(
                "answers_total",
                &[("cause", cause.code())],
                self.answers(cause),
            );
        }
        page.directions(
            "body_bytes_total",
            "Bytes of bodies from (in) and to (out) clients.",
            &self.body_bytes_in,
            &self.body_bytes_out,
        );
        page.counter(
            "tunnels_opened_total",
            "Tunnels (WebSockets and other upgrades) opened.",
        );
        page.sample("tunnels_opened_total", &[], self.tunnels_opened.get());
        page.gauge("tunnels_open", "Tunnels open now.");
        page.sample("tunnels_open", &[], self.tunnels_open.get());
        page.directions(
            "tunnel_bytes_total",
            "Bytes through tunnels from (in) and to (out) clients.",
            &self.tunnel_bytes_in,
            &self.tunnel_bytes_out,
        );
    }

    fn render_streams(&self, page: &mut Page) {
        page.results(
            "streams_total",
            "Connections to be passed on unopened, by whether a stream takes them.",
            &[
                ("opened", &self.streams_opened),
                ("refused", &self.streams_refused),
            ],
        );
        page.gauge("streams_open", "Connections being passed on now.");
        page.sample("streams_open", &[], self.streams_open.get());
        page.directions(
            "stream_bytes_total",
            "Bytes passed on unopened from (in) and to (out) clients.",
            &self.stream_bytes_in,
            &self.stream_bytes_out,
        );
        page.directions(
            "datagrams_total",
            "Datagrams of sessions that are over, from (in) and to (out) clients.",
            &self.datagrams_in,
            &self.datagrams_out,
        );
        page.results(
            "datagrams_dropped_total",
            "Datagrams that were dropped: of no session and without room for one, or not taken by the system.",
            &[
                ("refused", &self.datagrams_refused),
                ("lost", &self.datagrams_lost),
            ],
        );
    }

    fn render_upstreams(&self, page: &mut Page) {
        page.results(
            "upstream_connections_total",
            "Connections for requests to upstreams, by how they were had.",
            &[
                ("opened", &self.upstream_connections_opened),
                ("reused", &self.upstream_connections_reused),
                ("failed", &self.upstream_connections_failed),
                ("timed_out", &self.upstream_connections_timed_out),
                ("untrusted", &self.upstream_connections_untrusted),
            ],
        );
        for (name, help, counter) in [
            (
                "upstream_retries_total",
                "Requests sent a second time after a reused connection or an endpoint failed.",
                &self.upstream_retries,
            ),
            (
                "upstream_retries_unaffordable_total",
                "Requests that were not sent a second time because the retry budget was spent.",
                &self.upstream_retries_unaffordable,
            ),
            (
                "upstream_requests_queued_total",
                "Requests that waited for max_connections or max_in_flight.",
                &self.upstream_requests_queued,
            ),
            (
                "upstream_circuits_opened_total",
                "How often the circuit of an upstream opened.",
                &self.upstream_circuits_opened,
            ),
        ] {
            page.counter(name, help);
            page.sample(name, &[], counter.get());
        }
    }
}

/// The text being made; `hubgate_` is put before each name here.
pub(super) struct Page(String);

impl Page {
    pub(super) fn counter(&mut self, name: &str, help: &str) {
        self.head(name, "counter", help);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, "gauge", help);
    }

    pub(super) fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!(
            "# HELP hubgate_{name} {help}\n# TYPE hubgate_{name} {kind}\n"
        ));
    }

    fn results(&mut self, name: &str, help: &str, rows: &[(&str, &Counter)]) {
        self.counter(name, help);
        for (result, counter) in rows {
            self.sample(name, &[("result", result)], counter.get());
        }
    }

    fn directions(&mut self, name: &str, help: &str, inward: &Counter, outward: &Counter) {
        self.counter(name, help);
        self.sample(name, &[("direction", "in")], inward.get());
        self.sample(name, &[("direction", "out")], outward.get());
    }

    /// Label values here are our own codes and host patterns; neither can hold a quote, a backslash or a line end.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.line(format_args!("hubgate_{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            self.line(format_args!(
                "{}{label}=\"{text}\"",
                if index == 0 { '{' } else { ',' }
            ));
        }
        self.line(format_args!(
            "{} {value}\n",
            if labels.is_empty() { "" } else { "}" }
        ));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let written = self.0.write_fmt(text);
        debug_assert!(written.is_ok(), "a String takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::CertificateFacts;
    use crate::observe::metrics::{ListenerKind, Protocol};

    #[test]
    fn every_cause_is_on_the_page_before_it_happened() {
        let page = Metrics::new().render();
        for cause in Cause::all() {
            assert!(
                page.contains(&format!("hubgate_answers_total{{cause=\"{cause}\"}} 0\n")),
                "{cause}"
            );
        }
    }

    #[test]
    fn every_sample_belongs_to_the_family_announced_before_it() {
        let metrics = Metrics::new();
        let facts = CertificateFacts {
            not_before: 1_700_000_000,
            not_after: 1_800_000_000,
            served_as_kept: Some(true),
        };
        metrics.set_certificates([("*.example.org".to_owned(), facts)]);
        let page = metrics.render();
        let mut family = String::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap().to_owned();
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                let of_histogram = name.strip_prefix(&family);
                assert!(
                    matches!(of_histogram, Some("" | "_bucket" | "_sum" | "_count")),
                    "{name} in {family}"
                );
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(page.contains(
            "hubgate_certificate_not_after_seconds{host=\"*.example.org\"} 1800000000\n"
        ));
    }

    #[test]
    fn a_dropped_guard_closes_its_own_connection_only() {
        let metrics = Metrics::new();
        let http = metrics.connection_opened(ListenerKind::Http);
        let https = metrics.connection_opened(ListenerKind::Https);
        drop(http);
        let page = metrics.render();
        assert!(page.contains("hubgate_connections_open{listener=\"http\"} 0\n"));
        assert!(page.contains("hubgate_connections_open{listener=\"https\"} 1\n"));
        assert_eq!(metrics.connections_accepted(), 2);
        drop(https);
        assert_eq!(metrics.connections_open(), 0);
    }

    #[test]
    fn a_status_out_of_range_counts_as_a_server_error() {
        let metrics = Metrics::new();
        metrics.request_finished(Protocol::H2, 0);
        metrics.request_finished(Protocol::H2, 700);
        assert!(
            metrics
                .render()
                .contains("hubgate_requests_total{protocol=\"h2\",class=\"5xx\"} 2\n")
        );
    }
}
