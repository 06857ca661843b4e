//! What is known of certificates being ordered, and how it is printed.
//!
//! Handed in whole when the page is asked for; nothing here counts. Names of authorities come from the configuration, so
//! what would end a label is taken out of them.

use super::page::Page;

/// Everything about orders, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AcmeFacts {
    /// Each host whose certificate is ordered.
    pub hosts: Vec<AcmeHost>,
    /// Each authority that was asked for something, and whether it answers.
    pub authorities: Vec<(String, bool)>,
    /// Attempts by authority, and by the class of their failure; an empty class counts successes.
    pub orders: Vec<(String, &'static str, u64)>,
    /// How long successful attempts took.
    pub order_seconds: Histogram,
    /// Orders that hold the right to order for their host now.
    pub leases: u64,
    /// Challenge tokens asked for: by who answered (`local`, `tls`, `forward`, `miss`, `reject`), by status (0: none).
    pub challenges: Vec<(&'static str, u16, u64)>,
    /// Answers to the question when to renew, by what came: `moved`, `same`, `none`.
    pub renewal_information: Vec<(&'static str, u64)>,
    /// Calls of the store that failed: `get`, `put`, `list`, `delete`, `lease`.
    pub store_errors: Vec<(&'static str, u64)>,
    /// How far an authority's clock was ahead of ours, in seconds, when it was last compared.
    pub clock_skew: Option<f64>,
}

/// How many took how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// The upper end in seconds (none at last), and how many are below it and not below the one before.
    pub buckets: Vec<(Option<f64>, u64)>,
    /// Seconds, all together.
    pub sum: f64,
}

/// One of them. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcmeHost {
    /// The host.
    pub host: String,
    /// `valid`, `placeholder`, `ordering`, `backoff` or `paused`.
    pub state: &'static str,
    /// When it is to be renewed, failures aside.
    pub renew_at: Option<i64>,
    /// When it is tried again, after a failure.
    pub backoff_until: Option<i64>,
    /// Failures in a row.
    pub failures: u32,
    /// Since when its authority does not say when to renew, though it could.
    pub silent_since: Option<i64>,
}

const STATES: [&str; 5] = ["valid", "placeholder", "ordering", "backoff", "paused"];

impl AcmeFacts {
    pub(super) fn render(&self, page: &mut Page) {
        self.render_hosts(page);
        page.gauge(
            "acme_ca_up",
            "Whether the authority answered when it was last asked.",
        );
        for (name, up) in &self.authorities {
            page.sample("acme_ca_up", &[("ca", &label(name))], u8::from(*up));
        }
        page.counter(
            "acme_orders_total",
            "Attempts at a certificate, by authority, result and the class of the failure.",
        );
        for (name, class, count) in &self.orders {
            let result = if class.is_empty() { "issued" } else { "failed" };
            let labels = [("ca", &*label(name)), ("result", result), ("class", class)];
            page.sample("acme_orders_total", &labels, count);
        }
        self.order_seconds.render(
            page,
            "acme_order_seconds",
            "How long successful attempts took.",
        );
        page.gauge(
            "acme_lease_held",
            "Orders that hold the right to order for their host now.",
        );
        page.sample("acme_lease_held", &[], self.leases);
        page.counter(
            "acme_challenge_total",
            "Challenge tokens asked for, by who answered and with what status.",
        );
        for (via, code, count) in &self.challenges {
            let code = if *code == 0 {
                String::new()
            } else {
                code.to_string()
            };
            page.sample(
                "acme_challenge_total",
                &[("via", via), ("code", &code)],
                count,
            );
        }
        page.counter(
            "acme_ari_total",
            "Answers to the question when to renew (RFC 9773), by what came.",
        );
        for (result, count) in &self.renewal_information {
            page.sample("acme_ari_total", &[("result", result)], count);
        }
        page.counter(
            "acme_store_errors_total",
            "Calls of the state directory's store that failed, by call.",
        );
        for (call, count) in &self.store_errors {
            page.sample("acme_store_errors_total", &[("op", call)], count);
        }
        page.gauge(
            "acme_clock_skew_seconds",
            "How far an authority's clock was ahead of this machine's.",
        );
        if let Some(skew) = self.clock_skew {
            page.sample("acme_clock_skew_seconds", &[], skew);
        }
    }

    fn render_hosts(&self, page: &mut Page) {
        page.gauge(
            "acme_certificate_state",
            "What is done about a certificate: 1 for the state it is in.",
        );
        for row in &self.hosts {
            for state in STATES {
                let labels = [("host", &*row.host), ("state", state)];
                let is = u8::from(row.state == state);
                page.sample("acme_certificate_state", &labels, is);
            }
        }
        type Value = fn(&AcmeHost) -> Option<i64>;
        let rows: [(&str, &str, Value); 4] = [
            (
                "acme_renew_at_seconds",
                "When a certificate is to be renewed, in seconds since 1970.",
                |row| row.renew_at,
            ),
            (
                "acme_backoff_until_seconds",
                "When an attempt that failed is made again, in seconds since 1970.",
                |row| row.backoff_until,
            ),
            ("acme_failures", "Failures in a row.", |row| {
                Some(row.failures.into())
            }),
            (
                "acme_ari_silent_since_seconds",
                "Since when the authority does not say when to renew, in seconds since 1970.",
                |row| row.silent_since,
            ),
        ];
        for (name, help, value) in rows {
            page.gauge(name, help);
            for row in &self.hosts {
                if let Some(value) = value(row) {
                    page.sample(name, &[("host", &row.host)], value);
                }
            }
        }
    }
}

impl Histogram {
    fn render(&self, page: &mut Page, name: &str, help: &str) {
        page.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut total = 0;
        for (end, count) in &self.buckets {
            total += count;
            let end = end.map_or_else(|| "+Inf".to_owned(), |end| end.to_string());
            page.sample(&bucket, &[("le", &end)], total);
        }
        page.sample(&format!("{name}_sum"), &[], self.sum);
        page.sample(&format!("{name}_count"), &[], total);
    }
}

fn label(name: &str) -> String {
    name.replace(['"', '\\', '\n'], "_")
}

#[cfg(test)]
mod tests {
    use crate::observe::metrics::{AcmeFacts, AcmeHost, Histogram, Metrics};

    #[test]
    fn a_hosts_state_and_an_authoritys_name_are_on_the_page_as_labels() {
        let metrics = Metrics::new();
        metrics.set_acme(AcmeFacts {
            hosts: vec![AcmeHost {
                host: "a.test".to_owned(),
                state: "backoff",
                failures: 3,
                ..AcmeHost::default()
            }],
            authorities: vec![("the \"good\" one".to_owned(), false)],
            orders: vec![("x".to_owned(), "validation", 3)],
            order_seconds: Histogram {
                buckets: vec![(Some(0.5), 2), (None, 1)],
                sum: 9.5,
            },
            challenges: vec![("forward", 502, 4), ("tls", 0, 5)],
            ..AcmeFacts::default()
        });
        let page = metrics.render();
        for line in [
            "hubgate_acme_certificate_state{host=\"a.test\",state=\"backoff\"} 1\n",
            "hubgate_acme_certificate_state{host=\"a.test\",state=\"valid\"} 0\n",
            "hubgate_acme_failures{host=\"a.test\"} 3\n",
            "hubgate_acme_ca_up{ca=\"the _good_ one\"} 0\n",
            "hubgate_acme_orders_total{ca=\"x\",result=\"failed\",class=\"validation\"} 3\n",
            "hubgate_acme_order_seconds_bucket{le=\"0.5\"} 2\n",
            "hubgate_acme_order_seconds_bucket{le=\"+Inf\"} 3\n",
            "hubgate_acme_order_seconds_count 3\n",
            "hubgate_acme_challenge_total{via=\"forward\",code=\"502\"} 4\n",
            "hubgate_acme_challenge_total{via=\"tls\",code=\"\"} 5\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
    }
}
