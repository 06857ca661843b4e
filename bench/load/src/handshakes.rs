//! A connection, a full handshake and a request each, over and over.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Instant;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_local;

use crate::args::Args;
use crate::client::{self, Reader, Target};
use crate::report::{self, Times};

/// As many at a time as there are connections.
pub async fn run(args: &Args) -> io::Result<()> {
    let target = Rc::new(Target::new(args, true)?);
    let request = Rc::new(client::request(&args.get("path", "/6".to_owned())?));
    let times = Rc::new(RefCell::new(Times::new()?));
    let failed = Rc::new(Cell::new(0u64));
    let counting = Rc::new(Cell::new(false));
    for _ in 0..args.get("connections", 64)? {
        let (target, request) = (Rc::clone(&target), Rc::clone(&request));
        let (times, failed, counting) =
            (Rc::clone(&times), Rc::clone(&failed), Rc::clone(&counting));
        spawn_local(async move {
            loop {
                let began = Instant::now();
                match once(&target, &request).await {
                    Ok(()) if counting.get() => times.borrow_mut().add(began.elapsed()),
                    Ok(()) => {}
                    Err(_) => failed.set(failed.get() + 1),
                }
            }
        });
    }
    let seconds = report::count_while(&counting, args.times()?).await?;
    let times = times.borrow();
    report::done(&json!({
        "done": times.count(), "failed": failed.get(), "seconds": seconds, "ms": times.json(),
    }))
}

async fn once(target: &Target, request: &[u8]) -> io::Result<()> {
    let mut link = target.connect().await?;
    client::get(&mut link, &mut Reader::default(), request).await?;
    link.shutdown().await
}
