//! Clients that ask at a steady rate and judge every answer byte for byte.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use crate::endpoint::Posts;
use crate::endpoint::body;
use crate::support::Client;

pub(crate) const CLIENTS: u32 = 96;

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub served: u64,
    /// An answer that had begun was cut, and its client could tell.
    pub cut: u64,
    /// Not the bytes that were asked for, and nothing that says so.
    pub looks_whole: u64,
    pub failed_gets: u64,
    /// Their numbers.
    pub failed_posts: Vec<u64>,
    /// The latest cause.
    last_cause: String,
    /// Whether every failed POST had been sent, to an endpoint that then closed.
    pub(crate) only_closed: bool,
}

impl Counts {
    pub(crate) fn total(&self) -> u64 {
        let failed = self.failed_gets + self.failed_posts.len() as u64;
        self.served + self.cut + self.looks_whole + failed
    }

    /// What came after `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            served: self.served - before.served,
            cut: self.cut - before.cut,
            looks_whole: self.looks_whole - before.looks_whole,
            failed_gets: self.failed_gets - before.failed_gets,
            failed_posts: self.failed_posts[before.failed_posts.len()..].to_vec(),
            last_cause: self.last_cause.clone(),
            only_closed: self.only_closed,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gets, posts) = (self.failed_gets, self.failed_posts.len());
        write!(f, "{} served, {} cut", self.served, self.cut)?;
        if gets + posts as u64 > 0 {
            write!(
                f,
                ", failed: {gets} GET, {posts} POST (last: {})",
                self.last_cause
            )?;
        }
        Ok(())
    }
}

/// Clients at work.
pub(crate) struct Load {
    counts: Arc<Mutex<Counts>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Half GETs, half POSTs, `rate` a second in all, under these prefixes with their shares in percent.
    pub(crate) fn start(
        addr: SocketAddr,
        seed: u64,
        rate: u32,
        prefixes: &[(&'static str, u32)],
    ) -> Self {
        let counts = Arc::new(Mutex::new(Counts {
            only_closed: true,
            ..Counts::default()
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let number = Arc::new(AtomicU64::new(1));
        let clients = (0..CLIENTS)
            .map(|index| {
                let mut asker = Asker {
                    addr,
                    client: None,
                    rng: fastrand::Rng::with_seed(seed * 1000 + u64::from(index)),
                    prefixes: prefixes.to_vec(),
                };
                let (counts, stop, number) = (counts.clone(), stop.clone(), number.clone());
                std::thread::spawn(move || {
                    let pause = Duration::from_secs(1) * CLIENTS / rate;
                    let mut next = Instant::now() + pause * index / CLIENTS;
                    while !stop.load(Ordering::SeqCst) {
                        std::thread::sleep(next.saturating_duration_since(Instant::now()));
                        // What could not be kept up with is not caught up with all at once.
                        next = (next + pause).max(Instant::now() - pause);
                        asker.ask(number.fetch_add(1, Ordering::SeqCst), &counts);
                    }
                })
            })
            .collect();
        Self {
            counts,
            stop,
            clients,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    /// Lets every request come to its end.
    pub(crate) fn stop(self) -> Counts {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().expect("a client");
        }
        self.counts.lock().unwrap().clone()
    }
}

struct Asker {
    addr: SocketAddr,
    client: Option<Client>,
    rng: fastrand::Rng,
    prefixes: Vec<(&'static str, u32)>,
}

impl Asker {
    fn ask(&mut self, number: u64, counts: &Mutex<Counts>) {
        let mut lot = self.rng.u32(0..100);
        let share = self.prefixes.iter().find(|(_, share)| {
            let hit = lot < *share;
            lot = lot.saturating_sub(*share);
            hit
        });
        let prefix = share.map_or("/", |(prefix, _)| *prefix);
        let length = *self.rng.choice(&[10, 300, 5_000, 60_000]).unwrap();
        let is_post = self.rng.bool();
        let request = if is_post {
            let sent = body(self.rng.usize(0..3_000), number);
            let head = format!(
                "POST {prefix}p/{length}/{number} HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {}\r\n\r\n",
                sent.len()
            );
            [head.as_bytes(), &sent].concat()
        } else {
            format!("GET {prefix}g/{length}/{number} HTTP/1.1\r\nHost: hub.test\r\n\r\n")
                .into_bytes()
        };
        let mut client = self
            .client
            .take()
            .unwrap_or_else(|| Client::plain(self.addr));
        let answer = client.try_exchange(request);
        let mut counts = counts.lock().unwrap();
        let mut failed = |cause: &str| {
            counts.last_cause = cause.to_owned();
            counts.only_closed &= !is_post || ["upstream_closed", "upstream_send"].contains(&cause);
            match is_post {
                true => counts.failed_posts.push(number),
                false => counts.failed_gets += 1,
            }
        };
        match answer {
            Err(fault) => failed(&format!("{fault:?}")),
            Ok(answer) if answer.status != 200 => {
                failed(&answer.head.one("x-hubgate-cause"));
                let closes =
                    answer.head.has("connection") && answer.head.one("connection") == "close";
                self.client = (answer.complete.is_ok() && !closes).then_some(client);
            }
            Ok(answer) if answer.complete.is_err() => counts.cut += 1,
            Ok(answer) if answer.body.bytes == body(length, number) => {
                counts.served += 1;
                let closes =
                    answer.head.has("connection") && answer.head.one("connection") == "close";
                self.client = (!closes).then_some(client);
            }
            Ok(_) => counts.looks_whole += 1,
        }
    }
}
