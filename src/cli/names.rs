//! Looks up the names of endpoints once, from this host, for `check` and `doctor`.
//!
//! As a running hubgate would, by the same book; ends within [`PATIENCE`].

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::config::{self, Upstream};
use crate::dns::Resolver;
use crate::upstream::names::{Book, Standing};

const PATIENCE: Duration = Duration::from_secs(10);
/// Questions that are asked at once.
const MOST: usize = 16;

/// What DNS says of the names of `upstreams`. Asks nothing when there are none.
pub(super) fn look_up(settings: &config::Resolver, upstreams: &[&Upstream]) -> Book {
    let book = Book::default();
    book.follow(upstreams.iter().copied(), Instant::now());
    if !book.is_settled()
        && let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    {
        let asking = ask(&book, settings, upstreams);
        // What is not known by then is told as such.
        drop(runtime.block_on(async { timeout(PATIENCE, asking).await }));
    }
    book
}

async fn ask(book: &Book, settings: &config::Resolver, upstreams: &[&Upstream]) {
    let resolver = Resolver::new(settings);
    while !book.is_settled() {
        let due = book.due(MOST, Instant::now());
        let answers = due.iter().map(|query| query.ask(&resolver));
        for (query, looked) in due.iter().zip(join_all(answers).await) {
            book.take(query, looked, settings, 0.0, Instant::now());
        }
        // The targets of services.
        book.follow(upstreams.iter().copied(), Instant::now());
    }
}

/// The names of an upstream of which something is not well, and what.
pub(super) fn troubles(book: &Book, upstream: &Upstream) -> Vec<(Standing, String)> {
    let standings = book.standings(upstream, Instant::now());
    let troubled = standings.into_iter().filter_map(|standing| {
        let said = match &standing.trouble {
            Some(error) => error.clone(),
            None if standing.age.is_none() => "name servers take too long".to_owned(),
            None => return None,
        };
        Some((standing, said))
    });
    troubled.collect()
}
