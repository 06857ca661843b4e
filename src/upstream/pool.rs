//! Idle connections to endpoints, one pool per worker.
//!
//! A connection belongs to the worker whose reactor it is registered with, so pools are never shared and their lock is
//! never contended. A connection is handed out only while nothing has come on it and its idle time is not over; a sweep
//! closes the others. Bounds: per endpoint, by the upstream's `keep_alive`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::config;
use crate::transport::Link;

struct Idle {
    link: Arc<Link>,
    until: Instant,
}

/// A worker's idle connections.
#[derive(Default)]
pub struct Pool {
    idle: Mutex<HashMap<SocketAddr, Vec<Idle>>>,
}

impl Pool {
    /// The most recently used connection to `address` that can still be used.
    pub fn take(&self, address: &SocketAddr, now: Instant) -> Option<Arc<Link>> {
        let mut pool = self.idle.lock();
        let connections = pool.get_mut(address)?;
        while let Some(idle) = connections.pop() {
            if idle.until > now && idle.link.is_reusable() {
                return Some(idle.link);
            }
        }
        None
    }

    /// Keeps a connection for the next request to `address`, within the upstream's bounds.
    pub fn put(
        &self,
        address: SocketAddr,
        link: Arc<Link>,
        upstream: &config::Upstream,
        now: Instant,
    ) {
        if upstream.keep_alive == 0 || !link.is_reusable() {
            return;
        }
        let mut pool = self.idle.lock();
        let connections = pool.entry(address).or_default();
        if connections.len() >= upstream.keep_alive {
            // The oldest goes: it is the nearest to its end.
            connections.remove(0);
        }
        connections.push(Idle {
            link,
            until: now + upstream.keep_alive_idle,
        });
    }

    /// Closes what is over its time or was closed by the other side, and forgets endpoints without connections.
    pub fn sweep(&self, now: Instant) {
        self.idle.lock().retain(|_, connections| {
            connections.retain(|idle| idle.until > now && idle.link.is_reusable());
            !connections.is_empty()
        });
    }

    /// Connections that wait here.
    pub fn len(&self) -> usize {
        self.idle.lock().values().map(Vec::len).sum()
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
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    fn upstream(address: SocketAddr) -> config::Upstream {
        config::Upstream {
            name: UpstreamName::parse("u").unwrap(),
            endpoints: vec![address],
            keep_alive: 2,
            keep_alive_idle: Duration::from_secs(4),
        }
    }

    async fn pair() -> (SocketAddr, Arc<Link>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (
            address,
            Arc::new(Link::new(Socket::Plain(near.unwrap()), None)),
            far.unwrap().0,
        )
    }

    #[tokio::test]
    async fn a_connection_past_its_idle_time_is_not_handed_out() {
        let (address, link, _far) = pair().await;
        let (pool, now) = (Pool::default(), Instant::now());
        pool.put(address, link, &upstream(address), now);
        assert!(pool.take(&address, now + Duration::from_secs(5)).is_none());
    }

    #[tokio::test]
    async fn a_connection_on_which_bytes_came_unasked_is_not_handed_out() {
        let (address, link, mut far) = pair().await;
        let (pool, now) = (Pool::default(), Instant::now());
        pool.put(address, link.clone(), &upstream(address), now);
        far.write_all(b"HTTP/1.1 408 \r\n\r\n").await.unwrap();
        while link.is_reusable() {
            tokio::task::yield_now().await;
        }
        assert!(pool.take(&address, now).is_none());
    }

    #[tokio::test]
    async fn the_pool_keeps_no_more_than_the_upstream_allows() {
        let (pool, now) = (Pool::default(), Instant::now());
        let (address, first, _a) = pair().await;
        let (_, second, _b) = pair().await;
        let (_, third, _c) = pair().await;
        for link in [first, second, third] {
            pool.put(address, link, &upstream(address), now);
        }
        assert_eq!(pool.len(), 2);
    }
}
