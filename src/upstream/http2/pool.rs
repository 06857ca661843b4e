//! A worker's HTTP/2 connections, and which of them takes the next request.
//!
//! The first with room does, so that the others empty and end. When none has room one more is made, by a task of its
//! own: whoever waits for it may leave, and those who stay share it, or its failure. Invariant: no more requests wait
//! for a connection than it is expected to take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::connection::{Connection, PATIENCE, STREAMS};
use super::stream::Stream;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::connect::{ConnectError, ConnectLimits, Connector, Line};

/// Connections that one request has made of which each is over before it takes anything: an endpoint that stops does
/// so to a few, one that does it to all takes no requests.
const MADE_IN_VAIN: usize = 5;

/// The connections of one worker.
#[derive(Clone, Default)]
pub struct Pool {
    lines: Arc<Mutex<HashMap<Line, Connections>>>,
}

#[derive(Default)]
struct Connections {
    open: Vec<Connection>,
    attempts: Vec<Attempt>,
    /// How long one is kept without a stream.
    idle: Duration,
}

/// A connection that is being made.
struct Attempt {
    waiting: usize,
    outcome: watch::Receiver<Outcome>,
}

/// `None` until it is known.
type Outcome = Option<Result<(), Arc<ConnectError>>>;

/// What a request has to wait for.
enum Wanted {
    /// A connection that is being made.
    Attempt(watch::Receiver<Outcome>),
    /// One that has to be made; whether there are others, which are full.
    Connection { others: bool },
}

/// A place for a request.
pub struct Taken {
    /// The stream, not begun.
    pub stream: Box<Stream>,
    /// Whether its connection has answered a request before.
    pub reused: bool,
    /// Whether a connection had to be made.
    pub opened: bool,
}

impl Pool {
    /// A stream on `line`, on a connection that is there or is made by `connector`. One that is `fresh` does not count
    /// as reused, whatever its connection has done.
    pub async fn take(
        &self,
        line: Line,
        connector: &Connector,
        limits: ConnectLimits,
        idle: Duration,
        fresh: bool,
    ) -> Result<Taken, Arc<ConnectError>> {
        let mut opened = false;
        let mut in_vain = 0;
        loop {
            let mut outcome = match self.enter(line, idle) {
                Ok((stream, reused)) => {
                    let reused = reused && !fresh;
                    return Ok(Taken {
                        stream,
                        reused,
                        opened,
                    });
                }
                Err(Wanted::Attempt(outcome)) => outcome,
                Err(Wanted::Connection { others }) => {
                    if opened && !others {
                        in_vain += 1;
                    }
                    if in_vain == MADE_IN_VAIN {
                        return Err(Arc::new(ConnectError::gone(line.address)));
                    }
                    opened = true;
                    self.begin(line, connector.clone(), limits)
                }
            };
            let known = outcome.wait_for(Option::is_some).await;
            let known = known.map(|outcome| outcome.clone());
            match known {
                Ok(Some(Err(error))) => return Err(error),
                Ok(_) => {}
                // The task is gone, and the process with it.
                Err(_) => return Err(Arc::new(ConnectError::gone(line.address))),
            }
        }
    }

    /// A stream and whether its connection has served, or what to wait for.
    fn enter(&self, line: Line, idle: Duration) -> Result<(Box<Stream>, bool), Wanted> {
        let now = crate::transport::now();
        let mut lines = self.lines.lock();
        let connections = lines.entry(line).or_default();
        connections.idle = idle;
        connections.open.retain(|connection| !connection.is_over());
        for connection in &connections.open {
            if let Some((send, place)) = connection.enter(now) {
                let reused = connection.state.has_served();
                let stream = Stream::new(send, place, line.scheme());
                return Ok((Box::new(stream), reused));
            }
        }
        let others = !connections.open.is_empty();
        let mut attempts = connections.attempts.iter_mut();
        Err(match attempts.find(|attempt| attempt.waiting < STREAMS) {
            Some(attempt) => {
                attempt.waiting += 1;
                Wanted::Attempt(attempt.outcome.clone())
            }
            None => Wanted::Connection { others },
        })
    }

    /// Has a connection made.
    fn begin(
        &self,
        line: Line,
        connector: Connector,
        limits: ConnectLimits,
    ) -> watch::Receiver<Outcome> {
        let (tell, outcome) = watch::channel(None);
        let attempt = Attempt {
            waiting: 1,
            outcome: outcome.clone(),
        };
        self.lines
            .lock()
            .entry(line)
            .or_default()
            .attempts
            .push(attempt);
        let lines = Arc::clone(&self.lines);
        tokio::spawn(async move {
            let made = make(line, &connector, limits).await;
            let mut lines = lines.lock();
            let connections = lines.entry(line).or_default();
            let own = tell.subscribe();
            connections
                .attempts
                .retain(|attempt| !attempt.outcome.same_channel(&own));
            let made = made.map(|connection| connections.open.push(connection));
            drop(lines);
            tell.send_replace(Some(made.map_err(Arc::new)));
        });
        outcome
    }

    /// Lets go of connections that have been idle for too long or are over, and forgets lines without any.
    pub fn sweep(&self, now: Instant) {
        self.lines.lock().retain(|_, connections| {
            let idle = connections.idle;
            connections.open.retain(|connection| {
                let over = connection.idle_since().is_some_and(|at| at + idle <= now);
                !over && !connection.is_over()
            });
            !(connections.open.is_empty() && connections.attempts.is_empty())
        });
    }

    /// Connections that are open.
    pub fn len(&self) -> usize {
        let lines = self.lines.lock();
        lines.values().map(|each| each.open.len()).sum()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A stream on a connection of its own, which ends with it.
pub async fn alone(
    connector: &Connector,
    address: EndpointAddress,
    limits: ConnectLimits,
) -> Result<Box<Stream>, ConnectError> {
    let line = connector.line(address);
    let connection = make(line, connector, limits).await?;
    let entered = connection.enter(crate::transport::now());
    let (send, place) = entered.ok_or_else(|| ConnectError::gone(address))?;
    Ok(Box::new(Stream::new(send, place, line.scheme())))
}

async fn make(
    line: Line,
    connector: &Connector,
    limits: ConnectLimits,
) -> Result<Connection, ConnectError> {
    let (address, limit) = (line.address, limits.tcp);
    let socket = connector.http2_socket(line, limits).await?;
    match tokio::time::timeout(limit, Connection::open(socket, PATIENCE)).await {
        Ok(opened) => opened.map_err(|source| ConnectError::Http2 { address, source }),
        Err(_) => Err(ConnectError::TimedOut { address, limit }),
    }
}
