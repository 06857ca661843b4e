//! A year in fast forward: the worker's own tasks, with a paused clock, against an authority in memory.
//!
//! Thirty certificates that live 90 days, 45 days and 160 hours; an outage of 60 days, a month of rate limits, and a
//! lost answer at every step. `make acme-year` prints what was counted.

mod authority;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::authority::{DAY, Simulated};
use super::authority::Connect;
use super::challenge::Tokens;
use super::clock::Clock;
use super::crew::{Crew, Plan};
use super::schedule::Delays;
use super::settings::{Listeners, Settings};
use super::status::Board;
use super::task::Wanted;
use crate::config::{AcmeAuthority, ChallengeKind};
use crate::tls::Certificates;
use crate::types::host::{Host, HostPattern};

const START: OffsetDateTime = datetime!(2026-01-01 00:00:00 UTC);
/// An authority that works again has issued all that is due within this.
const SOON: time::Duration = time::Duration::hours(3);

/// The wall clock of the event loop's own time.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> OffsetDateTime {
        START + self.0.elapsed()
    }
}

fn hosts() -> BTreeSet<Host> {
    let of = |kind: &'static str| (0..10).map(move |n| format!("{kind}-{n}.example.test"));
    let names = of("d90").chain(of("d45")).chain(of("h160"));
    names.map(|name| Host::parse(&name).unwrap()).collect()
}

fn authority() -> AcmeAuthority {
    AcmeAuthority {
        name: "simulated".to_owned(),
        directory: "https://ca.test/directory".to_owned(),
        contact: Vec::new(),
        ca_file: None,
        challenge: ChallengeKind::Http01,
        profile: None,
        profile_required: false,
        external_account: None,
        staging: None,
    }
}

/// How often certmagic asks for one certificate in an outage of `days`: its table, then every six hours for 30 days.
fn certmagic_tries(days: u64) -> u64 {
    let minutes = [
        1, 2, 2, 5, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30, 30, 30, 60, 60, 60, 120, 120, 180,
        180,
    ];
    let table: u64 = minutes.iter().sum();
    minutes.len() as u64 + (days.min(30) * 1440 - table) / 360
}

#[tokio::test(start_paused = true)]
async fn a_year_of_outage_limits_and_lost_answers_lets_no_certificate_expire_that_could_be_renewed()
{
    let memory = std::path::Path::new("/dev/shm");
    let state = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let state = state.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(PausedClock(Instant::now()));
    let (hosts, tokens) = (hosts(), Tokens::default());
    let simulated = Arc::new(Simulated::new(Arc::clone(&clock), tokens.clone(), START));
    let certificates = Certificates::new();
    let wanted = Wanted::default();
    wanted
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .clone_from(&hosts);
    let settings = Settings {
        authorities: vec![authority()],
        state_dir: state.path().to_owned(),
        listeners: Listeners::default(),
        // This clock never jumps; there is no need to look at it.
        delays: Delays {
            nap: Duration::from_secs(10 * 86_400),
            ..Delays::default()
        },
    };
    let connect: Arc<Connect> = {
        let simulated = Arc::clone(&simulated);
        Arc::new(move |_: &AcmeAuthority| {
            Ok(Arc::clone(&simulated) as Arc<dyn super::client::Transport>)
        })
    };
    let plan = Plan {
        settings,
        hosts: hosts.clone(),
    };
    let (plan, plans) = watch::channel(plan);
    let (_commands, orders) = mpsc::channel(1);
    let crew = Crew {
        plans,
        commands: orders,
        connect,
        clock: Arc::clone(&clock),
        tokens,
        certificates: Arc::clone(&certificates),
        board: Board::default(),
        wanted,
        // Nobody else is here, and a look a minute is half a million in a year.
        watches: false,
    };
    let crew = tokio::spawn(crew.run());
    let mut expired = Vec::new();
    for _ in 0..365 * 24 {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let now = clock.now();
        if simulated
            .works_since(now)
            .is_none_or(|since| now - since < SOON)
        {
            continue;
        }
        for host in &hosts {
            let served = certificates.get(&HostPattern::Exact(host.clone()));
            if served.is_none_or(|served| served.leaf.not_after <= now) {
                expired.push(format!("{host} at {now}"));
            }
        }
    }
    drop(plan);
    crew.await.unwrap();
    let counts = simulated.counts();
    let theirs = certmagic_tries(60) * hosts.len() as u64;
    println!(
        "a year: {} requests, {} orders, {} certificates, {} questions about renewal; in 60 days of outage {} requests (certmagic's table: {theirs} tries); in 30 days of limits {} orders refused; answers lost: {:?}; limits exceeded: {:?}; expired though it could be renewed: {}",
        counts.requests,
        counts.orders,
        counts.issued,
        counts.renewal_information,
        counts.in_outage,
        counts.refused,
        counts.lost,
        counts.exceeded,
        expired.len(),
    );
    assert!(expired.is_empty(), "{expired:?}");
    assert!(counts.exceeded.is_empty(), "{:?}", counts.exceeded);
    assert_eq!(counts.accounts, 1);
    assert!(counts.in_outage > 0 && counts.in_outage < theirs);
    assert!(counts.lost.len() >= 8, "{:?}", counts.lost);
    // 30 at first, then each life's renewals; whatever was lost or refused must not have multiplied them.
    let life_of = |host: &Host| authority::life_of(host.as_str());
    let most: i64 = hosts
        .iter()
        .map(|host| 365 * DAY.whole_seconds() / (life_of(host).whole_seconds() / 2) + 3)
        .sum();
    assert!((counts.issued as i64) < most, "{} of {most}", counts.issued);
}
