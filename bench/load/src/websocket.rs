//! Echoes through tunnels: each connection has one message under way.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;

use crate::args::Args;
use crate::client::{Link, Target};
use crate::frames;
use crate::report::{self, Times};

struct Tally {
    counting: Cell<bool>,
    failed: Cell<u64>,
    times: RefCell<Times>,
}

/// Sends and awaits until the time is over.
pub async fn run(args: &Args) -> io::Result<()> {
    let size = args.get("size", 64)?;
    let target = Target::new(args, false)?;
    let tally = Rc::new(Tally {
        counting: Cell::new(false),
        failed: Cell::new(0),
        times: RefCell::new(Times::new()?),
    });
    for _ in 0..args.get("connections", 64)? {
        let link = target.websocket().await?;
        let tally = Rc::clone(&tally);
        spawn_local(async move {
            if echo(link, size, &tally).await.is_err() {
                tally.failed.set(tally.failed.get() + 1);
            }
        });
    }
    let seconds = report::count_while(&tally.counting, args.times()?).await?;
    let times = tally.times.borrow();
    report::done(&json!({
        "done": times.count(), "failed": tally.failed.get(), "seconds": seconds,
        "ms": times.json(),
    }))
}

async fn echo(mut link: Box<dyn Link>, size: usize, tally: &Tally) -> io::Result<()> {
    let mut message = Vec::with_capacity(size + 14);
    frames::head(size, true, &mut message);
    message.resize(message.len() + size, b'x');
    let mut answer = Vec::new();
    frames::head(size, false, &mut answer);
    let head = answer.clone();
    answer.resize(head.len() + size, 0);
    loop {
        let began = Instant::now();
        link.write_all(&message).await?;
        link.flush().await?;
        link.read_exact(&mut answer).await?;
        if !answer.starts_with(&head) {
            return Err(io::Error::other("not the echo"));
        }
        if tally.counting.get() {
            tally.times.borrow_mut().add(began.elapsed());
        }
    }
}
