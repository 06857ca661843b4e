//! Endpoints that misbehave in turn under load, and one that is killed: what a client loses, what arrives twice, what is
//! left behind. `make chaos` is the long form; both print what they counted, and repeat themselves with the same seed.
//!
//! `HUBGATE_CHAOS_SECONDS`, `HUBGATE_CHAOS_RATE` (requests a second) and `HUBGATE_CHAOS_SEED` change the run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::let_underscore_must_use,
    reason = "tests: a broken assumption should stop the test, and the counts are what it is for"
)]

#[path = "../support/mod.rs"]
mod support;

mod endpoint;
mod load;

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use endpoint::{Endpoint, Mode};
use load::{Counts, Load};
use support::authority::Authority;
use support::hubgate::HOST;
use support::{Client, Hubgate, eventually};
use tempfile::TempDir;

/// Both runs want the machine for themselves.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn setting<T: FromStr + Display>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().ok().expect("a number"),
        Err(_) => default,
    }
}

/// What two endpoints do, phase by phase, while the third one works.
const PLAIN: [(Mode, Mode); 9] = [
    (Mode::Refuse, Mode::SlowHead),
    (Mode::Blackhole, Mode::ResetInBody),
    (Mode::SlowHead, Mode::EarlyEnd),
    (Mode::SlowBody, Mode::Garbage),
    (Mode::ResetInBody, Mode::Flapping),
    (Mode::EarlyEnd, Mode::Stall),
    (Mode::Garbage, Mode::Refuse),
    (Mode::Flapping, Mode::Blackhole),
    (Mode::Stall, Mode::SlowBody),
];
/// The same for the endpoints with TLS.
const SECURED: [(Mode, Mode); 9] = [
    (Mode::Expired, Mode::Good),
    (Mode::Expired, Mode::Expired),
    (Mode::Expired, Mode::Refuse),
    (Mode::Garbage, Mode::Expired),
    (Mode::Expired, Mode::ResetInBody),
    (Mode::Blackhole, Mode::Expired),
    (Mode::Expired, Mode::Flapping),
    (Mode::EarlyEnd, Mode::Expired),
    (Mode::Expired, Mode::SlowHead),
];

struct Edge {
    hubgate: Hubgate,
    admin: SocketAddr,
    plain: Vec<Endpoint>,
    secured: Vec<Endpoint>,
}

impl Edge {
    fn start(seed: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let authority = Authority::new("chaos");
        authority.file(dir.path());
        let good = authority.issue(&["node.test"]).server(&["http/1.1"]);
        let expired = authority
            .issue_expired(&["node.test"])
            .server(&["http/1.1"]);
        let plain: Vec<_> = (0..3).map(|n| Endpoint::start(seed + n, None)).collect();
        let secured: Vec<_> = (0..3)
            .map(|n| {
                let tls = (good.clone(), expired.clone());
                Endpoint::start(seed + 10 + n, Some(tls))
            })
            .collect();
        let list = |endpoints: &[Endpoint]| {
            let all: Vec<_> = endpoints
                .iter()
                .map(|e| format!("\"{}\"", e.addr))
                .collect();
            all.join(", ")
        };
        let admin = support::ports::free_addr();
        // Limits in proportion to the phases; who is left out, for how long, and the retries' budget are the defaults.
        let limits = "connect_timeout = \"500ms\"\ntls_timeout = \"500ms\"\nresponse_timeout = \"1s\"\nidle_timeout = \"1s\"\n";
        let retries = "retry_on = [\"connect\", \"reset\", \"timeout\"]\n";
        let toml = format!(
            "[admin]\nlisten = \"{admin}\"\n[log]\nlevel = \"hubgate::server=info,error\"\n\
             [site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
             [[site.\"{HOST}\".route]]\npath = \"/\"\nupstream = \"plain\"\n{limits}\
             [[site.\"{HOST}\".route]]\npath = \"/tls/\"\nupstream = \"secured\"\n{limits}\
             [upstream.plain]\nendpoints = [{}]\n{retries}\
             [upstream.secured]\nendpoints = [{}]\n{retries}\
             tls = {{ server_name = \"node.test\", ca_file = \"ca.pem\" }}\n",
            list(&plain),
            list(&secured),
        );
        let hubgate = Hubgate::start_in(dir, &toml);
        Self {
            hubgate,
            admin,
            plain,
            secured,
        }
    }

    /// A count of hubgate's own.
    fn metric(&self, name: &str) -> u64 {
        let page = Client::plain(self.admin)
            .get("localhost", "/metrics")
            .text();
        let line = page
            .lines()
            .find(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(' '))
            })
            .unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.plain.iter().chain(&self.secured)
    }
}

#[test]
fn two_of_three_endpoints_misbehave_in_turn() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = setting("HUBGATE_CHAOS_SEED", 1);
    let seconds = setting("HUBGATE_CHAOS_SECONDS", 18u32);
    let rate = setting("HUBGATE_CHAOS_RATE", 150);
    let edge = Edge::start(seed);
    let load = Load::start(edge.hubgate.http, seed, rate, &[("/", 85), ("/tls/", 15)]);
    let phase = Duration::from_secs(seconds.into()) / PLAIN.len() as u32;
    println!("chaos: seed {seed}, {seconds} s, {rate} requests/s");
    let mut before = load.counts();
    for (n, (plain, secured)) in PLAIN.iter().zip(&SECURED).enumerate() {
        for (endpoints, (first, second)) in [(&edge.plain, plain), (&edge.secured, secured)] {
            endpoints[n % 3].set(Mode::Good);
            endpoints[(n + 1) % 3].set(*first);
            endpoints[(n + 2) % 3].set(*second);
        }
        std::thread::sleep(phase);
        let counts = load.counts();
        println!("  {plain:?} / TLS {secured:?}: {}", counts.since(&before));
        before = counts;
    }
    for endpoint in edge.all() {
        endpoint.set(Mode::Good);
    }
    let counts = load.stop();
    let arrived = edge
        .all()
        .map(Endpoint::posts)
        .fold(load::Posts::default(), |mut all, one| {
            for (id, times) in one {
                *all.entry(id).or_default() += times;
            }
            all
        });
    let verdict = Verdict::of(&counts, &arrived, &edge);
    println!("{verdict}");
    verdict.check();
    pool_is_clean(&edge);
}

