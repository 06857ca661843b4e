//! Work that no request waits for, kept from making one wait: reading a configuration, telling the log of a large reload,
//! freeing what went.
//!
//! One thread does it all, in its order, which steps back: the workers go first. What a generation is made of is taken and
//! given back by the same thread, whose heap the next one finds: made by any thread of a pool, each of a hundred reloads
//! left another's heap half empty (docs/soak.md). Threads of the class SCHED_IDLE were tried and made requests wait longer,
//! not shorter (docs/performance.md).

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::types::pause::pauses;

/// What `nice` adds for threads that step back.
const STEP_BACK: i32 = 10;
/// Work goes on for so long before others are let ahead,
const PIECE: Duration = Duration::from_micros(100);
/// and at most for so long where they take their time.
const LONG_PIECE: Duration = Duration::from_millis(2);
/// The part of others' time that it takes at least, as the kernel would give it.
const SHARE: u32 = 10;
/// Whether something is still used is asked this often.
const LOOK: Duration = Duration::from_secs(1);

type Work = Box<dyn FnOnce() + Send>;

/// To the thread; `None` when the system had none to give. Reloads have their turns, and each leaves a few pieces of work.
static THREAD: LazyLock<Option<Sender<Work>>> = LazyLock::new(begin);

/// Starts the thread: whoever starts it gives it its rights.
pub(super) fn begin_now() {
    LazyLock::force(&THREAD);
}

/// Does work by a thread that ends with it: what the work takes beside what it gives, which for reading a configuration is
/// several times as much, is then there for the thread that reads the next one, and not kept by this one for nothing.
pub fn apart<T: Send>(work: impl Fn() -> T + Sync) -> T {
    thread::scope(|scope| {
        let working = thread::Builder::new().spawn_scoped(scope, &work);
        match working.map(|working| working.join()) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => work(),
        }
    })
}

fn begin() -> Option<Sender<Work>> {
    let (queue, works) = channel::<Work>();
    let named = thread::Builder::new().name("background".to_owned());
    let begun = named.spawn(move || {
        step_back();
        pauses(give_way);
        for work in works {
            // A panic has been told by the hook. Whoever waits for the outcome learns that there is none.
            drop(catch_unwind(AssertUnwindSafe(work)));
        }
    });
    match begun {
        Ok(_) => Some(queue),
        Err(error) => {
            tracing::warn!(%error, "there is no thread for work in the background");
            None
        }
    }
}

thread_local! {
    /// Since when this thread works, and for how long it may.
    static PIECE_OF_WORK: Cell<(Option<Instant>, Duration)> = const { Cell::new((None, PIECE)) };
}

/// Lets whoever waits for this core go first, if the thread has worked for a while. The kernel compares threads of one core
/// at its clock's tick only: a niced thread whose turn it is keeps workers waiting for 4 ms.
fn give_way() {
    let now = Instant::now();
    let (since, piece) = PIECE_OF_WORK.get();
    let since = since.unwrap_or(now);
    let worked = now.duration_since(since);
    PIECE_OF_WORK.set(match worked < piece {
        true => (Some(since), piece),
        false => {
            thread::yield_now();
            let again = Instant::now();
            (Some(again), next_piece(again.duration_since(now)))
        }
    });
}

/// How long work may go on after others had the core for so long. To yield gives up the rest of a turn: on a core that is
/// never idle, pieces of one length would come to a hundredth of the time.
fn next_piece(others: Duration) -> Duration {
    (others / SHARE).clamp(PIECE, LONG_PIECE)
}

/// Has the workers go before the thread that calls it.
pub(super) fn step_back() {
    if let Err(error) = rustix::process::nice(STEP_BACK) {
        tracing::debug!(%error, "work in the background competes with requests");
    }
}

/// Does `work` some time, after what was given before it.
pub(super) fn sometime(work: impl FnOnce() + Send + 'static) {
    let here = Handle::try_current();
    let work: Work = Box::new(move || {
        // What it starts runs where it was asked for.
        let _here = here.as_ref().map(Handle::enter);
        work();
    });
    let left = match &*THREAD {
        Some(thread) => thread.send(work).err().map(|unsent| unsent.0),
        None => Some(work),
    };
    if let Some(work) = left {
        // Nobody waits for it.
        drop(tokio::task::spawn_blocking(work));
    }
}

/// What `work` comes to; `None` when it panics.
pub(super) async fn outcome<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    // Whoever asked may have stopped waiting.
    sometime(move || drop(tell.send(in_small_pages(work))));
    told.await.ok()
}

/// Does work that takes much memory, in pages of 4 KiB: the kernel clears one of 2 MiB in up to 5 ms, in which nobody else has
/// the core. Whoever started the process without large pages is left alone.
fn in_small_pages<T>(work: impl FnOnce() -> T) -> T {
    struct Large;
    impl Drop for Large {
        fn drop(&mut self) {
            if let Err(error) = disable_transparent_huge_pages(false) {
                tracing::debug!(%error, "memory stays in small pages");
            }
        }
    }
    let large = transparent_huge_pages_are_disabled().is_ok_and(|disabled| !disabled);
    let _large = (large && disable_transparent_huge_pages(true).is_ok()).then_some(Large);
    work()
}

/// Frees something large some time.
pub(super) fn discard<T: Send + 'static>(thing: T) {
    sometime(move || drop(thing));
}

/// Keeps what requests may still use until they are done with it, so that none of them has to free it: `free` does, where
/// it is no longer shared.
pub(super) fn retire<T: Send + Sync + 'static>(thing: Arc<T>, free: fn(T)) {
    // Ends with the process, if requests last that long.
    drop(tokio::spawn(async move {
        while Arc::strong_count(&thing) > 1 {
            sleep(LOOK).await;
        }
        sometime(move || {
            if let Some(thing) = Arc::into_inner(thing) {
                free(thing);
            }
        });
    }));
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_retired_goes_only_after_its_last_user() {
        let thing = Arc::new(());
        let (weak, used) = (Arc::downgrade(&thing), thing.clone());
        retire(thing, drop);
        tokio::task::yield_now().await;
        assert!(weak.upgrade().is_some());
        drop(used);
        let gone = async {
            while weak.strong_count() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(Duration::from_secs(10), gone).await.is_ok());
    }

    #[test]
    fn work_goes_on_longer_where_others_took_long_and_has_an_end() {
        assert_eq!(next_piece(Duration::ZERO), PIECE);
        let taken = Duration::from_millis(12);
        assert_eq!(next_piece(taken), Duration::from_micros(1200));
        assert_eq!(next_piece(Duration::from_secs(1)), LONG_PIECE);
    }

    #[tokio::test]
    async fn work_that_panics_has_no_outcome_and_the_next_has_by_the_same_thread() {
        let name = || thread::current().name().map(str::to_owned);
        let before = outcome(name).await;
        let panicked: Option<()> = outcome(|| panic!("a defect")).await;
        assert_eq!(panicked, None);
        assert_eq!(outcome(name).await, before);
        assert_eq!(before, Some(Some("background".to_owned())));
    }
}
