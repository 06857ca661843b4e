//! Many event streams at once; the delay of an event is from when the origin owed it to when it is read here.
//!
//! An event is `data: ` and twenty digits: nanoseconds on the clock that all processes of a host share. A stream's
//! events are owed a second apart, so whoever gets another number than the seconds ask for has lost some.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinSet, spawn_local};

use crate::args::Args;
use crate::client::{self, Link, Reader, Target, expect, patiently};
use crate::report::{self, Times};

/// What the origin writes before the digits.
pub const MARK: &[u8] = b"data: ";
/// How many digits there are.
pub const DIGITS: usize = 20;
const AT_ONCE: usize = 32;

struct Tally {
    counting: Cell<bool>,
    ended: Cell<u64>,
    skipped: Cell<u64>,
    times: RefCell<Times>,
}

/// Reads them all until the time is over.
pub async fn run(args: &Args) -> io::Result<()> {
    let streams: usize = args.get("connections", 1000)?;
    let target = Rc::new(Target::new(args, false)?);
    let tally = Rc::new(Tally {
        counting: Cell::new(false),
        ended: Cell::new(0),
        skipped: Cell::new(0),
        times: RefCell::new(Times::new()?),
    });
    let mut opening = JoinSet::new();
    for number in 0..AT_ONCE {
        let (target, tally) = (Rc::clone(&target), Rc::clone(&tally));
        let share = streams / AT_ONCE + usize::from(number < streams % AT_ONCE);
        opening.spawn_local(async move {
            for _ in 0..share {
                let (link, rest) = open(&target).await?;
                let tally = Rc::clone(&tally);
                spawn_local(async move {
                    let _ended = read(link, rest, &tally).await;
                    tally.ended.set(tally.ended.get() + 1);
                });
            }
            Ok::<_, io::Error>(())
        });
    }
    while let Some(result) = opening.join_next().await {
        result.map_err(io::Error::other)??;
    }
    let seconds = report::count_while(&tally.counting, args.times()?).await?;
    let times = tally.times.borrow();
    report::done(&json!({
        "done": times.count(), "failed": tally.ended.get() + tally.skipped.get(), "streams": streams,
        "seconds": seconds, "ms": times.json(),
    }))
}

async fn open(target: &Target) -> io::Result<(Box<dyn Link>, Vec<u8>)> {
    let mut link = target.connect().await?;
    let mut reader = Reader::default();
    patiently(async {
        link.write_all(&client::request("/events")).await?;
        link.flush().await?;
        expect(reader.head(&mut link).await?.status, 200)
    })
    .await?;
    Ok((link, reader.rest().to_vec()))
}

async fn read(mut link: Box<dyn Link>, mut rest: Vec<u8>, tally: &Tally) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let mut last = None;
    loop {
        while let Some((owed, used)) = event(&rest) {
            rest.drain(..used);
            if last.is_some_and(|last: Duration| (owed - last).as_secs_f64() > 1.5) {
                tally.skipped.set(tally.skipped.get() + 1);
            }
            last = Some(owed);
            if tally.counting.get() {
                tally.times.borrow_mut().add(now()?.saturating_sub(owed));
            }
        }
        let count = link.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        rest.extend(&buffer[..count]);
    }
}

/// The first event, and where it ends.
fn event(bytes: &[u8]) -> Option<(Duration, usize)> {
    let begin = bytes.windows(MARK.len()).position(|some| some == MARK)? + MARK.len();
    let digits = bytes.get(begin..begin + DIGITS)?;
    let nanos = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((Duration::from_nanos(nanos), begin + DIGITS))
}

/// The clock that origin and generator share.
pub fn now() -> io::Result<Duration> {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    Ok(Duration::from(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_found_behind_chunk_sizes_and_only_when_whole() {
        let bytes = b"1c\r\ndata: 00000000000000000042\n\n\r\n";
        let (owed, used) = event(bytes).unwrap();
        assert_eq!(
            (owed, &bytes[used..]),
            (Duration::from_nanos(42), &b"\n\n\r\n"[..])
        );
        assert_eq!(event(&bytes[..20]), None);
    }
}