struct Verdict {
    total: u64,
    served: u64,
    lost: u64,
    cut: u64,
    taken: u64,
    posts: usize,
    twice: usize,
    looks_whole: u64,
    retries: f64,
}

impl Verdict {
    fn of(counts: &Counts, arrived: &load::Posts, edge: &Edge) -> Self {
        // A POST that an endpoint has got and did not answer cannot be saved by anybody.
        let taken = |id: &u64| arrived.contains_key(id);
        let (taken, lost): (Vec<u64>, Vec<u64>) =
            counts.failed_posts.iter().copied().partition(taken);
        let total = counts.total();
        Self {
            total,
            served: counts.served,
            lost: counts.failed_gets + lost.len() as u64,
            cut: counts.cut,
            taken: taken.len() as u64,
            posts: arrived.len(),
            twice: arrived.values().filter(|times| **times > 1).count(),
            looks_whole: counts.looks_whole,
            retries: edge.metric("hubgate_upstream_retries_total") as f64 / total as f64,
        }
    }

    fn availability(&self) -> f64 {
        self.served as f64 / (self.served + self.lost) as f64
    }

    fn check(&self) {
        assert!(self.availability() >= 0.999, "availability");
        assert_eq!(self.twice, 0, "POSTs that arrived twice");
        assert_eq!(self.looks_whole, 0, "cut bodies that look whole");
        assert!(self.retries < 0.2, "extra load");
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "requests:                       {}", self.total)?;
        writeln!(
            f,
            "availability of what could be served: {:.3} % ({} lost)",
            self.availability() * 100.0,
            self.lost
        )?;
        writeln!(f, "cut by an endpoint in the middle:     {}", self.cut)?;
        writeln!(
            f,
            "POSTs an endpoint took without an answer: {}",
            self.taken
        )?;
        writeln!(
            f,
            "POSTs that arrived twice:             {} of {}",
            self.twice, self.posts
        )?;
        writeln!(
            f,
            "cut bodies that look whole:           {}",
            self.looks_whole
        )?;
        write!(
            f,
            "tried again:                          {:.1} % of the requests",
            self.retries * 100.0
        )
    }
}

/// Nothing of the bad times is left: no connection that does not work, no descriptor.
fn pool_is_clean(edge: &Edge) {
    let mut client = edge.hubgate.plain();
    // Ejected endpoints come back meanwhile, which is no fault of the pool.
    for n in 0..300 {
        let response = client.get(HOST, &format!("/g/100/{n}"));
        assert_eq!((response.status, response.complete), (200, Ok(())), "{n}");
    }
    eventually(
        "every connection to an endpoint is closed once it was idle",
        || edge.all().all(|endpoint| endpoint.open() == 0),
    );
    println!(
        "pool afterwards: clean, {} descriptors",
        edge.hubgate.descriptors()
    );
}

#[test]
fn one_of_three_endpoints_is_killed_and_comes_back() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = setting("HUBGATE_CHAOS_SEED", 1);
    let rate = setting("HUBGATE_CHAOS_KILL_RATE", 300);
    let edge = Edge::start(seed);
    let load = Load::start(edge.hubgate.http, seed, rate, &[("/", 100)]);
    std::thread::sleep(Duration::from_secs(3));
    let before = load.counts();
    edge.plain[0].set(Mode::Refuse);
    let killed = Instant::now();
    let failed = || edge.metric("hubgate_upstream_connections_total{result=\"failed\"}");
    let (mut tries, mut quiet) = (failed(), Duration::ZERO);
    while killed.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(5));
        let now = failed();
        if now > tries {
            (tries, quiet) = (now, killed.elapsed());
        }
    }
    let seen = edge.plain[0].requests();
    edge.plain[0].set(Mode::Good);
    let back = Instant::now();
    eventually("it gets requests again", || edge.plain[0].requests() > seen);
    let back = back.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let counts = load.stop();
    let during = counts.since(&before);
    let posts = edge.all().map(Endpoint::posts).collect::<Vec<_>>();
    let taken = counts
        .failed_posts
        .iter()
        .filter(|id| posts.iter().any(|one| one.contains_key(*id)))
        .count();
    println!("killed one of three at {rate} requests/s, seed {seed}: {during}");
    // Its kernel had taken the others, and it died before it read them: nobody but the dead can know.
    let with_it = counts.failed_posts.len();
    println!("requests lost that could be saved: {}", counts.failed_gets);
    println!("POSTs that were with it when it died: {with_it}, of which it had read {taken}");
    println!("cut in the middle:      {}", counts.cut);
    println!("last try to reach it:   {quiet:.0?} after its death");
    println!("first request again:    {back:.1?} after its return");
    assert_eq!(counts.failed_gets, 0);
    assert!(with_it <= load::CLIENTS as usize / 3, "POSTs on its way");
    assert!(counts.only_closed, "POSTs failed for another reason");
}
