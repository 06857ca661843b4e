//! A worker: one thread with its own event loop, its own connections to endpoints and a share of the listeners.
//!
//! Workers share nothing that moves per request but counters. A connection stays with the worker that accepted it.
//! Invariant: a panic outside a connection's task, after which some clients would find nobody, is told to the process.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::Socket;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::privileges::Account;
use crate::listener::accept::{ListenerKey, accept, accept_waiting};
use crate::listener::beat::Beat;
use crate::listener::connection::Context;
use crate::listener::datagrams::Post;
use crate::listener::door::Door;
use crate::observe::metrics::ListenerKind;
use crate::observe::open::{Book, Look};
use crate::upstream::pool::Pool;

/// Idle connections to endpoints are looked through this often.
const SWEEP: Duration = Duration::from_secs(1);

/// What a worker is told.
pub(super) enum Order {
    /// Accept from this socket.
    Listen(ListenerKey, Socket),
    /// Have every accept loop woken and answer for this round.
    Beat(u64),
    /// Say what is open: all by number, and so many of the oldest.
    Look(usize, oneshot::Sender<Look>),
    /// Accept what waits at this address, and no more; connections go on.
    Unlisten(ListenerKey),
    /// End, and all connections with it.
    Stop,
}

/// Tells the process that a thread or task which clients rely on ended by a panic.
#[derive(Clone, Default)]
pub(super) struct Deaf(Arc<Notify>);

impl Deaf {
    /// Raised when it is dropped by a panic. Belongs to the thread or task that must not end so.
    fn alarm(&self) -> Alarm {
        Alarm(self.clone())
    }

    /// Waits for the first alarm.
    pub(super) async fn heard(&self) {
        self.0.notified().await;
    }
}

struct Alarm(Deaf);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.notify_one();
        }
    }
}

/// A worker in the hands of the process.
pub(super) struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
    pulse: Arc<Pulse>,
}

/// How a worker shows that it is alive.
#[derive(Debug, Default)]
struct Pulse {
    /// The last round in which it took the order.
    round: AtomicU64,
    /// Its accept loops. An address may have more sockets than there are workers.
    loops: Mutex<HashMap<ListenerKey, Vec<Arc<Beat>>>>,
}

/// An accept loop, and where connections may wait for it.
struct Accepting {
    task: AbortHandle,
    door: Option<Arc<Door>>,
}

impl Accepting {
    fn begin(
        key: &ListenerKey,
        socket: Socket,
        context: &Arc<Context>,
        alarm: Alarm,
        beat: Arc<Beat>,
    ) -> io::Result<Self> {
        let (context, at) = (context.clone(), key.clone());
        if key.1 == ListenerKind::Udp {
            let post = Post::new(&key.0, socket)?;
            let task = tokio::spawn(async move {
                post.receive(at, context, &beat).await;
                drop(alarm);
            });
            let (task, door) = (task.abort_handle(), None);
            return Ok(Self { task, door });
        }
        let door = Arc::new(Door::new(&key.0, socket)?);
        let own = door.clone();
        let task = tokio::spawn(async move {
            accept(own, at, context, &beat).await;
            drop(alarm);
        });
        let (task, door) = (task.abort_handle(), Some(door));
        Ok(Self { task, door })
    }
}

impl Worker {
    /// Starts worker number `index`, as an account's if there is one; `context` is made for its own pool and book.
    pub(super) fn start(
        index: usize,
        account: Option<Account>,
        deaf: Deaf,
        context: impl FnOnce(Arc<Pool>, Arc<Book>) -> Context + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let pulse = Arc::new(Pulse::default());
        let own = pulse.clone();
        let (enter, entered) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                // Before anything of a client's is touched.
                let done = account.map_or(Ok(()), |account| account.enter_thread());
                let fails = done.is_err();
                if enter.send(done).is_err() || fails {
                    return;
                }
                let alarm = deaf.alarm();
                // Made here: both are their thread's alone.
                let (pool, book) = (Arc::new(Pool::default()), Arc::new(Book::default()));
                let context = Arc::new(context(pool, book));
                runtime.block_on(obey(inbox, context, &deaf, &own));
                drop(alarm);
                runtime.shutdown_background();
            })?;
        entered.recv().map_err(io::Error::other)??;
        Ok(Self {
            orders,
            thread,
            pulse,
        })
    }

    /// Tells the worker something. A worker that has ended takes no orders, which the process notices at its stop.
    pub(super) fn tell(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!(worker = self.thread.thread().name(), "the worker has ended");
        }
    }

    /// Whether it has not answered for `round` with all its accept loops.
    pub(super) fn is_late(&self, round: u64) -> bool {
        let loops = self.pulse.loops.lock();
        self.pulse.round.load(Ordering::Acquire) < round
            || loops.values().flatten().any(|beat| beat.is_late(round))
    }

    /// As in logs.
    pub(super) fn name(&self) -> &str {
        self.thread.thread().name().unwrap_or_default()
    }

    /// Waits for its end after [`Order::Stop`].
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a worker ended with a panic");
        }
    }
}

async fn obey(
    mut inbox: mpsc::UnboundedReceiver<Order>,
    context: Arc<Context>,
    deaf: &Deaf,
    pulse: &Pulse,
) {
    let mut listening: HashMap<ListenerKey, Vec<Accepting>> = HashMap::new();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let order = tokio::select! {
            order = inbox.recv() => order,
            _ = sweep.tick() => {
                context.pool.sweep(crate::transport::now());
                continue;
            }
        };
        match order {
            Some(Order::Listen(key, socket)) => {
                let beat = Arc::new(Beat::default());
                match Accepting::begin(&key, socket, &context, deaf.alarm(), beat.clone()) {
                    Ok(accepting) => {
                        let mut loops = pulse.loops.lock();
                        loops.entry(key.clone()).or_default().push(beat);
                        listening.entry(key).or_default().push(accepting);
                    }
                    Err(error) => {
                        tracing::error!(address = %key.0, %error, "a worker cannot watch the listener")
                    }
                }
            }
            Some(Order::Beat(round)) => {
                pulse.round.store(round, Ordering::Release);
                let loops = pulse.loops.lock();
                loops.values().flatten().for_each(|beat| beat.ask(round));
            }
            Some(Order::Look(most, reply)) => {
                // Whoever asked may have stopped waiting.
                drop(reply.send(context.book.look(most)));
            }
            Some(Order::Unlisten(key)) => {
                pulse.loops.lock().remove(&key);
                for Accepting { task, door } in listening.remove(&key).unwrap_or_default() {
                    task.abort();
                    if let Some(door) = door {
                        accept_waiting(&door, &key, &context);
                    }
                }
            }
            Some(Order::Stop) | None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_raises_the_alarm_and_one_that_ends_does_not() {
        let deaf = Deaf::default();
        let alarm = deaf.alarm();
        tokio::spawn(async move { drop(alarm) }).await.unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(20), deaf.heard()).await;
        assert!(quiet.is_err());
        let alarm = deaf.alarm();
        let task = tokio::spawn(async move {
            let _alarm = alarm;
            panic!("a defect");
        });
        assert!(task.await.is_err());
        let heard = tokio::time::timeout(Duration::from_secs(5), deaf.heard()).await;
        assert!(heard.is_ok());
    }
}
