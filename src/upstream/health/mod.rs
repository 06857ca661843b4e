//! Active health checks: [`Schedule`] says which endpoint is due (pure), `probe` asks it, `said` reads a hub's words, `grpc`
//! a gRPC server's.
//!
//! One schedule for the process, not one per worker; whoever runs it bounds how many checks run at once. What a check
//! means for an endpoint is `standing`'s. Invariant: checks of one endpoint never overlap.

mod grpc;
pub mod probe;
mod said;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::{Endpoint, Override};
use super::group::Group;
use crate::config::Health;
use crate::types::endpoint_address::EndpointAddress;
use crate::types::name::UpstreamName;

/// First checks of endpoints that are new are spread over this.
const SPREAD: Duration = Duration::from_secs(1);

/// When each endpoint is checked next.
#[derive(Debug, Default)]
pub struct Schedule {
    rows: HashMap<(UpstreamName, EndpointAddress), Row>,
}

#[derive(Debug)]
struct Row {
    group: Arc<Group>,
    endpoint: Arc<Endpoint>,
    /// While a check runs, the moment by which it is certainly over.
    at: Instant,
}

/// A check to be made.
#[derive(Clone, Debug)]
pub struct Check {
    /// The endpoint's upstream.
    pub group: Arc<Group>,
    /// Who is asked.
    pub endpoint: Arc<Endpoint>,
    /// How.
    pub health: Health,
}

impl Schedule {
    /// Takes over the endpoints that `groups` have at `now`. `chance` gives numbers from 0 to 1.
    pub fn follow<'g>(
        &mut self,
        groups: impl Iterator<Item = &'g Arc<Group>>,
        now: Instant,
        mut chance: impl FnMut() -> f64,
    ) {
        let mut rows = HashMap::new();
        for group in groups {
            let Some(health) = &group.config.health else {
                continue;
            };
            for endpoint in group.endpoints() {
                let key = (group.name().clone(), endpoint.address);
                let at = match self.rows.remove(&key) {
                    // After a reload the interval may have become shorter.
                    Some(row) => row.at.min(now + health.interval + health.timeout),
                    None => now + SPREAD.min(health.interval).mul_f64(chance()),
                };
                let group = group.clone();
                rows.insert(
                    key,
                    Row {
                        group,
                        endpoint,
                        at,
                    },
                );
            }
        }
        self.rows = rows;
    }

    /// At most `room` checks that are due at `now`.
    pub fn due(&mut self, room: usize, now: Instant) -> Vec<Check> {
        let due = self.rows.values_mut().filter(|row| row.at <= now);
        let due = due.filter_map(|row| {
            let health = row.group.config.health.clone()?;
            row.at = now + health.timeout + health.interval;
            // Nobody wants to know.
            let wanted = row.endpoint.overridden() != Override::Disabled;
            wanted.then(|| Check {
                group: row.group.clone(),
                endpoint: row.endpoint.clone(),
                health,
            })
        });
        due.take(room).collect()
    }

    /// A check was made; the next is an interval later, or a jitter sooner or later than that.
    pub fn done(&mut self, check: &Check, now: Instant, chance: f64) {
        let key = (check.group.name().clone(), check.endpoint.address);
        if let Some(row) = self.rows.get_mut(&key) {
            let jitter = f64::from(check.health.jitter) / 100.0 * (2.0 * chance - 1.0);
            row.at = now + check.health.interval.mul_f64(1.0 + jitter);
        }
    }

    /// When the next check is due.
    pub fn next(&self) -> Option<Instant> {
        self.rows.values().map(|row| row.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, CheckKind};

    const SECOND: Duration = Duration::from_secs(1);

    fn group(count: u16, now: Instant) -> Arc<Group> {
        let addresses = (1..=count).map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let mut config = config::Upstream::plain(UpstreamName::parse("u").unwrap(), addresses);
        config.health = Some(Health {
            kind: CheckKind::Tcp,
            port: None,
            interval: 10 * SECOND,
            jitter: 10,
            timeout: SECOND,
            rise: 2,
            fall: 3,
            initially_up: true,
        });
        Arc::new(Group::new(config, None, now))
    }

    #[test]
    fn each_endpoint_is_checked_once_an_interval_give_or_take_the_jitter() {
        let start = Instant::now();
        let group = group(5, start);
        let mut schedule = Schedule::default();
        let mut last = HashMap::new();
        let mut gaps = Vec::new();
        for step in 0..600 {
            let now = start + step * Duration::from_millis(100);
            if step % 10 == 0 {
                schedule.follow([&group].into_iter(), now, fastrand::f64);
            }
            for check in schedule.due(64, now) {
                schedule.done(&check, now, fastrand::f64());
                if let Some(before) = last.insert(check.endpoint.address, now) {
                    gaps.push(now - before);
                } else {
                    assert!(now - start <= SPREAD, "the first check comes at once");
                }
            }
        }
        assert!(gaps.len() >= 5 * 4, "{gaps:?}");
        let within = 9 * SECOND..=11 * SECOND + Duration::from_millis(100);
        assert!(gaps.iter().all(|gap| within.contains(gap)), "{gaps:?}");
    }

    #[test]
    fn a_check_that_runs_is_not_due_again_and_no_more_run_than_there_is_room_for() {
        let start = Instant::now();
        let group = group(5, start);
        let mut schedule = Schedule::default();
        schedule.follow([&group].into_iter(), start, || 0.0);
        assert_eq!(schedule.due(3, start).len(), 3);
        assert_eq!(schedule.due(3, start).len(), 2);
        assert!(schedule.due(3, start + 10 * SECOND).is_empty());
    }

    #[test]
    fn an_upstream_that_is_gone_is_checked_no_more() {
        let start = Instant::now();
        let group = group(2, start);
        let mut schedule = Schedule::default();
        schedule.follow([&group].into_iter(), start, || 0.0);
        schedule.follow(std::iter::empty(), start, || 0.0);
        assert_eq!((schedule.due(9, start).len(), schedule.next()), (0, None));
    }
}
