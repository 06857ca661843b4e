//! Idle connections to endpoints, one pool per worker.
//!
//! A connection belongs to the worker whose reactor it is registered with, so a pool is used by the thread that made it
//! and by no other, and needs no lock. A connection is handed out only while nothing has come on it and its idle time is not over; a sweep
//! closes the others. Bounds: per endpoint, the upstream's `keep_alive`, and for a moment after a burst [`SPARE`] more:
//! closing at once what the next burst opens again cost a third of the time of a busy HTTP/2 client's requests.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use fragile::Fragile;

use super::connect::Line;
use super::http1::Connection;
use super::http2;
use crate::config;

/// Connections per endpoint above `keep_alive` that wait for [`SPARE_TIME`].
pub const SPARE: usize = 1024;
/// For how long; the next sweep closes them.
const SPARE_TIME: Duration = Duration::from_secs(1);

struct Idle {
    connection: Box<Connection>,
    since: Instant,
    until: Instant,
}

/// One endpoint's, the most recently used last.
#[derive(Default)]
struct Connections {
    idle: VecDeque<Idle>,
    keep_alive: usize,
}

/// A worker's idle connections.
pub struct Pool {
    lines: Fragile<RefCell<HashMap<Line, Connections>>>,
    /// Those of HTTP/2, which are handed out while they are in use.
    pub http2: http2::Pool,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            lines: Fragile::new(RefCell::default()),
            http2: http2::Pool::default(),
        }
    }
}

impl Pool {
    fn lines(&self) -> RefMut<'_, HashMap<Line, Connections>> {
        self.lines.get().borrow_mut()
    }

    /// The most recently used connection on `line` that can still be used. `once`: what it is for can be sent but once, so
    /// the kernel is asked whether the other side has ended it; a call to the system more.
    pub fn take(&self, line: &Line, now: Instant, once: bool) -> Option<Box<Connection>> {
        let mut lines = self.lines();
        let connections = lines.get_mut(line)?;
        while let Some(idle) = connections.idle.pop_back() {
            let usable = match once {
                true => idle.connection.is_idle_now(),
                false => idle.connection.is_idle(),
            };
            if idle.until > now && usable {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps a connection, which was just found reusable, for the next request on `line`, within the bounds.
    pub fn put(
        &self,
        line: Line,
        mut connection: Box<Connection>,
        upstream: &config::Upstream,
        now: Instant,
    ) {
        let requests = connection.count_request();
        let spent = upstream.keep_alive == 0
            || upstream
                .keep_alive_requests
                .is_some_and(|most| requests >= most)
            || (upstream.keep_alive_age)
                .is_some_and(|most| now.saturating_duration_since(connection.made()) > most);
        if spent {
            return;
        }
        connection.trim();
        let mut lines = self.lines();
        let connections = lines.entry(line).or_default();
        connections.keep_alive = upstream.keep_alive;
        if connections.idle.len() >= upstream.keep_alive + SPARE {
            // The oldest goes: it is the nearest to its end.
            connections.idle.pop_front();
        }
        connections.idle.push_back(Idle {
            connection,
            since: now,
            until: now + upstream.keep_alive_idle,
        });
    }

    /// Closes what is over its time, was closed by the other side or was needed by a burst only, and forgets endpoints
    /// without connections.
    pub fn sweep(&self, now: Instant) {
        self.http2.sweep(now);
        self.lines().retain(|_, connections| {
            let idle = &mut connections.idle;
            idle.retain(|idle| idle.until > now && idle.connection.is_idle());
            let over = idle.len().saturating_sub(connections.keep_alive);
            let spare = |idle: &&Idle| idle.since + SPARE_TIME <= now;
            let unneeded = idle.iter().take(over).take_while(spare).count();
            idle.drain(..unneeded);
            !idle.is_empty()
        });
    }

    /// Connections that wait here.
    pub fn len(&self) -> usize {
        let lines = self.lines();
        lines.values().map(|each| each.idle.len()).sum()
    }

    /// Whether none waits here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Socket;
    use crate::types::name::UpstreamName;
    use std::net::SocketAddr;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    fn upstream(address: SocketAddr) -> config::Upstream {
        config::Upstream {
            keep_alive: 2,
            ..config::Upstream::plain(UpstreamName::parse("u").unwrap(), [address])
        }
    }

    fn line(address: SocketAddr) -> Line {
        Line {
            address: address.into(),
            security: 0,
            from: None,
        }
    }

    async fn pair() -> (SocketAddr, Box<Connection>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (
            address,
            Box::new(Connection::new(Socket::Plain(near.unwrap()))),
            far.unwrap().0,
        )
    }

    #[tokio::test]
    async fn a_connection_made_in_another_way_is_not_handed_out() {
        let (address, connection, _far) = pair().await;
        let (pool, now) = (Pool::default(), Instant::now());
        pool.put(line(address), connection, &upstream(address), now);
        let secured = Line {
            address: address.into(),
            security: 1,
            from: None,
        };
        assert!(pool.take(&secured, now, false).is_none());
        assert!(pool.take(&line(address), now, false).is_some());
    }

    #[tokio::test]
    async fn an_end_that_the_event_loop_has_not_met_is_seen_before_what_can_be_sent_but_once() {
        let (address, first, far) = pair().await;
        let (pool, now) = (Pool::default(), Instant::now());
        pool.put(line(address), first, &upstream(address), now);
        drop(far);
        // The loop has not turned since.
        let unaware = pool.take(&line(address), now, false).unwrap();
        pool.put(line(address), unaware, &upstream(address), now);
        assert!(pool.take(&line(address), now, true).is_none());
        assert!(pool.is_empty());
    }

    #[tokio::test]
    async fn a_connection_past_its_idle_time_is_not_handed_out() {
        let (address, connection, _far) = pair().await;
        let (pool, now) = (Pool::default(), Instant::now());
        pool.put(line(address), connection, &upstream(address), now);
        assert!(
            pool.take(&line(address), now + Duration::from_secs(5), false)
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_connection_on_which_bytes_came_unasked_is_not_handed_out() {
        let (address, connection, mut far) = pair().await;
        let (pool, now) = (Pool::default(), Instant::now());
        pool.put(line(address), connection, &upstream(address), now);
        far.write_all(b"HTTP/1.1 408 \r\n\r\n").await.unwrap();
        while !pool.is_empty() {
            tokio::task::yield_now().await;
            pool.sweep(now);
        }
        assert!(pool.take(&line(address), now, false).is_none());
    }

    #[tokio::test]
    async fn what_a_burst_needed_beyond_the_upstreams_bound_is_closed_once_it_was_unused_for_a_while()
     {
        let (pool, now) = (Pool::default(), Instant::now());
        let (address, first, mut oldest) = pair().await;
        let (_, second, _b) = pair().await;
        let (_, third, _c) = pair().await;
        for connection in [first, second, third] {
            pool.put(line(address), connection, &upstream(address), now);
        }
        pool.sweep(now + SPARE_TIME / 2);
        assert_eq!(pool.len(), 3);
        pool.sweep(now + SPARE_TIME);
        assert_eq!(pool.len(), 2);
        let mut byte = [0];
        assert!(
            matches!(oldest.read(&mut byte).await, Ok(0)),
            "the oldest goes"
        );
    }
}
