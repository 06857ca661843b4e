//! What is open at a worker, and for whom: a row for each connection, request of HTTP/2, stream and session of datagrams.
//!
//! A worker's book is its thread's alone and needs no lock; whoever wants to know asks the worker. Rows hold numbers of a
//! generation instead of names, so that a request pays a few stores. Invariant: a row is gone when its [`Entry`] is.

use std::cell::{RefCell, RefMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fragile::Fragile;

use crate::types::endpoint_address::EndpointAddress;
use crate::types::name::UpstreamName;

/// What an open connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing known yet: before the end of its PROXY header, its ClientHello or its handshake.
    Opening,
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// A WebSocket or the like.
    Tunnel,
    /// Events that are sent as they happen.
    EventStream,
    /// A connection that is passed on unopened.
    Stream,
    /// One client's datagrams.
    Datagrams,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Opening,
        Self::Http1,
        Self::Http2,
        Self::Tunnel,
        Self::EventStream,
        Self::Stream,
        Self::Datagrams,
    ];

    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Tunnel => "tunnel",
            Self::EventStream => "event stream",
            Self::Stream => "stream",
            Self::Datagrams => "datagrams",
        }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The client's first words, or the end of the handshake.
    Handshake,
    /// The client's next request.
    Request,
    /// A turn at the upstream, or a connection to one of its endpoints.
    Upstream,
    /// The endpoint's answer.
    Answer,
    /// The end of what is under way.
    End,
}

impl Wait {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Request => "request",
            Self::Upstream => "upstream",
            Self::Answer => "answer",
            Self::End => "end",
        }
    }
}

/// Bytes that have gone through so far. One task's, so nobody waits for a counter.
#[derive(Debug, Default)]
pub struct Moved {
    /// From the client.
    pub up: AtomicU64,
    /// To the client.
    pub down: AtomicU64,
}

impl Moved {
    /// From the client, and to it.
    pub fn counts(&self) -> (u64, u64) {
        let get = |lane: &AtomicU64| lane.load(Ordering::Relaxed);
        (get(&self.up), get(&self.down))
    }
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the snapshot it runs by.
    pub generation: u64,
    /// The site's index there.
    pub site: Option<usize>,
    /// The route's.
    pub route: Option<usize>,
    /// Since when.
    pub since: Instant,
}

/// What a stream is for, which outlives generations.
#[derive(Clone, Debug)]
pub struct Passed {
    /// As in logs.
    pub stream: Arc<str>,
    /// Its upstream.
    pub upstream: UpstreamName,
    /// What its TLS asks for.
    pub server_name: Option<Box<str>>,
}

/// What is known of something open.
#[derive(Clone, Debug)]
pub struct Row {
    /// The other end.
    pub client: SocketAddr,
    /// What it is.
    pub kind: Kind,
    /// Since when.
    pub since: Instant,
    /// What is waited for.
    pub wait: Wait,
    /// Its request, or the last one.
    pub place: Option<Place>,
    /// The endpoint that is with it.
    pub endpoint: Option<EndpointAddress>,
    /// For a stream.
    pub passed: Option<Box<Passed>>,
    /// What went through, where that is counted meanwhile.
    pub moved: Option<Arc<Moved>>,
    /// Rows of their own that it has: requests of HTTP/2.
    requests: usize,
}

/// A worker's rows.
#[derive(Debug)]
pub struct Book(Fragile<RefCell<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Option<Row>>,
    free: Vec<usize>,
}

/// A row in the book for as long as it is held. Belongs to the book's thread.
#[derive(Debug)]
pub struct Entry {
    book: Arc<Book>,
    index: usize,
    /// Whose request it is.
    of: Option<usize>,
}

/// What a look into a book shows.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// How many there are of each kind, by its number.
    pub counts: [u64; Kind::ALL.len()],
    /// The oldest, oldest first.
    pub oldest: Vec<Row>,
}

impl Default for Book {
    fn default() -> Self {
        Self(Fragile::new(RefCell::default()))
    }
}

