//! What is known of upstreams and their endpoints, and how it is printed.
//!
//! Handed in whole when the page is asked for; nothing here counts. Names of upstreams and addresses cannot hold what
//! would end a label.

use super::page::Page;

/// An upstream at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamFacts {
    /// Its name.
    pub name: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointFacts>,
    /// The names among them.
    pub names: Vec<NameFacts>,
    /// Requests so far.
    pub requests: u64,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// How many of the recent requests may still be sent a second time.
    pub retries_left: u64,
    /// `closed`, `half-open` or `open`; `None` where there is none.
    pub circuit: Option<&'static str>,
    /// Endpoints ejected so far.
    pub ejections: u64,
    /// Requests that were sent although no endpoint was up.
    pub fail_open: u64,
    /// Health checks that were passed.
    pub checks_passed: u64,
    /// Health checks that were not.
    pub checks_failed: u64,
}

/// A name that endpoints are configured by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFacts {
    /// As it is configured.
    pub name: String,
    /// How many addresses it stands for.
    pub addresses: usize,
    /// Seconds since the last good answer, if there was one.
    pub age: Option<u64>,
    /// Whether the last look-up gave no good answer.
    pub failing: bool,
}

/// One of its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointFacts {
    /// Its address.
    pub address: String,
    /// Whether it takes part.
    pub up: bool,
    /// Requests and tunnels that are with it.
    pub in_flight: u32,
}

type Count = fn(&UpstreamFacts) -> u64;

pub(super) fn render(upstreams: &[UpstreamFacts], page: &mut Page) {
    page.gauge(
        "upstream_endpoint_up",
        "Whether the endpoint takes part: not resting, ejected, failed by checks, draining or disabled.",
    );
    each_endpoint(upstreams, page, "upstream_endpoint_up", |one| {
        u32::from(one.up)
    });
    page.gauge(
        "upstream_endpoint_in_flight",
        "Requests and tunnels that are with the endpoint now.",
    );
    each_endpoint(upstreams, page, "upstream_endpoint_in_flight", |one| {
        one.in_flight
    });
    names(upstreams, page);
    circuits(upstreams, page);
    let gauges: [(&str, &str, Count); 2] = [
        (
            "upstream_waiting",
            "Requests that wait for their turn at the upstream now.",
            |upstream| upstream.waiting as u64,
        ),
        (
            "upstream_retries_left",
            "How many of the upstream's recent requests may still be sent a second time.",
            |upstream| upstream.retries_left,
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help);
        each(upstreams, name, value, page);
    }
    page.counter("upstream_checks_total", "Health checks made, by result.");
    for upstream in upstreams {
        for (result, count) in [
            ("passed", upstream.checks_passed),
            ("failed", upstream.checks_failed),
        ] {
            let labels = [("upstream", &*upstream.name), ("result", result)];
            page.sample("upstream_checks_total", &labels, count);
        }
    }
    let counts: [(&str, &str, Count); 3] = [
        (
            "upstream_requests_total",
            "Requests for the upstream.",
            |upstream| upstream.requests,
        ),
        (
            "upstream_ejections_total",
            "Endpoints ejected because of what requests met there.",
            |upstream| upstream.ejections,
        ),
        (
            "upstream_fail_open_total",
            "Requests sent to an endpoint that was out, because all were.",
            |upstream| upstream.fail_open,
        ),
    ];
    for (name, help, count) in counts {
        page.counter(name, help);
        each(upstreams, name, count, page);
    }
}

/// One sample per upstream.
fn each(upstreams: &[UpstreamFacts], name: &str, value: Count, page: &mut Page) {
    for upstream in upstreams {
        page.sample(name, &[("upstream", &upstream.name)], value(upstream));
    }
}

