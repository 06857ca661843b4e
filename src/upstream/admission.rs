//! How much an upstream gets at once, over all workers: requests in flight, connections in use, and a queue before both.
//!
//! A [`Place`] is held by whoever may send; dropping it lets the next one in, in the order they came. Invariant: a request
//! that is given up while it waits, whoever gives it up, leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::UpstreamLimits;
use crate::types::cause::Cause;

/// The limits of one upstream, and what of them is taken.
#[derive(Debug)]
pub struct Admission {
    limits: UpstreamLimits,
    in_flight: Option<Arc<Semaphore>>,
    connections: Option<Arc<Semaphore>>,
    waiting: AtomicUsize,
}

/// One request's part of the limits.
#[derive(Debug, Default)]
#[must_use = "a dropped place is another's"]
pub struct Place {
    in_flight: Option<OwnedSemaphorePermit>,
    /// Kept for its drop.
    _connection: Option<OwnedSemaphorePermit>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As many wait as may.
    #[error("the queue is full")]
    QueueFull,
    /// It waited for as long as it may.
    #[error("the wait was too long")]
    QueueTimeout,
}

impl From<Refused> for Cause {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::QueueFull => Self::QueueFull,
            Refused::QueueTimeout => Self::QueueTimeout,
        }
    }
}

impl Place {
    /// What a tunnel keeps of it.
    pub fn of_tunnel(mut self) -> Self {
        self.in_flight = None;
        self
    }
}

/// One in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// For these limits; `None` when there is none.
    pub fn new(limits: UpstreamLimits) -> Option<Self> {
        let semaphore = |limit: usize| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        let limited = limits.connections.is_some() || limits.in_flight.is_some();
        limited.then(|| Self {
            limits,
            in_flight: limits.in_flight.map(semaphore),
            connections: limits.connections.map(semaphore),
            waiting: AtomicUsize::new(0),
        })
    }

    /// What it was made for.
    pub fn limits(&self) -> &UpstreamLimits {
        &self.limits
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place after a wait in the queue, if there is room in it. May be dropped at any time.
    pub async fn wait(&self) -> Result<Place, Refused> {
        let room = self
            .waiting
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < self.limits.queue).then_some(waiting + 1)
            });
        room.map_err(|_| Refused::QueueFull)?;
        let _waiting = Waiting(&self.waiting);
        tokio::time::timeout(self.limits.queue_timeout, self.turn())
            .await
            .map_err(|_| Refused::QueueTimeout)
    }

    /// A place at once; `None` when nothing is free, or others wait for it.
    pub fn try_enter(&self) -> Option<Place> {
        let one = |semaphore: &Option<Arc<Semaphore>>| match semaphore {
            Some(semaphore) => semaphore.clone().try_acquire_owned().ok().map(Some),
            None => Some(None),
        };
        Some(Place {
            in_flight: one(&self.in_flight)?,
            _connection: one(&self.connections)?,
        })
    }

    async fn turn(&self) -> Place {
        // The semaphores are never closed, so that there always is a permit in the end.
        async fn one(semaphore: &Option<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
            semaphore.clone()?.acquire_owned().await.ok()
        }
        let connection = one(&self.connections).await;
        Place {
            in_flight: one(&self.in_flight).await,
            _connection: connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn admission(connections: Option<usize>, in_flight: Option<usize>, queue: usize) -> Admission {
        Admission::new(UpstreamLimits {
            connections,
            in_flight,
            queue,
            queue_timeout: Duration::from_secs(5),
        })
        .unwrap()
    }

    async fn enter(admission: &Admission) -> Result<Place, Refused> {
        match admission.try_enter() {
            Some(place) => Ok(place),
            None => admission.wait().await,
        }
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_ask() {
        assert!(Admission::new(UpstreamLimits::default()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_after_the_limit_waits_and_who_comes_after_the_queue_does_not() {
        let admission = Arc::new(admission(None, Some(1), 1));
        let first = enter(&admission).await.unwrap();
        let waiter = tokio::spawn({
            let admission = admission.clone();
            async move { enter(&admission).await.map(drop) }
        });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(enter(&admission).await.unwrap_err(), Refused::QueueFull);
        drop(first);
        assert_eq!(waiter.await.unwrap(), Ok(()));
        assert_eq!(admission.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_time_or_with_the_request_and_leaves_nothing_behind() {
        let admission = admission(None, Some(1), 10);
        let held = enter(&admission).await.unwrap();
        assert_eq!(enter(&admission).await.unwrap_err(), Refused::QueueTimeout);
        let abandoned = tokio::time::timeout(Duration::from_secs(1), enter(&admission)).await;
        assert!(abandoned.is_err());
        assert_eq!(admission.waiting(), 0);
        drop(held);
        assert!(enter(&admission).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_keeps_its_connection_and_not_its_place_in_flight() {
        let admission = admission(Some(2), Some(1), 0);
        let tunnel = enter(&admission).await.unwrap().of_tunnel();
        let request = enter(&admission).await.unwrap();
        assert!(enter(&admission).await.is_err());
        drop(request);
        let second = enter(&admission).await.unwrap().of_tunnel();
        assert!(enter(&admission).await.is_err(), "two connections are all");
        drop((tunnel, second));
        assert!(enter(&admission).await.is_ok());
    }
}
