//! Requests at a constant rate, each timed from when it was due.
//!
//! A request goes out when it is due and a connection is free; what waits for a connection waits on the clock, so a
//! proxy that stalls pays for every request that it held up (no coordinated omission).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::args::Args;
use crate::client::{self, Link, Reader, Target};
use crate::pace::Pace;
use crate::report::{self, Times};

struct Shared {
    waiting: RefCell<VecDeque<Instant>>,
    arrived: Notify,
    times: RefCell<Times>,
    late: RefCell<Times>,
    failed: RefCell<u64>,
    counted_from: RefCell<Option<Instant>>,
}

/// Sends at the rate until the time is over, then waits for what is under way.
pub async fn run(args: &Args) -> io::Result<()> {
    let (warm, seconds) = args.times()?;
    let rate: f64 = args.get("rate", 1000.0)?;
    let target = Target::new(args, false)?;
    let request: Rc<[u8]> = client::request(&args.get("path", "/6".to_owned())?).into();
    let shared = Rc::new(Shared {
        waiting: RefCell::default(),
        arrived: Notify::new(),
        times: RefCell::new(Times::new()?),
        late: RefCell::new(Times::new()?),
        failed: RefCell::default(),
        counted_from: RefCell::default(),
    });
    let connections = args.get("connections", 64)?;
    for _ in 0..connections {
        let link = target.connect().await?;
        let (shared, request) = (Rc::clone(&shared), Rc::clone(&request));
        spawn_local(async move {
            if let Err(error) = answer(link, &request, &shared).await {
                eprintln!("load latency: {error}");
                *shared.failed.borrow_mut() += 1;
            }
        });
    }
    send(&shared, rate, warm, false).await?;
    let began = Instant::now();
    *shared.counted_from.borrow_mut() = Some(began);
    report::ready()?;
    let due = send(&shared, rate, seconds, true).await?;
    let sent_in = began.elapsed();
    let settle = Instant::now() + Duration::from_secs(5);
    while shared.times.borrow().count() < due && Instant::now() < settle {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let times = shared.times.borrow();
    report::done(&json!({
        "done": times.count(), "failed": due.saturating_sub(times.count()), "seconds": sent_in.as_secs_f64(), "rate": rate,
        "ms": times.json(), "generator_late_ms": shared.late.borrow().json(),
    }))
}

/// Puts requests up as they fall due; returns how many.
async fn send(shared: &Shared, rate: f64, time: Duration, counted: bool) -> io::Result<u64> {
    let pace = Pace::new()?;
    let began = Instant::now();
    let total = (rate * time.as_secs_f64()) as u64;
    for number in 0..total {
        let due = began + Duration::from_secs_f64(number as f64 / rate);
        pace.until(due).await?;
        if counted {
            shared.late.borrow_mut().add(due.elapsed());
        }
        shared.waiting.borrow_mut().push_back(due);
        shared.arrived.notify_one();
    }
    Ok(total)
}

/// One connection: takes what is due, answers it, counts it.
async fn answer(mut link: Box<dyn Link>, request: &[u8], shared: &Shared) -> io::Result<()> {
    let mut reader = Reader::default();
    loop {
        let next = shared.waiting.borrow_mut().pop_front();
        let Some(due) = next else {
            shared.arrived.notified().await;
            continue;
        };
        client::get(&mut link, &mut reader, request).await?;
        if shared.counted_from.borrow().is_some_and(|from| due >= from) {
            shared.times.borrow_mut().add(due.elapsed());
        }
    }
}