fn circuits(upstreams: &[UpstreamFacts], page: &mut Page) {
    let circuits = upstreams
        .iter()
        .filter_map(|one| Some((&*one.name, one.circuit?)));
    let mut circuits = circuits.peekable();
    if circuits.peek().is_none() {
        return;
    }
    page.gauge(
        "upstream_circuit",
        "1 for the state that the upstream's circuit is in, 0 for the others.",
    );
    for (upstream, circuit) in circuits {
        for state in ["closed", "half-open", "open"] {
            let labels = [("upstream", upstream), ("state", state)];
            page.sample("upstream_circuit", &labels, u8::from(state == circuit));
        }
    }
}

fn names(upstreams: &[UpstreamFacts], page: &mut Page) {
    type Value = fn(&NameFacts) -> Option<u64>;
    let values: [(&str, &str, Value); 3] = [
        (
            "upstream_name_addresses",
            "Endpoints that the name stands for.",
            |name| u64::try_from(name.addresses).ok(),
        ),
        (
            "upstream_name_age_seconds",
            "Time since name servers gave the last good answer.",
            |name| name.age,
        ),
        (
            "upstream_name_failing",
            "Whether the last look-up of the name gave no good answer.",
            |name| Some(name.failing.into()),
        ),
    ];
    if upstreams.iter().all(|upstream| upstream.names.is_empty()) {
        return;
    }
    for (metric, help, value) in values {
        page.gauge(metric, help);
        for upstream in upstreams {
            for name in &upstream.names {
                let labels = [("upstream", &*upstream.name), ("name", &name.name)];
                if let Some(value) = value(name) {
                    page.sample(metric, &labels, value);
                }
            }
        }
    }
}

fn each_endpoint(
    upstreams: &[UpstreamFacts],
    page: &mut Page,
    name: &str,
    value: impl Fn(&EndpointFacts) -> u32,
) {
    for upstream in upstreams {
        for endpoint in &upstream.endpoints {
            let labels = [
                ("upstream", &*upstream.name),
                ("endpoint", &endpoint.address),
            ];
            page.sample(name, &labels, value(endpoint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Metrics;

    #[test]
    fn an_endpoint_that_is_out_is_on_the_page_with_0() {
        let metrics = Metrics::new();
        let endpoint = |port: u16, up| EndpointFacts {
            address: format!("192.0.2.1:{port}"),
            up,
            in_flight: 7,
        };
        metrics.set_upstreams(vec![UpstreamFacts {
            name: "hub".to_owned(),
            endpoints: vec![endpoint(80, true), endpoint(81, false)],
            fail_open: 3,
            waiting: 4,
            circuit: Some("half-open"),
            names: vec![NameFacts {
                name: "hub.internal:80".to_owned(),
                addresses: 2,
                age: Some(9),
                failing: true,
            }],
            ..UpstreamFacts::default()
        }]);
        let page = metrics.render();
        for line in [
            "hubgate_upstream_endpoint_up{upstream=\"hub\",endpoint=\"192.0.2.1:80\"} 1\n",
            "hubgate_upstream_endpoint_up{upstream=\"hub\",endpoint=\"192.0.2.1:81\"} 0\n",
            "hubgate_upstream_endpoint_in_flight{upstream=\"hub\",endpoint=\"192.0.2.1:81\"} 7\n",
            "hubgate_upstream_checks_total{upstream=\"hub\",result=\"failed\"} 0\n",
            "hubgate_upstream_ejections_total{upstream=\"hub\"} 0\n",
            "hubgate_upstream_name_age_seconds{upstream=\"hub\",name=\"hub.internal:80\"} 9\n",
            "hubgate_upstream_name_failing{upstream=\"hub\",name=\"hub.internal:80\"} 1\n",
            "hubgate_upstream_waiting{upstream=\"hub\"} 4\n",
            "hubgate_upstream_circuit{upstream=\"hub\",state=\"closed\"} 0\n",
            "hubgate_upstream_circuit{upstream=\"hub\",state=\"half-open\"} 1\n",
            "hubgate_upstream_fail_open_total{upstream=\"hub\"} 3\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
    }
}