impl Book {
    fn rows(&self) -> RefMut<'_, Rows> {
        self.0.get().borrow_mut()
    }

    /// Notes a connection of `client` that begins at `since`.
    pub fn open(self: &Arc<Self>, client: SocketAddr, since: Instant) -> Entry {
        let index = self.rows().add(Row {
            client,
            kind: Kind::Opening,
            since,
            wait: Wait::Handshake,
            place: None,
            endpoint: None,
            passed: None,
            moved: None,
            requests: 0,
        });
        Entry {
            book: Arc::clone(self),
            index,
            of: None,
        }
    }

    /// Counts all, and copies the `most` oldest. A connection whose requests have rows is not among them.
    pub fn look(&self, most: usize) -> Look {
        let rows = self.rows();
        let mut look = Look::default();
        let mut shown: Vec<&Row> = Vec::new();
        for row in rows.rows.iter().flatten().filter(|row| row.requests == 0) {
            look.counts[row.kind as usize] += 1;
            shown.push(row);
        }
        if shown.len() > most && most > 0 {
            shown.select_nth_unstable_by_key(most, |row| row.since);
        }
        shown.truncate(most);
        shown.sort_by_key(|row| row.since);
        look.oldest = shown.into_iter().cloned().collect();
        look
    }
}

impl Rows {
    fn add(&mut self, row: Row) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.rows[index] = Some(row);
                index
            }
            None => {
                self.rows.push(Some(row));
                self.rows.len() - 1
            }
        }
    }

    fn get(&mut self, index: usize) -> Option<&mut Row> {
        self.rows.get_mut(index)?.as_mut()
    }
}

impl Entry {
    /// Changes what is known.
    pub fn note(&self, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.book.rows().get(self.index) {
            change(row);
        }
    }

    /// A request of this connection that begins at `since`, beside others.
    pub fn request(&self, since: Instant) -> Self {
        let mut rows = self.book.rows();
        let row = rows.get(self.index).map(|row| {
            row.requests += 1;
            Row {
                client: row.client,
                kind: row.kind,
                since,
                wait: row.wait,
                place: None,
                endpoint: None,
                passed: None,
                moved: None,
                requests: 0,
            }
        });
        let index = match row {
            Some(row) => rows.add(row),
            None => usize::MAX,
        };
        Self {
            book: Arc::clone(&self.book),
            index,
            of: Some(self.index),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut rows = self.book.rows();
        if let Some(place) = rows.rows.get_mut(self.index)
            && place.is_some()
        {
            *place = None;
            rows.free.push(self.index);
        }
        if let Some(connection) = self.of
            && let Some(row) = rows.get(connection)
        {
            row.requests -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn the_oldest_are_shown_first_and_the_others_are_counted() {
        let book = Arc::new(Book::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let held: Vec<_> = [5, 1, 4, 2, 3]
            .map(|age| book.open(client(age), at(u64::from(age))))
            .into();
        held[0].note(|row| row.kind = Kind::Tunnel);
        let look = book.look(2);
        let ports: Vec<_> = look.oldest.iter().map(|row| row.client.port()).collect();
        assert_eq!(ports, [1, 2]);
        assert_eq!(look.counts[Kind::Opening as usize], 4);
        assert_eq!(look.counts[Kind::Tunnel as usize], 1);
        assert!(book.look(0).oldest.is_empty());
        assert_eq!(book.look(9).oldest.len(), 5);
    }

    #[test]
    fn a_row_is_gone_with_its_entry_and_its_place_is_used_again() {
        let book = Arc::new(Book::default());
        let held: Vec<_> = (0..100)
            .map(|port| book.open(client(port), Instant::now()))
            .collect();
        drop(held);
        assert_eq!(book.look(9).oldest.len(), 0);
        let _again = book.open(client(1), Instant::now());
        assert_eq!(book.rows().rows.len(), 100);
    }

    #[test]
    fn a_connection_is_shown_by_its_requests_while_it_has_some() {
        let book = Arc::new(Book::default());
        let connection = book.open(client(1), Instant::now());
        connection.note(|row| row.kind = Kind::Http2);
        let requests = [1, 2].map(|_| connection.request(Instant::now()));
        requests[1].note(|row| row.kind = Kind::EventStream);
        let look = book.look(9);
        assert_eq!(look.oldest.len(), 2);
        assert_eq!(look.counts[Kind::Http2 as usize], 1);
        drop(requests);
        assert_eq!(book.look(9).oldest.len(), 1);
    }
}
