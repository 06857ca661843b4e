//! A worker: one thread with its own event loop, its own connections to endpoints and a share of the listeners.
//!
//! Workers share nothing that moves per request but counters. A connection stays with the worker that accepted it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::listener::accept::accept;
use crate::listener::connection::Context;
use crate::observe::metrics::ListenerKind;
use crate::upstream::pool::Pool;

/// Idle connections to endpoints are looked through this often.
const SWEEP: Duration = Duration::from_secs(1);

/// A listener by the address in the configuration, which may have port 0, and its kind.
pub(super) type ListenerKey = (SocketAddr, ListenerKind);

/// What a worker is told.
pub(super) enum Order {
    /// Accept from this socket.
    Listen(ListenerKey, TcpListener),
    /// Accept from this address no more; connections go on.
    Unlisten(ListenerKey),
    /// End, and all connections with it.
    Stop,
}

/// A worker in the hands of the process.
pub(super) struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts worker number `index`; `context` is made for its own pool.
    pub(super) fn start(
        index: usize,
        context: impl FnOnce(Arc<Pool>) -> Context,
    ) -> io::Result<Self> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let context = Arc::new(context(Arc::new(Pool::default())));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                runtime.block_on(obey(inbox, context));
                runtime.shutdown_background();
            })?;
        Ok(Self { orders, thread })
    }

    /// Tells the worker something. A worker that has ended takes no orders, which the process notices at its stop.
    pub(super) fn tell(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!(worker = self.thread.thread().name(), "the worker has ended");
        }
    }

    /// Waits for its end after [`Order::Stop`].
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a worker ended with a panic");
        }
    }
}

async fn obey(mut inbox: mpsc::UnboundedReceiver<Order>, context: Arc<Context>) {
    let mut listening: HashMap<ListenerKey, AbortHandle> = HashMap::new();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let order = tokio::select! {
            order = inbox.recv() => order,
            _ = sweep.tick() => {
                context.pool.sweep(tokio::time::Instant::now().into_std());
                continue;
            }
        };
        match order {
            Some(Order::Listen(key, socket)) => match tokio::net::TcpListener::from_std(socket) {
                Ok(socket) => {
                    let task = tokio::spawn(accept(socket, key.1, context.clone()));
                    listening.insert(key, task.abort_handle());
                }
                Err(error) => {
                    tracing::error!(address = %key.0, %error, "a worker cannot watch the listener")
                }
            },
            Some(Order::Unlisten(key)) => {
                if let Some(task) = listening.remove(&key) {
                    task.abort();
                }
            }
            Some(Order::Stop) | None => return,
        }
    }
}
