//! Whether a request is one too many: by rate, for which it may have to wait, and by how many are under way.
//!
//! What is found is told in nginx's words, at the level that is configured. The counting is `limits`'.

use std::fmt::Display;
use std::time::Duration;

use super::admit::while_there;
use super::client::Client;
use super::guard::{self, Refusal};
use super::trace::LimitedBy;
use super::values::Values;
use crate::config::{LimitLog, RouteLimits};
use crate::limits::concurrency::Place;
use crate::limits::rate::{self, Use, Verdict};
use crate::observe::cause::Cause;
use crate::snapshot::guard::Limited;
use crate::transport::now;

/// The keys of a request.
#[derive(Default)]
pub(super) struct Asking {
    rates: Vec<Vec<u8>>,
    concurrency: Vec<Vec<u8>>,
}

impl Asking {
    /// What the limits count the request by.
    pub(super) fn of(limited: Option<&Limited>, values: &Values<'_>) -> Self {
        let Some(limited) = limited else {
            return Self::default();
        };
        let rates = limited.rates.iter().map(|rate| &rate.config.key);
        let concurrency = limited.concurrency.iter().map(|own| &own.config.key);
        Self {
            rates: rates.map(|key| key.value(values).into_owned()).collect(),
            concurrency: concurrency
                .map(|key| key.value(values).into_owned())
                .collect(),
        }
    }
}

/// Lets the request of `client` go on, at once or when its turn has come.
pub(super) async fn admit(
    limited: &Limited,
    asking: &guard::Asking,
    client: &mut Client,
    said: &mut LimitedBy,
) -> Result<Vec<Place>, Refusal> {
    let config = &*limited.config;
    if let Some(wait) = by_rate(limited, config, asking, &mut said.rate)? {
        let waited = while_there(client, tokio::time::sleep(wait)).await;
        waited.ok_or_else(|| Refusal::of(Cause::ClientGone))?;
    }
    at_once(limited, config, asking, &mut said.concurrency)
}

/// How long it has to wait, if at all.
fn by_rate(
    limited: &Limited,
    config: &RouteLimits,
    asking: &guard::Asking,
    said: &mut Option<&'static str>,
) -> Result<Option<Duration>, Refusal> {
    let uses: Vec<_> = limited
        .rates
        .iter()
        .zip(&config.rates)
        .zip(&asking.limits.rates)
        .map(|((rate, used), key)| Use {
            table: &rate.table,
            key: key.clone(),
            burst: used.burst,
            delay: used.delay,
        })
        .collect();
    let dry = if config.dry_run { ", dry run" } else { "" };
    let told = &asking.told;
    let zone = |index: usize| config.rates.get(index).map_or("", |used| &*used.rate);
    match rate::ask(&uses, now()) {
        Verdict::Passes => {
            *said = (!uses.is_empty()).then_some("PASSED");
            Ok(None)
        }
        Verdict::Waits {
            index,
            excess,
            wait,
        } => {
            let (excess, zone) = (Thousandths(excess), zone(index));
            let line = format!("delaying request{dry}, excess: {excess}, by zone \"{zone}\"{told}");
            tell(quieter(config.log), asking.connection, &line);
            *said = Some(worded(config.dry_run, "DELAYED", "DELAYED_DRY_RUN"));
            Ok((!config.dry_run).then_some(wait))
        }
        Verdict::Refused { index, excess } => {
            let (excess, zone) = (Thousandths(excess), zone(index));
            let line = format!("limiting requests{dry}, excess: {excess} by zone \"{zone}\"{told}");
            tell(config.log, asking.connection, &line);
            *said = Some(worded(config.dry_run, "REJECTED", "REJECTED_DRY_RUN"));
            if config.dry_run {
                return Ok(None);
            }
            let own = config.rates.get(index).and_then(|used| used.status);
            Err(Refusal {
                status: own.or(Some(config.status)),
                ..Refusal::of(Cause::RateLimited)
            })
        }
    }
}

fn at_once(
    limited: &Limited,
    config: &RouteLimits,
    asking: &guard::Asking,
    said: &mut Option<&'static str>,
) -> Result<Vec<Place>, Refusal> {
    let mut places = Vec::new();
    let uses = limited.concurrency.iter().zip(&config.concurrency);
    for ((zone, used), key) in uses.zip(&asking.limits.concurrency) {
        if key.is_empty() {
            continue;
        }
        if let Some(place) = zone.table.enter(key, used.most) {
            said.get_or_insert("PASSED");
            places.push(place);
            continue;
        }
        let (log, dry_run) = config.telling(used);
        *said = Some(worded(dry_run, "REJECTED", "REJECTED_DRY_RUN"));
        let dry = if dry_run { ", dry run," } else { "" };
        let (of, told) = (&used.of, &asking.told);
        tell(
            log,
            asking.connection,
            &format!("limiting connections{dry} by zone \"{of}\"{told}"),
        );
        if !dry_run {
            return Err(Refusal {
                status: used.status.or(Some(config.status)),
                ..Refusal::of(Cause::ConcurrencyLimited)
            });
        }
    }
    Ok(places)
}

fn worded(dry_run: bool, word: &'static str, dry: &'static str) -> &'static str {
    if dry_run { dry } else { word }
}

/// As nginx writes an excess: `0.980`.
struct Thousandths(u64);

impl Display for Thousandths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A delay is told one level below a refusal.
fn quieter(log: LimitLog) -> LimitLog {
    match log {
        LimitLog::Error => LimitLog::Warn,
        LimitLog::Warn => LimitLog::Notice,
        LimitLog::Notice | LimitLog::Info => LimitLog::Info,
    }
}

fn tell(log: LimitLog, connection: u64, line: &str) {
    match log {
        LimitLog::Error => tracing::error!(event = "limit", connection, "{line}"),
        LimitLog::Warn => tracing::warn!(event = "limit", connection, "{line}"),
        LimitLog::Notice => tracing::info!(event = "limit", connection, "{line}"),
        LimitLog::Info => tracing::info!(event = "limit", connection, severity = "info", "{line}"),
    }
}
