//! Asks DNS for the names of endpoints: one task for the process, never a request.
//!
//! `upstream::names` says what is due and what an answer means; here is the clock, the bound on questions that run at once,
//! and what is told. A start and a reload wait for names that are new, for [`PATIENCE`] at most: they do not fail for
//! them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::process::Process;
use crate::config;
use crate::dns::Resolver;
use crate::snapshot::Snapshot;
use crate::transport::now;
use crate::types::name::UpstreamName;
use crate::upstream::group::Group;
use crate::upstream::names::{Book, Change, Looked, MOST_ENDPOINTS, Query};

/// Questions that run at once.
const MOST: usize = 16;
/// Questions that are due within this are asked together.
const TOGETHER: Duration = Duration::from_millis(10);
/// For one question, whatever the number of servers and search domains.
const LONGEST: Duration = Duration::from_secs(30);
/// Between looks whether all is known.
const GLANCE: Duration = Duration::from_millis(20);
/// Of a start, and of a reload.
const PATIENCE: Duration = Duration::from_secs(3);

/// Keeps names looked up for as long as the process runs; ends when it is aborted.
pub(super) async fn run(process: Arc<Process>) {
    let mut generation = process.generation.subscribe();
    let mut round = Round::default();
    let mut settings = process.shared.snapshot.load().config.resolver.clone();
    loop {
        let snapshot = process.shared.snapshot.load_full();
        let wanted = &snapshot.config.resolver;
        if settings != *wanted {
            // Others are asked, or something else counts.
            snapshot.names.ask_again(now());
            settings = wanted.clone();
        }
        tokio::select! {
            () = round.turn(&snapshot) => {}
            reloaded = generation.changed() => match reloaded {
                Ok(()) => round.apply_all(&process.shared.snapshot.load_full()),
                Err(_) => return,
            },
        }
    }
}

/// Looks up what is new in a configuration that is about to run, and gives it to its upstreams. Ends in time; what is
/// not known by then is asked for again by [`run`].
pub(super) async fn settle(snapshot: &Snapshot) {
    let mut round = Round::default();
    let settling = async {
        follow(snapshot);
        while !snapshot.names.is_settled() {
            // Somebody else may be who asks.
            drop(timeout(GLANCE, round.turn(snapshot)).await);
        }
        round.apply_all(snapshot);
    };
    if timeout(PATIENCE, settling).await.is_err() {
        tracing::warn!(
            event = "upstream.names.slow",
            "names of endpoints are not known yet; going on without"
        );
    }
}

fn follow(snapshot: &Snapshot) {
    let upstreams = snapshot.config.upstreams.values();
    let named = upstreams.filter(|upstream| upstream.has_names());
    snapshot.names.follow(named, now());
}

/// Questions that are under way, and what was told.
#[derive(Default)]
struct Round {
    asking: JoinSet<(UnderWay, Looked)>,
    /// Upstreams with more endpoints than they can have.
    cut: BTreeSet<UpstreamName>,
}

impl Round {
    /// Asks what is due, then waits for an answer or for the next question; takes the answer. May be dropped at any time.
    async fn turn(&mut self, snapshot: &Snapshot) {
        follow(snapshot);
        let book = &snapshot.names;
        let room = MOST.saturating_sub(self.asking.len());
        let due = book.due(room, now());
        for query in due {
            self.asking
                .spawn(asked(query, book.clone(), snapshot.config.resolver.clone()));
        }
        let next = book.next().map(|next| next.max(now() + TOGETHER));
        // With no room the next one waits for an answer.
        let next = next.filter(|_| self.asking.len() < MOST);
        let wake = async {
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = self.asking.join_next() => match ended {
                Ok((mut under_way, looked)) => {
                    if let Some((query, _)) = under_way.0.take() {
                        self.take(snapshot, &query, looked);
                    }
                }
                // Told by the panic hook; the question has been given back.
                Err(error) => tracing::debug!(%error, "a look-up did not end"),
            },
            () = wake => {}
        }
    }

    fn take(&mut self, snapshot: &Snapshot, query: &Query, looked: Looked) {
        let settings = &snapshot.config.resolver;
        let change = (snapshot.names).take(query, looked, settings, fastrand::f64(), now());
        tell(query, change);
        for group in snapshot.groups.values() {
            if query.concerns(&group.config) {
                self.apply(snapshot, group);
            }
        }
    }

    fn apply_all(&mut self, snapshot: &Snapshot) {
        for group in snapshot.groups.values() {
            if group.config.has_names() {
                self.apply(snapshot, group);
            }
        }
    }

    fn apply(&mut self, snapshot: &Snapshot, group: &Group) {
        let (endpoints, cut) = snapshot.names.endpoints(&group.config);
        let upstream = group.name();
        match cut {
            true if self.cut.insert(upstream.clone()) => {
                tracing::warn!(event = "upstream.names.many", %upstream, most = MOST_ENDPOINTS, "names stand for more addresses than an upstream can have; the rest is left out");
            }
            true => {}
            false => {
                self.cut.remove(upstream);
            }
        }
        if group.take_from_names(endpoints, now()) {
            let endpoints = group.endpoints().len();
            tracing::info!(event = "upstream.endpoints", %upstream, endpoints, "the addresses of its names have changed");
        }
    }
}

/// Asks, in bounded time.
async fn asked(query: Query, book: Arc<Book>, settings: config::Resolver) -> (UnderWay, Looked) {
    let under_way = UnderWay(Some((query.clone(), book)));
    let looking = async {
        let resolver = tokio::task::spawn_blocking(move || Resolver::new(&settings)).await;
        match resolver {
            Ok(resolver) => query.ask(&resolver).await,
            Err(_) => query.failed("the process is stopping"),
        }
    };
    let looked = timeout(LONGEST, looking).await;
    let looked = looked.unwrap_or_else(|_| query.failed("name servers take too long"));
    (under_way, looked)
}

/// A question that is given back when its answer is not taken.
struct UnderWay(Option<(Query, Arc<Book>)>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some((query, book)) = self.0.take() {
            book.give_back(&query, now());
        }
    }
}

fn tell(query: &Query, change: Change) {
    let name = query.name();
    match change {
        Change::None | Change::Changed => {}
        Change::Recovered => {
            tracing::info!(event = "upstream.names.again", %name, "the name is answered for again");
        }
        Change::Failing(error) => {
            tracing::warn!(event = "upstream.names.kept", %name, error, "the name cannot be looked up; what is known stays");
        }
        Change::Distrusted(error) => {
            tracing::warn!(event = "upstream.names.kept", %name, error, "the name is empty all at once; what is known stays for a while");
        }
        Change::Gone => {
            tracing::error!(event = "upstream.names.gone", %name, "the name has been empty for so long that its endpoints are given up");
        }
    }
}
